//! A gateway's stream to a broker, driven by hand.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tidings_node::membership::{MemberClient, Membership};
use tidings_proto::broker::v1::broker_client::BrokerClient;
use tidings_proto::broker::v1::{
    Ack, Attach, Attached, BrokerBatch, Deliver, Detach, GatewayBatch, GatewayFrame, LinkHello, LinkWelcome, Read,
    ReadRecorded, Request, Submit, Submitted, broker_frame, gateway_frame,
};
use tidings_proto::client::v1::{self as client, Resume, request};
use tidings_proto::message::v1::{Content, Envelope, MessageId, envelope};
use tidings_proto::shard::shard_of;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use crate::node::{APP, Ground, Node};

/// Nothing here takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One link.
pub struct Gateway {
    frames: mpsc::Sender<GatewayBatch>,
    stream: Streaming<BrokerBatch>,
    /// Came, and nobody asked for it yet.
    waiting: VecDeque<broker_frame::Frame>,
    shards: u32,
    next_session: u64,
}

/// An attached session.
#[derive(Debug, Clone)]
pub struct Session {
    pub number: u64,
    pub user: String,
    pub shard: u32,
    pub attached: Attached,
}

impl Session {
    pub fn resume(&self, cursor: u64) -> Option<Resume> {
        Some(Resume { mailbox_epoch: self.attached.mailbox_epoch, stream: self.attached.stream, cursor })
    }
}

impl Gateway {
    pub async fn connect(ground: &Ground, node: &Node) -> Self {
        Self::try_connect(&node.address, &ground.membership, 1, ground.shards).await.unwrap()
    }

    pub async fn try_connect(address: &str, member: &Membership, version: u32, shards: u32) -> Result<Self, Status> {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = BrokerClient::with_interceptor(channel, MemberClient::new(member));
        let (frames, sent) = mpsc::channel(1024);
        let hello = LinkHello { version, gateway: "test".to_owned() };
        frames.send(batch([gateway_frame::Frame::Hello(hello)])).await.unwrap();
        let stream = client.link(ReceiverStream::new(sent)).await?.into_inner();
        let mut gateway = Self { frames, stream, waiting: VecDeque::new(), shards, next_session: 1 };
        match gateway.try_next().await? {
            broker_frame::Frame::Welcome(LinkWelcome { version: 1, .. }) => Ok(gateway),
            other => panic!("welcomed with {other:?}"),
        }
    }

    pub async fn send(&self, frames: impl IntoIterator<Item = gateway_frame::Frame>) {
        self.frames.send(batch(frames)).await.unwrap();
    }

    pub async fn try_next(&mut self) -> Result<broker_frame::Frame, Status> {
        if let Some(frame) = self.waiting.pop_front() {
            return Ok(frame);
        }
        let batch = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("a frame in time")?;
        let batch = batch.ok_or_else(|| Status::aborted("the stream has ended"))?;
        self.waiting.extend(batch.frames.into_iter().filter_map(|frame| frame.frame));
        Ok(self.waiting.pop_front().expect("batches are not empty"))
    }

    /// The next frame that fits; others stay for later.
    pub async fn find<T>(&mut self, fits: impl Fn(&broker_frame::Frame) -> Option<T>) -> T {
        let mut passed = VecDeque::new();
        loop {
            let frame = self.try_next().await.unwrap();
            if let Some(found) = fits(&frame) {
                passed.append(&mut self.waiting);
                self.waiting = passed;
                return found;
            }
            passed.push_back(frame);
        }
    }

    pub async fn attach(&mut self, user: &str, device: &str, resume: Option<Resume>) -> Session {
        let session = self.try_attach(user, device, resume, 0).await;
        assert_eq!(session.attached.code, 0, "{session:?}");
        session
    }

    pub async fn try_attach(&mut self, user: &str, device: &str, resume: Option<Resume>, window: u32) -> Session {
        self.attach_again(user, device, resume, window, 0, 0).await
    }

    /// Attaches a session that was attached before; the numbers say when, and which session it is.
    pub async fn attach_again(
        &mut self,
        user: &str,
        device: &str,
        resume: Option<Resume>,
        window: u32,
        attached: u64,
        nonce: u64,
    ) -> Session {
        let (number, shard) = (self.next_session, shard_of(APP, user, self.shards));
        self.next_session += 1;
        let attach = Attach {
            session: number,
            shard,
            app: APP.to_owned(),
            user: user.to_owned(),
            device: device.to_owned(),
            resume,
            window_entries: window,
            window_bytes: 0,
            attached,
            nonce,
            ..Attach::default()
        };
        self.send([gateway_frame::Frame::Attach(attach)]).await;
        let attached = self
            .find(|frame| match frame {
                broker_frame::Frame::Attached(attached) if attached.session == number => Some(*attached),
                _ => None,
            })
            .await;
        Session { number, user: user.to_owned(), shard, attached }
    }

