//! Groups of whose receipts the application wants to be told: asked once by the application, and kept up across leases
//! and connections by the client.

use std::time::Duration;

use bytes::Bytes;
use tidings_proto::client::v1::{Request, Response, WatchGroupReceipts, client_frame, request, response};
use tidings_proto::error::Next;
use tidings_proto::frame::encode_client;

use super::watching::OWN_REQUEST;

/// Groups that are watched at a time; one more takes the place of the one that was asked for longest ago.
pub const LIMIT: usize = 64;
/// Requests of this kind that are unanswered at a time.
const IN_FLIGHT: usize = 8;
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Watched {
    group: String,
    /// The application's request that named it last.
    asked: u64,
    is_answered: bool,
    /// When it is to be named again; none while an answer is awaited.
    due: Option<Duration>,
}

/// What the application asked for. A place in it is for one group, and gives the number of its requests.
#[derive(Debug, Default)]
pub struct WatchedReceipts {
    places: Vec<Option<Watched>>,
}

impl WatchedReceipts {
    /// The application asks something: if it is about receipts, this is of which group.
    pub fn asked(&mut self, id: u64, request: &request::Request) {
        let request::Request::WatchGroupReceipts(watch) = request else { return };
        let is_it = |place: &Option<Watched>| place.as_ref().is_some_and(|watched| watched.group == watch.group);
        let known = self.places.iter().position(is_it);
        if watch.off {
            known.into_iter().for_each(|place| self.places[place] = None);
            return;
        }
        let watched = Watched { group: watch.group.clone(), asked: id, is_answered: false, due: None };
        let free = known.or_else(|| self.places.iter().position(Option::is_none));
        let oldest = || {
            let asked = |place: &usize| self.places[*place].as_ref().map_or(0, |watched| watched.asked);
            (0..self.places.len()).min_by_key(asked)
        };
        match free.or_else(|| if self.places.len() < LIMIT { None } else { oldest() }) {
            Some(place) => self.places[place] = Some(watched),
            None => self.places.push(Some(watched)),
        }
    }

    /// An answer to the application.
    pub fn answered(&mut self, id: u64, answer: Option<&response::Response>, now: Duration) {
        let Some(place) = self.places.iter_mut().find(|place| place.as_ref().is_some_and(|one| one.asked == id)) else {
            return;
        };
        match (place.as_mut(), answer) {
            (Some(watched), Some(response::Response::GroupReceiptsWatched(lease))) => {
                watched.is_answered = true;
                watched.due = Some(half(lease.lease_ms, now));
            }
            _ => *place = None,
        }
    }

    /// Whether an answer is to a request of these.
    pub fn is_own(id: u64) -> bool {
        (OWN_REQUEST - LIMIT as u64..OWN_REQUEST).contains(&id)
    }

    /// The answer to an own request.
    pub fn prolonged(&mut self, response: &Response, now: Duration) {
        let place = usize::try_from(OWN_REQUEST - 1 - response.id).unwrap_or(usize::MAX);
        let Some(place) = self.places.get_mut(place) else { return };
        // An answer that is late, of a group that had this place before, does no harm: it is named again soon.
        let Some(watched) = place.as_mut().filter(|watched| watched.is_answered) else { return };
        let refused = response.code != 0 && response.retry_after_ms.is_none() && response.code().next() != Next::Retry;
        match (&response.response, refused) {
            (Some(response::Response::GroupReceiptsWatched(lease)), _) => watched.due = Some(half(lease.lease_ms, now)),
            // No member any more, for example.
            (_, true) => *place = None,
            (_, false) => {
                let wait = response.retry_after_ms.map_or(RETRY, |ms| Duration::from_millis(ms.into()));
                watched.due = Some(now + wait);
            }
        }
    }

    /// The connection is gone: the groups are named again on the next one.
    pub fn disconnected(&mut self) {
        self.watched_mut().for_each(|watched| watched.due = Some(Duration::ZERO));
    }

    /// The frames to write now.
    pub fn take_due(&mut self, now: Duration, mut write: impl FnMut(Bytes)) {
        let mut in_flight = self.in_flight();
        for (place, watched) in self.places.iter_mut().enumerate() {
            let Some(watched) = watched.as_mut().filter(|watched| watched.is_answered) else { continue };
            if in_flight >= IN_FLIGHT {
                return;
            }
            if watched.due.take_if(|due| *due <= now).is_some() {
                in_flight += 1;
                let watch = WatchGroupReceipts { group: watched.group.clone(), off: false };
                let request = Some(request::Request::WatchGroupReceipts(watch));
                let request = Request { id: OWN_REQUEST - 1 - place as u64, request };
                write(encode_client(client_frame::Frame::Request(request)));
            }
        }
    }

