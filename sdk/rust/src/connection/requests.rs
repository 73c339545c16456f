//! What the application asked and the server has not answered. A request that meets a lost connection, or a shard
//! without a leader, is asked again: it does no harm twice.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidings_proto::client::v1::{Request, Response, client_frame, request, response};
use tidings_proto::error::Next;
use tidings_proto::frame::encode_client;

use crate::error::RequestError;

/// At most so many wait for their answer at a time; the protocol allows 32.
const IN_FLIGHT: usize = 16;
/// At most so many may wait in all.
pub const LIMIT: usize = 1024;
const RETRY: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Waiting {
    request: request::Request,
    /// When it is to be written; none while it waits for its answer.
    due: Option<Duration>,
}

/// How a request ended.
pub type Answer = Result<response::Response, RequestError>;

/// Requests without an answer, by the caller's number.
#[derive(Debug, Default)]
pub struct Requests {
    waiting: BTreeMap<u64, Waiting>,
}

impl Requests {
    /// Takes a request; the error when there are too many.
    pub fn ask(&mut self, id: u64, request: request::Request, now: Duration) -> Result<(), RequestError> {
        if self.waiting.len() >= LIMIT {
            return Err(RequestError::TooMany);
        }
        self.waiting.insert(id, Waiting { request, due: Some(now) });
        Ok(())
    }

    /// The connection is gone: everything is asked again on the next one.
    pub fn disconnected(&mut self) {
        self.waiting.values_mut().for_each(|waiting| waiting.due = Some(Duration::ZERO));
    }

    /// The server's answer; `None` when it is to be asked again, or nobody waits for it.
    pub fn answered(&mut self, response: Response, now: Duration) -> Option<(u64, Answer)> {
        let waiting = self.waiting.get_mut(&response.id)?;
        let code = response.code();
        if response.code != 0 && (response.retry_after_ms.is_some() || code.next() == Next::Retry) {
            let wait = response.retry_after_ms.map_or(RETRY, |ms| Duration::from_millis(ms.into()));
            waiting.due = Some(now + wait);
            return None;
        }
        self.waiting.remove(&response.id);
        let answer = match (response.code, response.response) {
            (0, Some(answer)) => Ok(answer),
            (0, None) => Err(RequestError::UnknownAnswer),
            _ => Err(RequestError::Refused { code, message: response.message }),
        };
        Some((response.id, answer))
    }

    /// The frames to write now.
    pub fn take_due(&mut self, now: Duration, mut write: impl FnMut(Bytes)) {
        let mut in_flight = self.in_flight();
        for (id, waiting) in &mut self.waiting {
            if in_flight >= IN_FLIGHT {
                return;
            }
            if waiting.due.is_some_and(|due| due <= now) {
                in_flight += 1;
                waiting.due = None;
                let request = Request { id: *id, request: Some(waiting.request.clone()) };
                write(encode_client(client_frame::Frame::Request(request)));
            }
        }
    }

    /// When [`Self::take_due`] has something.
    pub fn wake_at(&self) -> Option<Duration> {
        // With no room for more, the next answer makes it.
        let next = self.waiting.values().filter_map(|waiting| waiting.due).min();
        next.filter(|_| self.in_flight() < IN_FLIGHT)
    }

    /// The client stops: the numbers of everything that will not be answered.
    pub fn take_all(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    fn in_flight(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.due.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use tidings_proto::ErrorCode;
    use tidings_proto::client::v1::{Devices, ListDevices};

    use super::*;

    fn ask(requests: &mut Requests, id: u64) -> Result<(), RequestError> {
        requests.ask(id, request::Request::ListDevices(ListDevices {}), Duration::ZERO)
    }

    fn written(requests: &mut Requests, now: Duration) -> usize {
        let mut count = 0;
        requests.take_due(now, |_| count += 1);
        count
    }

    fn refusal(id: u64, code: ErrorCode, retry_after_ms: Option<u32>) -> Response {
        Response { id, code: code.into(), retry_after_ms, ..Response::default() }
    }

    #[test]
    fn it_is_asked_until_there_is_an_answer() {
        let mut requests = Requests::default();
        ask(&mut requests, 1).unwrap();
        assert_eq!(written(&mut requests, Duration::ZERO), 1);
        assert_eq!(written(&mut requests, Duration::ZERO), 0);
        requests.disconnected();
        assert_eq!(written(&mut requests, Duration::ZERO), 1);
        assert_eq!(requests.answered(refusal(1, ErrorCode::Unavailable, Some(100)), Duration::ZERO), None);
        assert_eq!(requests.wake_at(), Some(Duration::from_millis(100)));
        assert_eq!(written(&mut requests, Duration::from_millis(100)), 1);
        let devices = response::Response::Devices(Devices::default());
        let response = Response { id: 1, response: Some(devices.clone()), ..Response::default() };
        assert_eq!(requests.answered(response.clone(), Duration::ZERO), Some((1, Ok(devices))));
        assert_eq!(requests.answered(response, Duration::ZERO), None);
    }

    #[test]
    fn a_refusal_ends_it_and_so_does_an_answer_of_a_kind_that_is_not_known() {
        let mut requests = Requests::default();
        ask(&mut requests, 1).unwrap();
        ask(&mut requests, 2).unwrap();
        let ended = requests.answered(refusal(1, ErrorCode::InvalidArgument, None), Duration::ZERO);
        assert!(matches!(ended, Some((1, Err(RequestError::Refused { code: ErrorCode::InvalidArgument, .. })))));
        let ended = requests.answered(Response { id: 2, ..Response::default() }, Duration::ZERO);
        assert_eq!(ended, Some((2, Err(RequestError::UnknownAnswer))));
    }

    #[test]
    fn so_many_are_asked_at_a_time_and_so_many_wait() {
        let mut requests = Requests::default();
        for id in 0..LIMIT as u64 {
            ask(&mut requests, id).unwrap();
        }
        assert_eq!(ask(&mut requests, 9999), Err(RequestError::TooMany));
        assert_eq!(written(&mut requests, Duration::ZERO), IN_FLIGHT);
        assert_eq!((written(&mut requests, Duration::ZERO), requests.wake_at()), (0, None));
        assert!(requests.answered(refusal(0, ErrorCode::NotFound, None), Duration::ZERO).is_some());
        assert_eq!(written(&mut requests, Duration::ZERO), 1);
        assert_eq!(requests.take_all().len(), LIMIT - 1);
    }
}
