//! Frames on their way to one gateway. Answers always find room, because the gateway's requests are not read while too
//! much waits; deliveries find room only below the limit, and who is refused delivers later (promise 6).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use prost::Message as _;
use tidings_proto::broker::v1::{BrokerBatch, BrokerFrame, broker_frame};
use tokio::sync::Notify;
use tonic::Status;

/// Frames and bytes that go in one message of the stream.
const BATCH_FRAMES: usize = 256;
const BATCH_BYTES: usize = 256 * 1024;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The queue to one gateway.
pub struct Outbox {
    /// Tells this link from any other of this process, also of the same gateway.
    pub id: u64,
    max_frames: usize,
    max_bytes: usize,
    queue: Mutex<Queue>,
    filled: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<BrokerFrame>,
    bytes: usize,
    /// Somebody was refused and waits.
    is_wanted: bool,
    closed: Option<Option<Status>>,
}

impl Outbox {
    /// An empty queue that takes deliveries up to these limits.
    pub fn new(max_frames: usize, max_bytes: usize) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            max_frames,
            max_bytes,
            queue: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
        }
    }

    /// Queues an answer to something that the gateway asked, or the end of a session.
    pub fn push(&self, frame: broker_frame::Frame) {
        self.push_all([frame]);
    }

    /// Queues several answers at once.
    pub fn push_all(&self, frames: impl IntoIterator<Item = broker_frame::Frame>) {
        let mut queue = self.queue.lock();
        if queue.closed.is_some() {
            return;
        }
        for frame in frames {
            queue.bytes += cost(&frame);
            queue.frames.push_back(BrokerFrame { frame: Some(frame) });
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// Queues a delivery; `false` when there is no room, or nobody there.
    pub fn try_deliver(&self, frame: broker_frame::Frame) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed.is_some() {
            return false;
        }
        if queue.frames.len() >= self.max_frames || queue.bytes >= self.max_bytes {
            queue.is_wanted = true;
            return false;
        }
        queue.bytes += cost(&frame);
        let was_empty = queue.frames.is_empty();
        queue.frames.push_back(BrokerFrame { frame: Some(frame) });
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
        true
    }

    /// Waits until there is room for deliveries again, or the link has ended.
    pub async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            {
                let mut queue = self.queue.lock();
                let has_room = queue.frames.len() <= self.max_frames / 2 && queue.bytes <= self.max_bytes / 2;
                if queue.closed.is_some() || has_room {
                    return;
                }
                queue.is_wanted = true;
            }
            drained.await;
        }
    }

    /// The next message of the stream; `None` after the end.
    pub async fn next_batch(&self) -> Option<Result<BrokerBatch, Status>> {
        loop {
            if let Some(batch) = self.take_batch() {
                return Some(batch);
            }
            if self.is_finished() {
                return None;
            }
            self.filled.notified().await;
        }
    }

    fn is_finished(&self) -> bool {
        let queue = self.queue.lock();
        matches!(queue.closed, Some(None)) && queue.frames.is_empty()
    }

    fn take_batch(&self) -> Option<Result<BrokerBatch, Status>> {
        let mut queue = self.queue.lock();
        if queue.frames.is_empty() {
            return queue.closed.as_mut().and_then(Option::take).map(Err);
        }
        let (mut frames, mut bytes) = (Vec::with_capacity(queue.frames.len().min(BATCH_FRAMES)), 0);
        while frames.len() < BATCH_FRAMES
            && bytes < BATCH_BYTES
            && let Some(frame) = queue.frames.pop_front()
        {
            bytes += frame.frame.as_ref().map_or(0, cost);
            frames.push(frame);
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        let has_room = queue.frames.len() <= self.max_frames / 2 && queue.bytes <= self.max_bytes / 2;
        let tell = queue.is_wanted && has_room;
        if tell {
            queue.is_wanted = false;
        }
        drop(queue);
        if tell {
            self.drained.notify_waiters();
        }
        Some(Ok(BrokerBatch { frames }))
    }

    /// Ends the stream behind what is queued, with a status when it is for a reason.
    pub fn close(&self, status: Option<Status>) {
        let mut queue = self.queue.lock();
        if queue.closed.is_none() {
            queue.closed = Some(status);
        }
        drop(queue);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// The gateway is gone: drops what is queued.
    pub fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.frames = VecDeque::new();
        queue.bytes = 0;
        queue.closed = Some(None);
        drop(queue);
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Resolves once the link has ended. Cancel-safe.
    pub async fn closed(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.queue.lock().closed.is_some() {
                return;
            }
            drained.await;
        }
    }

    /// Whether the link has ended, or is about to.
    pub fn is_closed(&self) -> bool {
        self.queue.lock().closed.is_some()
    }

    /// Frames that wait.
    pub fn len(&self) -> usize {
        self.queue.lock().frames.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// About what a frame holds in memory.
fn cost(frame: &broker_frame::Frame) -> usize {
    const FRAME: usize = 96;
    match frame {
        broker_frame::Frame::Deliver(deliver) => FRAME + deliver.envelope.len(),
        broker_frame::Frame::Transient(transient) => FRAME + transient.envelope.len(),
        broker_frame::Frame::Response(response) => FRAME + response.encoded_len(),
        broker_frame::Frame::Presence(presence) => FRAME + presence.encoded_len(),
        _ => FRAME,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tidings_proto::broker::v1::{Deliver, Submitted};

    use super::*;

    fn delivery(seq: u64, bytes: usize) -> broker_frame::Frame {
        let envelope = Bytes::from(vec![0; bytes]);
        broker_frame::Frame::Deliver(Deliver { session: 1, seq, after: seq - 1, envelope })
    }

    #[tokio::test]
    async fn deliveries_stop_at_the_limit_and_answers_do_not() {
        let outbox = Arc::new(Outbox::new(4, 1 << 20));
        assert!((1..=4).all(|seq| outbox.try_deliver(delivery(seq, 10))));
        assert!(!outbox.try_deliver(delivery(5, 10)));
        outbox.push(broker_frame::Frame::Submitted(Submitted::default()));
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.room().await }
        });
        let batch = outbox.next_batch().await.unwrap().unwrap();
        assert_eq!(batch.frames.len(), 5);
        waiting.await.unwrap();
        assert!(outbox.try_deliver(delivery(5, 10)));
    }

    #[test]
    fn bytes_are_limited_too() {
        let outbox = Outbox::new(1000, 10_000);
        let taken = (1..).take_while(|seq| outbox.try_deliver(delivery(*seq, 1000))).count();
        assert_eq!(taken, 10);
    }

    #[tokio::test]
    async fn the_end_comes_behind_what_is_queued() {
        let outbox = Outbox::new(4, 1 << 20);
        outbox.push(broker_frame::Frame::Submitted(Submitted::default()));
        outbox.close(Some(Status::unavailable("closing")));
        outbox.closed().await;
        assert!(!outbox.try_deliver(delivery(1, 1)));
        assert_eq!(outbox.next_batch().await.unwrap().unwrap().frames.len(), 1);
        assert_eq!(outbox.next_batch().await.unwrap().unwrap_err().code(), tonic::Code::Unavailable);
        assert!(outbox.next_batch().await.is_none());
    }
}
