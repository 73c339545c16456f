//! Whom the application watches: asked once by the application, and kept up across leases and connections by the
//! client.

use std::time::Duration;

use bytes::Bytes;
use tidings_proto::client::v1::{Request, Response, WatchPresence, client_frame, request, response};
use tidings_proto::frame::encode_client;

/// Of the requests that nobody waits for; callers count from 1.
pub const OWN_REQUEST: u64 = u64::MAX;
const RETRY: Duration = Duration::from_secs(1);

/// The users that the application asked for last.
#[derive(Debug, Default)]
pub struct Watching {
    users: Vec<String>,
    /// The application's request that named them, until it is answered.
    asked: Option<u64>,
    /// When they are to be named again; none while an answer is awaited, and when nobody is watched.
    due: Option<Duration>,
}

impl Watching {
    /// The application asks something: if it is for whom to watch, this is who.
    pub fn asked(&mut self, id: u64, request: &request::Request) {
        if let request::Request::WatchPresence(watch) = request {
            *self = Self { users: watch.users.clone(), asked: Some(id), due: None };
        }
    }

    /// An answer to the application.
    pub fn answered(&mut self, id: u64, answer: Option<&response::Response>, now: Duration) {
        match (answer, self.asked) {
            // Of the latest request, or of an earlier one, which the server took up later.
            (Some(response::Response::PresenceWatched(watched)), Some(latest)) if latest == id => {
                self.asked = None;
                self.prolong(watched.lease_ms, now);
            }
            (Some(response::Response::PresenceWatched(_)), None) => self.due_at(now),
            (None, Some(latest)) if latest == id => *self = Self::default(),
            _ => {}
        }
    }

    /// The answer to an own request.
    pub fn prolonged(&mut self, response: &Response, now: Duration) {
        match (&response.response, response.retry_after_ms) {
            (Some(response::Response::PresenceWatched(watched)), _) => self.prolong(watched.lease_ms, now),
            (_, wait) => self.due_at(now + wait.map_or(RETRY, |ms| Duration::from_millis(ms.into()))),
        }
    }

    /// The connection is gone: whom it watched is named again on the next one.
    pub fn disconnected(&mut self) {
        self.due_at(Duration::ZERO);
    }

    /// The frame to write now, if any.
    pub fn take_due(&mut self, now: Duration) -> Option<Bytes> {
        self.due.take_if(|due| *due <= now)?;
        let watch = WatchPresence { users: self.users.clone() };
        let request = Request { id: OWN_REQUEST, request: Some(request::Request::WatchPresence(watch)) };
        Some(encode_client(client_frame::Frame::Request(request)))
    }

    /// When [`Self::take_due`] has something.
    pub fn wake_at(&self) -> Option<Duration> {
        self.due
    }

    /// Prolongs at half of the lease: there is time to try again.
    fn prolong(&mut self, lease_ms: u32, now: Duration) {
        self.due_at(now + Duration::from_millis(lease_ms.into()) / 2);
    }

    fn due_at(&mut self, at: Duration) {
        self.due = (!self.users.is_empty() && self.asked.is_none()).then_some(at);
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::client::v1::PresenceWatched;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watch(users: &[&str]) -> request::Request {
        request::Request::WatchPresence(WatchPresence { users: users.iter().map(|user| (*user).to_owned()).collect() })
    }

    fn watched() -> response::Response {
        response::Response::PresenceWatched(PresenceWatched { lease_ms: 120_000 })
    }

    fn own(response: Option<response::Response>, retry_after_ms: Option<u32>) -> Response {
        Response { id: OWN_REQUEST, retry_after_ms, response, ..Response::default() }
    }

    #[test]
    fn it_is_prolonged_at_half_of_the_lease_and_named_again_on_a_new_connection() {
        let mut watching = Watching::default();
        watching.asked(1, &watch(&["bob"]));
        watching.disconnected();
        assert_eq!(watching.wake_at(), None, "the request itself is repeated");
        watching.answered(1, Some(&watched()), at(10));
        assert_eq!((watching.wake_at(), watching.take_due(at(69))), (Some(at(70)), None));
        assert!(watching.take_due(at(70)).is_some() && watching.take_due(at(70)).is_none());
        watching.prolonged(&own(None, Some(2_000)), at(71));
        assert_eq!(watching.wake_at(), Some(at(73)));
        assert!(watching.take_due(at(73)).is_some());
        watching.prolonged(&own(Some(watched()), None), at(74));
        assert_eq!(watching.wake_at(), Some(at(134)));
        watching.disconnected();
        assert!(watching.take_due(at(75)).is_some());
    }

    #[test]
    fn whoever_is_watched_no_more_is_not_named_again() {
        let mut watching = Watching::default();
        watching.asked(1, &watch(&["bob"]));
        watching.asked(2, &watch(&[]));
        watching.answered(1, Some(&watched()), at(1));
        watching.answered(2, Some(&watched()), at(2));
        assert_eq!(watching.wake_at(), None);
        watching.asked(3, &watch(&["carol"]));
        watching.answered(3, None, at(3));
        watching.disconnected();
        assert_eq!(watching.wake_at(), None, "it was refused");
    }

    #[test]
    fn an_earlier_request_that_was_taken_up_later_is_put_right() {
        let mut watching = Watching::default();
        watching.asked(1, &watch(&["bob"]));
        watching.asked(2, &watch(&["carol"]));
        watching.answered(2, Some(&watched()), at(2));
        watching.answered(1, Some(&watched()), at(3));
        assert_eq!(watching.wake_at(), Some(at(3)));
    }
}