    /// When [`Self::take_due`] has something.
    pub fn wake_at(&self) -> Option<Duration> {
        let due = self.places.iter().flatten().filter_map(|watched| watched.due).min();
        due.filter(|_| self.in_flight() < IN_FLIGHT)
    }

    fn in_flight(&self) -> usize {
        self.places.iter().flatten().filter(|watched| watched.is_answered && watched.due.is_none()).count()
    }

    /// Those whose requests are this client's to repeat: an unanswered one of the application's is repeated anyhow.
    fn watched_mut(&mut self) -> impl Iterator<Item = &mut Watched> {
        self.places.iter_mut().flatten().filter(|watched| watched.is_answered)
    }
}

/// It is prolonged at half of the lease: there is time to try again.
fn half(lease_ms: u32, now: Duration) -> Duration {
    now + Duration::from_millis(lease_ms.into()) / 2
}

#[cfg(test)]
mod tests {
    use tidings_proto::ErrorCode;
    use tidings_proto::client::v1::GroupReceiptsWatched;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn watch(group: &str, off: bool) -> request::Request {
        request::Request::WatchGroupReceipts(WatchGroupReceipts { group: group.to_owned(), off })
    }

    fn lease() -> response::Response {
        response::Response::GroupReceiptsWatched(GroupReceiptsWatched { lease_ms: 30_000 })
    }

    fn written(watched: &mut WatchedReceipts, now: Duration) -> usize {
        let mut frames = 0;
        watched.take_due(now, |_| frames += 1);
        frames
    }

    #[test]
    fn it_is_prolonged_and_named_again_on_a_new_connection_until_it_is_refused_or_ended() {
        let mut watched = WatchedReceipts::default();
        watched.asked(1, &watch("team", false));
        watched.disconnected();
        assert_eq!((watched.wake_at(), written(&mut watched, at(9))), (None, 0), "the request itself is repeated");
        watched.answered(1, Some(&lease()), at(10));
        assert_eq!(watched.wake_at(), Some(at(25)));
        assert_eq!(
            (written(&mut watched, at(24)), written(&mut watched, at(25)), written(&mut watched, at(26))),
            (0, 1, 0)
        );
        let own = |code: Option<ErrorCode>, response| Response {
            id: OWN_REQUEST - 1,
            code: code.map_or(0, Into::into),
            response,
            ..Response::default()
        };
        assert!(WatchedReceipts::is_own(OWN_REQUEST - 1) && !WatchedReceipts::is_own(OWN_REQUEST));
        watched.prolonged(&own(Some(ErrorCode::Unavailable), None), at(27));
        assert_eq!(watched.wake_at(), Some(at(28)));
        assert_eq!(written(&mut watched, at(28)), 1);
        watched.prolonged(&own(None, Some(lease())), at(29));
        watched.disconnected();
        assert_eq!(written(&mut watched, at(30)), 1);
        watched.prolonged(&own(Some(ErrorCode::NotAMember), None), at(31));
        watched.disconnected();
        assert_eq!((watched.wake_at(), written(&mut watched, at(99))), (None, 0));

        watched.asked(2, &watch("team", false));
        watched.answered(2, Some(&lease()), at(40));
        watched.asked(3, &watch("team", true));
        watched.answered(3, Some(&lease()), at(41));
        watched.disconnected();
        assert_eq!(watched.wake_at(), None);
    }

    #[test]
    fn so_many_groups_are_watched_and_so_many_named_at_a_time() {
        let mut watched = WatchedReceipts::default();
        for id in 0..LIMIT as u64 + 1 {
            watched.asked(id, &watch(&format!("group-{id}"), false));
            watched.answered(id, Some(&lease()), at(0));
        }
        assert_eq!(watched.places.len(), LIMIT);
        assert!(!watched.places.iter().flatten().any(|one| one.group == "group-0"), "it was the oldest");
        watched.disconnected();
        assert_eq!(
            (written(&mut watched, at(1)), written(&mut watched, at(1)), watched.wake_at()),
            (IN_FLIGHT, 0, None)
        );
    }
}