    pub fn message(&self, from: &Session, to: &str, seq: u64) -> Submit {
        let text = format!("{} {seq}", from.user);
        Submit {
            session: from.number,
            shard: shard_of(APP, to, self.shards),
            app: APP.to_owned(),
            from: from.user.clone(),
            from_slot: from.attached.slot,
            stream: from.attached.stream,
            seq,
            to: to.to_owned(),
            content: Content { text, ..Content::default() }.encode_to_vec().into(),
            ..Submit::default()
        }
    }

    pub async fn submit(&mut self, submit: Submit) -> Submitted {
        let (session, seq) = (submit.session, submit.seq);
        self.send([gateway_frame::Frame::Submit(submit)]).await;
        self.submitted(session, seq).await
    }

    pub async fn submitted(&mut self, session: u64, seq: u64) -> Submitted {
        self.find(|frame| match frame {
            broker_frame::Frame::Submitted(answer) if answer.session == session && answer.seq == seq => Some(*answer),
            _ => None,
        })
        .await
    }

    /// Sends numbers `seqs` and waits until all are accepted.
    pub async fn send_all(&mut self, from: &Session, to: &str, seqs: std::ops::RangeInclusive<u64>) {
        for seqs in seqs.collect::<Vec<_>>().chunks(500) {
            let frames = seqs.iter().map(|seq| gateway_frame::Frame::Submit(self.message(from, to, *seq)));
            self.send(frames.collect::<Vec<_>>()).await;
            for seq in seqs {
                let answer = self.submitted(from.number, *seq).await;
                assert_eq!(answer.code, 0, "{answer:?}");
            }
        }
    }

    pub async fn delivery(&mut self, to: &Session) -> Deliver {
        let session = to.number;
        self.find(|frame| match frame {
            broker_frame::Frame::Deliver(deliver) if deliver.session == session => Some(deliver.clone()),
            _ => None,
        })
        .await
    }

    pub async fn event(&mut self, to: &Session) -> envelope::Event {
        event_of(&self.delivery(to).await.envelope)
    }

    pub async fn ack(&self, session: &Session, cursor: u64) {
        let (session, shard) = (session.number, session.shard);
        self.send([gateway_frame::Frame::Ack(Ack { session, shard, cursor, ..Ack::default() })]).await;
    }

    pub async fn detach(&self, session: &Session) {
        let (session, shard) = (session.number, session.shard);
        self.send([gateway_frame::Frame::Detach(Detach { session, shard })]).await;
    }

    pub async fn read(&mut self, reader: &Session, from: &str, id: MessageId) -> ReadRecorded {
        let (session, shard) = (reader.number, reader.shard);
        let read = Read { session, shard, from: from.to_owned(), id: Some(id), ..Read::default() };
        self.send([gateway_frame::Frame::Read(read)]).await;
        self.find(|frame| match frame {
            broker_frame::Frame::ReadRecorded(recorded) if recorded.session == session && recorded.id == Some(id) => {
                Some(recorded.clone())
            }
            _ => None,
        })
        .await
    }

    /// The code with which a request of a device was answered; 0: it was done.
    pub async fn ask(&mut self, session: &Session, id: u64, request: request::Request) -> i32 {
        self.ask_only(session, id, request).await;
        self.find(|frame| match frame {
            broker_frame::Frame::Response(answer) => {
                answer.response.as_ref().filter(|response| response.id == id).map(|response| response.code)
            }
            _ => None,
        })
        .await
    }

    /// As [`ask`](Self::ask), without waiting for the answer.
    pub async fn ask_only(&self, session: &Session, id: u64, request: request::Request) {
        let asked = Request {
            session: session.number,
            shard: session.shard,
            app: APP.to_owned(),
            user: session.user.clone(),
            request: Some(client::Request { id, request: Some(request) }),
            attachment: session.number,
        };
        self.send([gateway_frame::Frame::Request(asked)]).await;
    }

    /// Frames that came and were not asked for, beside the news of who leads.
    pub fn unclaimed_frames(&self) -> usize {
        self.waiting.iter().filter(|frame| !matches!(frame, broker_frame::Frame::Leads(_))).count()
    }

    /// Deliveries to a session that came and were not asked for.
    pub fn unclaimed_deliveries(&self, to: &Session) -> usize {
        let is_one = |frame: &&broker_frame::Frame| match frame {
            broker_frame::Frame::Deliver(deliver) => deliver.session == to.number,
            _ => false,
        };
        self.waiting.iter().filter(is_one).count()
    }
}

pub fn event_of(envelope: &Bytes) -> envelope::Event {
    Envelope::decode(envelope.clone()).unwrap().event.unwrap()
}

pub fn text_of(envelope: &Bytes) -> String {
    match event_of(envelope) {
        envelope::Event::Message(message) => message.content.unwrap().text,
        other => panic!("{other:?} is no message"),
    }
}

fn batch(frames: impl IntoIterator<Item = gateway_frame::Frame>) -> GatewayBatch {
    GatewayBatch { frames: frames.into_iter().map(|frame| GatewayFrame { frame: Some(frame) }).collect() }
}
