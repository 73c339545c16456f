//! Presence and activity of one client: whom it watches, what it is told of them, what it says that it is doing.

use std::collections::HashSet;

use tidings_proto::broker::v1::{self as broker, gateway_frame};
use tidings_proto::client::v1::{
    PresenceUpdate, PresenceWatched, Response, UserPresence, WatchPresence, response, server_frame,
};
use tidings_proto::frame::{MAX_ACTIVITY_BYTES, MAX_WATCHED_USERS};
use tidings_proto::message::v1::Activity;
use tidings_proto::policy::v1::Audience;
use tidings_proto::{ErrorCode, GroupId, Towards, UserId};
use tokio::time::Instant;

use super::Connection;
use super::inbound::RETRY_AFTER_MS;
use crate::directory::UserKey;
use crate::presence::Target;
use crate::session::Close;
use crate::socket::Transport;

impl<S: Transport> Connection<S> {
    /// Answers at once: what is to be known of the users comes as it becomes known.
    pub(super) fn on_watch_presence(&mut self, id: u64, watch: &WatchPresence, now: Instant) -> Result<(), Close> {
        let refusal = |code: ErrorCode, message: &str, retry_after_ms| {
            let (code, message) = (code.into(), message.to_owned());
            Response { id, code, message, retry_after_ms, response: None }
        };
        if watch.users.len() > MAX_WATCHED_USERS {
            let message = format!("at most {MAX_WATCHED_USERS} users are watched");
            return self.respond(refusal(ErrorCode::InvalidArgument, &message, None));
        }
        if let Some(error) = watch.users.iter().find_map(|user| UserId::new(user).err()) {
            return self.respond(refusal(ErrorCode::InvalidArgument, &error.to_string(), None));
        }
        if let Err(wait) = self.watched.take(&self.core.watch_rate, self.core.uptime(now)) {
            let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
            return self.respond(refusal(ErrorCode::RateLimited, "watches are changed too often", Some(wait)));
        }
        let app = self.session().token.user.app().to_owned();
        let target =
            |user: &String| Some(Target { shard: self.core.router.shard(&app, user)?, user: UserKey::new(&app, user) });
        let Some(targets) = watch.users.iter().map(target).collect::<Option<HashSet<_>>>() else {
            return self.respond(refusal(ErrorCode::Unavailable, "no shard map is known", Some(RETRY_AFTER_MS)));
        };
        let user = self.session().token.user.user();
        if self.core.presence.watch(self.session().id, user, targets).is_err() {
            return self.respond(refusal(ErrorCode::Overloaded, "too many users are watched here", Some(5_000)));
        }
        let lease_ms = self.core.config.presence_lease_ms;
        let response = Some(response::Response::PresenceWatched(PresenceWatched { lease_ms }));
        self.respond(Response { id, response, ..Response::default() })
    }

    pub(super) fn on_presence(&mut self, users: &[UserPresence]) -> Result<(), Close> {
        self.tell(server_frame::Frame::Presence(PresenceUpdate { users: users.to_vec() }))
    }

    /// Not answered: what is too much, of a user who may not send messages, or finds no way, is dropped.
    pub(super) fn on_activity(&mut self, activity: Activity, now: Instant) -> Result<(), Close> {
        let is_for_one = match activity.group.is_empty() {
            true => UserId::new(&activity.to).is_ok(),
            false => activity.to.is_empty() && GroupId::new(&activity.group).is_ok(),
        };
        if !is_for_one || activity.data.len() > MAX_ACTIVITY_BYTES {
            let message =
                format!("Activity is for a user or a group, and Activity.data has at most {MAX_ACTIVITY_BYTES} bytes");
            return Err(Close::new(ErrorCode::FrameMalformed, message));
        }
        let policy = self.session().policy().effective();
        let towards = Towards::of(self.session().token.user.user(), &activity.to, &activity.group);
        let is_allowed = policy.may_write(towards).is_ok()
            && self.activity.take(&self.core.activity_rate, self.core.uptime(now)).is_ok();
        let audience = policy.restriction(!activity.group.is_empty());
        if !(is_allowed && self.hand_on(activity, audience)) {
            self.core.metrics.activities_dropped.increment(1);
        }
        Ok(())
    }

    fn hand_on(&self, activity: Activity, audience: Audience) -> bool {
        let user = &self.session().token.user;
        let to = if activity.group.is_empty() { &activity.to } else { &activity.group };
        let Some(shard) = self.core.router.shard(user.app(), to) else { return false };
        let Some(link) = self.core.router.route(shard) else { return false };
        let activity = Some(Activity { from: user.user().to_owned(), ..activity });
        let told = broker::TellActivity { shard, app: user.app().to_owned(), activity, audience: audience.into() };
        let presence = broker::Presence { presence: Some(broker::presence::Presence::Activity(told)) };
        link.try_send(gateway_frame::Frame::Presence(presence)).is_ok()
    }
}
