//! Who is online, and what they are doing just now.

use bytes::Bytes;
use tidings_proto::UserId;
use tidings_proto::client::v1::{WatchPresence, request, response};
use tidings_proto::frame::MAX_ACTIVITY_BYTES;
use tidings_proto::message::v1::{Activity, activity};

use crate::client::{Client, Command};
use crate::error::{RequestError, SendError};

impl Client {
    /// Watches these users from now on, and no others: at most 200, of the client's app; none ends it. What is known of
    /// them, and every change, comes as [`crate::Event::Presence`]. It is kept up across lost connections until the client
    /// ends. [`RequestError::Refused`] says that there are too many, or that one is no user id.
    pub async fn watch_presence(&self, users: impl IntoIterator<Item = impl Into<String>>) -> Result<(), RequestError> {
        let users = users.into_iter().map(Into::into).collect();
        match self.ask(request::Request::WatchPresence(WatchPresence { users })).await? {
            response::Response::PresenceWatched(_) => Ok(()),
            _ => Err(RequestError::UnknownAnswer),
        }
    }

    /// Tells the devices of a user that are online what this user is doing: at most once, and not at all while there is no
    /// connection. The gateway drops more than some a second. At most 256 bytes of `data`, whose meaning is the
    /// application's.
    pub async fn activity(
        &self,
        to: impl AsRef<str>,
        kind: activity::Kind,
        data: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        let (to, data) = (UserId::new(to.as_ref())?, data.into());
        if data.len() > MAX_ACTIVITY_BYTES {
            let message = format!("an activity has at most {MAX_ACTIVITY_BYTES} bytes");
            return Err(SendError::Refused { code: tidings_proto::ErrorCode::TooLarge, message });
        }
        let activity = Activity { from: String::new(), to: to.to_string(), kind: kind.into(), data };
        self.commands.send(Command::Activity(activity)).await.map_err(|_| SendError::Stopped(self.stop_reason()))
    }
}
