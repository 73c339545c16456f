//! Who is online, and what they are doing just now.

use bytes::Bytes;
use tidings_proto::client::v1::{WatchPresence, request, response};
use tidings_proto::frame::MAX_ACTIVITY_BYTES;
use tidings_proto::message::v1::{Activity, activity};
use tidings_proto::{GroupId, UserId};

use crate::client::{Client, Command};
use crate::error::{RequestError, SendError};

impl Client {
    /// Watches these users from now on, and no others: at most 200, of the client's app; none ends it. What is known of
    /// them, and every change, comes as [`crate::Event::Presence`]. It is kept up across lost connections until the
    /// client ends. [`RequestError::Refused`] says that there are too many, or that one is no user id.
    pub async fn watch_presence(&self, users: impl IntoIterator<Item = impl Into<String>>) -> Result<(), RequestError> {
        let users = users.into_iter().map(Into::into).collect();
        match self.ask(request::Request::WatchPresence(WatchPresence { users })).await? {
            response::Response::PresenceWatched(_) => Ok(()),
            _ => Err(RequestError::UnknownAnswer),
        }
    }

    /// Tells the devices of a user that are online what this user is doing: at most once, and not at all while there is
    /// no connection. The gateway drops more than some a second. At most 256 bytes of `data`, whose meaning is the
    /// application's.
    pub async fn activity(
        &self,
        to: impl AsRef<str>,
        kind: activity::Kind,
        data: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let to = UserId::new(to.as_ref())?.to_string();
        self.tell(Activity { to, kind: kind.into(), data: data.into(), ..Activity::default() }).await
    }

    /// As [`Self::activity`], to the members of a group who are online; in groups of at most 1,000 members.
    pub async fn activity_in_group(
        &self,
        group: impl AsRef<str>,
        kind: activity::Kind,
        data: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let group = GroupId::new(group.as_ref())?.to_string();
        self.tell(Activity { group, kind: kind.into(), data: data.into(), ..Activity::default() }).await
    }

    async fn tell(&self, activity: Activity) -> Result<(), SendError> {
        if activity.data.len() > MAX_ACTIVITY_BYTES {
            let message = format!("an activity has at most {MAX_ACTIVITY_BYTES} bytes");
            return Err(SendError::Refused { code: tidings_proto::ErrorCode::TooLarge, message });
        }
        self.commands.send(Command::Activity(activity)).await.map_err(|_| SendError::Stopped(self.stop_reason()))
    }
}
