//! What became of something that the backend scheduled: it asks from its time on, one node after the other, until it is
//! told an end.

use std::sync::Arc;

use prost_types::Timestamp;
use tidings_proto::control::v1::messages_client::MessagesClient;
use tidings_proto::control::v1::{GetScheduledMessageRequest, ScheduledMessageStatus};
use tidings_proto::message::v1::{MessageId, ScheduleState};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::service::Interceptor;

use super::backend::{ControlPlane, PATIENCE, REST};
use crate::history::{Client, End, Event, History};

/// A time as the control plane takes it.
pub(super) fn at(ms: i64) -> Timestamp {
    // Less than a thousand.
    let millis = ms.rem_euclid(1000) as i32;
    Timestamp { seconds: ms.div_euclid(1000), nanos: millis * 1_000_000 }
}

pub(super) struct Scheduled<K> {
    pub(super) control_plane: Arc<ControlPlane<K>>,
    /// Of the node that is asked first.
    pub(super) turn: usize,
    pub(super) by: Client,
    /// Its author for the control plane.
    pub(super) from: String,
    /// What it was named when it was scheduled.
    pub(super) id: String,
    /// Its time.
    pub(super) at: Instant,
    pub(super) history: History,
}

impl<K: Interceptor + Clone> Scheduled<K> {
    pub(super) async fn follow(mut self) {
        sleep_until(self.at).await;
        loop {
            if let Some(end) = self.end().await {
                let MessageId { stream, seq } = self.id.parse().unwrap_or_default();
                return self.history.record(self.by, Event::ScheduleEnded { stream, seq, end });
            }
            sleep(REST).await;
        }
    }

    async fn end(&mut self) -> Option<End> {
        self.turn += 1;
        let mut messages = MessagesClient::new(self.control_plane.node(self.turn));
        let (app, id, from) = (self.control_plane.app.clone(), self.id.clone(), self.from.clone());
        let asked = timeout(PATIENCE, messages.get_scheduled_message(GetScheduledMessageRequest { app, id, from }));
        let status: ScheduledMessageStatus = asked.await.ok()?.ok()?.into_inner();
        match status.state() {
            ScheduleState::Unspecified | ScheduleState::Pending | ScheduleState::Released => None,
            ScheduleState::Sent => {
                // An end in no message is a contradiction, and is told as one.
                let MessageId { stream, seq } = status.message_id.parse().unwrap_or_default();
                Some(End::Sent { stream, seq })
            }
            ScheduleState::Cancelled => Some(End::Cancelled),
            ScheduleState::Failed => Some(End::Failed { code: status.reason().as_str_name().to_owned() }),
        }
    }
}
