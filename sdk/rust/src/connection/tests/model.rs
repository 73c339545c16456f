//! A model of the service as one client sees it: streams, recipients' mailboxes with their memory of numbers, and the
//! client's own mailbox. Small enough to be obviously right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use prost::Message as _;
use rand::Rng;
use rand::rngs::SmallRng;
use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Accepted, Deliver, Refused, Send, UnknownRange, Welcome, client_frame, server_frame};
use tidings_proto::message::v1::{Content, Envelope, Message, MessageId, envelope};

pub const SEND_WINDOW: u32 = 8;

#[derive(Debug, Default)]
pub struct Service {
    pub epoch: u64,
    pub streams: u64,
    current_stream: u64,
    /// By stream and recipient: the numbers accepted.
    seen: BTreeMap<(u64, String), BTreeSet<u64>>,
    /// By recipient: the texts in the order of acceptance.
    pub accepted: BTreeMap<String, Vec<String>>,
    /// The client's mailbox: the texts; number = index + 1.
    pub mailbox: Vec<String>,
    pub acknowledged: u64,
    trimmed: u64,
    /// What the session has been sent.
    delivered: u64,
    pub to_client: VecDeque<server_frame::Frame>,
    pub faults: bool,
}

impl Service {
    pub fn new() -> Self {
        Self { epoch: 7, faults: true, ..Self::default() }
    }

    /// Forgets the client's stream, as after a restore from a backup.
    pub fn forget_stream(&mut self) {
        self.current_stream = 0;
    }

    /// Entries that the client has not got are lost.
    pub fn trim(&mut self, rng: &mut SmallRng) {
        let tail = self.mailbox.len() as u64;
        self.trimmed = rng.random_range(self.trimmed.max(self.acknowledged)..=tail.max(self.acknowledged));
    }

    pub fn frame(&mut self, frame: client_frame::Frame, rng: &mut SmallRng) {
        match frame {
            client_frame::Frame::Hello(hello) => {
                let mut cursor = self.acknowledged;
                if let Some(resume) = hello.resume.filter(|resume| resume.mailbox_epoch == self.epoch) {
                    assert!(resume.cursor >= self.acknowledged, "a cursor went back");
                    cursor = resume.cursor;
                    self.acknowledged = cursor;
                    if resume.stream != self.current_stream {
                        self.new_stream();
                    }
                } else {
                    self.new_stream();
                }
                let unknown = (self.trimmed > cursor).then(|| UnknownRange { from: cursor + 1, to: self.trimmed });
                self.delivered = cursor.max(self.trimmed);
                self.to_client.push_back(server_frame::Frame::Welcome(Welcome {
                    app: "app".into(),
                    user: "alice".into(),
                    mailbox_epoch: self.epoch,
                    stream: self.current_stream,
                    cursor: self.delivered,
                    tail: self.mailbox.len() as u64,
                    unknown,
                    send_window: SEND_WINDOW,
                    ..Welcome::default()
                }));
            }
            client_frame::Frame::Send(send) => self.send(send, rng),
            client_frame::Frame::Ack(ack) => {
                assert!(ack.cursor >= self.acknowledged, "a cursor went back");
                assert!(ack.cursor <= self.delivered, "acknowledged what was not delivered");
                self.acknowledged = ack.cursor;
            }
            _ => {}
        }
    }

    fn new_stream(&mut self) {
        self.streams += 1;
        self.current_stream = self.streams;
    }

    fn send(&mut self, send: Send, rng: &mut SmallRng) {
        let key = (self.current_stream, send.to.clone());
        let seen = self.seen.entry(key).or_default();
        let text = send.content.unwrap_or_default().text;
        let fault = if self.faults { rng.random_range(0..10) } else { 9 };
        let known = seen.contains(&send.seq);
        if !known && send.after != 0 && !seen.contains(&send.after) {
            return self.refuse(send.seq, ErrorCode::OutOfOrder, rng);
        }
        match fault {
            0 => self.refuse(send.seq, ErrorCode::Overloaded, rng),
            1 if !known => self.refuse(send.seq, ErrorCode::InboxFull, rng),
            fault => {
                if seen.insert(send.seq) {
                    self.accepted.entry(send.to).or_default().push(text);
                }
                match fault {
                    2 => self.refuse(send.seq, ErrorCode::OutcomeUnknown, rng),
                    3 => {}
                    _ => {
                        let accepted = Accepted { seq: send.seq, sent_at_ms: 1, durability: 2 };
                        self.answer(server_frame::Frame::Accepted(accepted), rng);
                        if fault == 4 {
                            self.answer(server_frame::Frame::Accepted(accepted), rng);
                        }
                    }
                }
            }
        }
    }

    fn refuse(&mut self, seq: u64, code: ErrorCode, rng: &mut SmallRng) {
        let retry_after_ms = (code == ErrorCode::Overloaded && rng.random()).then_some(30);
        let refused = Refused { seq, code: code as i32, message: String::new(), retry_after_ms };
        self.answer(server_frame::Frame::Refused(refused), rng);
    }

    /// Answers come in any order among themselves; deliveries keep theirs.
    fn answer(&mut self, frame: server_frame::Frame, rng: &mut SmallRng) {
        let last_fixed = self.to_client.iter().rposition(|frame| matches!(frame, server_frame::Frame::Welcome(_)));
        let earliest = last_fixed.map_or(0, |welcome| welcome + 1);
        let place = if self.faults { rng.random_range(earliest..=self.to_client.len()) } else { self.to_client.len() };
        self.to_client.insert(place, frame);
    }

    /// Sends the session the next entry of the mailbox.
    pub fn deliver_next(&mut self) {
        let Some(text) = self.mailbox.get(self.delivered as usize) else {
            return;
        };
        let content = Some(Content { text: text.clone(), ..Content::default() });
        let id = Some(MessageId { stream: 1 << 12, seq: self.delivered + 1 });
        let message = Message { id, from: "bob".into(), to: "alice".into(), content, ..Message::default() };
        let envelope = Some(Envelope { event: Some(envelope::Event::Message(message)) });
        let (after, seq) = (self.delivered, self.delivered + 1);
        self.to_client.push_back(server_frame::Frame::Deliver(Deliver { seq, after, envelope }));
        self.delivered = seq;
    }
}

pub fn text_content(text: &str) -> bytes::Bytes {
    Content { text: text.to_owned(), ..Content::default() }.encode_to_vec().into()
}
