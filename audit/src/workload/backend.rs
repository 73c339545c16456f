//! A backend: it posts as the system and as users, to each user and to each group, through one node of the control
//! plane after the other. What has no certain answer is asked again, as the same request, until it has one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidings_proto::ErrorCode;
use tidings_proto::control::v1::groups_client::GroupsClient;
use tidings_proto::control::v1::messages_client::MessagesClient;
use tidings_proto::control::v1::{GetGroupRequest, SendMessageRequest, SentMessage};
use tidings_proto::error::Next;
use tidings_proto::message::v1::{Content, MessageId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::device::To;
use super::following::{Scheduled, at};
use super::scheduling::Moment;
use super::{Phase, Workload, anybody_but, owner};
use crate::history::{BACKEND, Client, Event, History, SYSTEM, User};
use crate::people::Person;

/// Of so many messages of users there is one post.
const POST_ONE_OF: f64 = 10.0;
/// What goes to one recipient goes one after the other, and not more often than this on average. A recipient remembers
/// the requests of 64 posts: a minute of them, and no call is on its way for so long, also when a node that has it was
/// paused.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// One post of so many is in the name of the system.
const AS_SYSTEM_ONE_OF: u32 = 3;
/// One post of so many waits for its time.
const SCHEDULE_ONE_OF: u32 = 6;
/// All that is scheduled in the name of the system waits in one schedule, which remembers the requests of 64 of them as
/// well: so many lines give it less than one in a second.
const SYSTEM_SCHEDULES_IN: usize = 16;
/// One request of so many is repeated after it was answered.
const REPEAT_ONE_OF: u32 = 6;
/// The first number of a post. No user gives so many messages as are below.
const FIRST_NUMBER: u64 = 1_000_000_000;
/// How long an answer is waited for. A node without a leader takes longer to say that it does not know.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Between an answer that is none and the next call.
pub(super) const REST: Duration = Duration::from_millis(100);

/// Where a backend calls.
#[derive(Debug, Clone)]
pub struct ControlPlane<K> {
    /// Nodes; at least one.
    pub nodes: Vec<InterceptedService<Channel, K>>,
    /// The app of the users; empty: the key's own.
    pub app: String,
}

impl<K: Clone> ControlPlane<K> {
    /// The node whose turn it is.
    pub(super) fn node(&self, turn: usize) -> InterceptedService<Channel, K> {
        self.nodes[turn % self.nodes.len()].clone()
    }
}

/// What the backend posts to one recipient: one post after the other, so that there is an order, and at most one has no
/// answer.
pub(super) struct Line<K> {
    control_plane: Arc<ControlPlane<K>>,
    /// Calls so far.
    turn: usize,
    people: Arc<[Person]>,
    to: To,
    /// Of a group, those who are members for good; it writes in their names.
    regulars: Vec<User>,
    /// Whether it schedules in the name of the system too.
    schedules_as_system: bool,
    one_clock: bool,
    /// What asks what became of what it scheduled.
    following: JoinSet<()>,
    /// Of the next post. Lines have no number in common, since a user is the author of posts of several.
    number: u64,
    lines: u64,
    interval: Duration,
    next_post: Instant,
    history: History,
    rng: SmallRng,
}

/// Something to post.
struct Post {
    number: u64,
    author: User,
    /// Where it waits on the server: until then.
    moment: Option<Moment>,
}

impl<K> Line<K>
where
    K: Interceptor + Clone + Send + Sync + 'static,
{
    /// A line to each user and to each group.
    pub(super) fn all(workload: &Workload, control_plane: &Arc<ControlPlane<K>>, history: &History) -> Vec<Self> {
        let people = workload.people.clone();
        let to_users = (0..).take(people.len()).map(|to| (To::User(to), Vec::new()));
        let to_group = |owner| (To::Group(owner), owner::regulars_and_guests(&people, owner).0);
        let recipients: Vec<_> = to_users.chain(owner::owners(&people).map(to_group)).collect();
        let lines = recipients.len();
        let interval = Duration::from_secs_f64(lines as f64 * POST_ONE_OF / workload.rate.max(0.001));
        let line = |(at, (to, regulars))| Self {
            control_plane: control_plane.clone(),
            turn: at,
            people: people.clone(),
            to,
            regulars,
            schedules_as_system: at < SYSTEM_SCHEDULES_IN,
            one_clock: workload.one_clock,
            following: JoinSet::new(),
            number: FIRST_NUMBER + at as u64,
            lines: lines as u64,
            interval: interval.max(AT_LEAST_EVERY),
            next_post: Instant::now(),
            history: history.clone(),
            rng: SmallRng::seed_from_u64(workload.seed.wrapping_add(at as u64 | u64::from(BACKEND) << 32)),
        };
        recipients.into_iter().enumerate().map(line).collect()
    }

    /// Posts while everybody is busy, and waits for the last answer, until the devices return: what has none then is
    /// unknown.
    pub(super) async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Result<()> {
        let mut returning = phase.clone();
        tokio::select! {
            posted = self.post(&mut phase) => posted,
            returns = returning.wait_for(|phase| *phase == Phase::Returning) => Ok(returns.map(drop)?),
        }
    }

    async fn post(&mut self, phase: &mut watch::Receiver<Phase>) -> Result<()> {
        phase.wait_for(|phase| *phase != Phase::Gathering).await?;
        while !self.is_there().await {
            if *phase.borrow() != Phase::Busy {
                return Ok(());
            }
            // Nothing tells when its owner has made it.
            sleep(REST).await;
        }
        self.next_post = Instant::now() + self.interval.mul_f64(self.rng.random());
        loop {
            sleep_until(self.next_post).await;
            let Some(post) = self.draw(phase) else { break };
            let request = self.request(&post);
            let Some(id) = self.ask(&post, &request).await else { continue };
            if self.rng.random_ratio(1, REPEAT_ONE_OF) {
                self.ask(&post, &request).await;
            }
            if let Some(moment) = post.moment {
                let (from, at) = (request.from, moment.at);
                let (control_plane, history, turn) = (self.control_plane.clone(), self.history.clone(), self.turn);
                let scheduled = Scheduled { control_plane, turn, by: by(&post), from, id, at, history };
                self.following.spawn(scheduled.follow());
            }
        }
        while self.following.join_next().await.is_some() {}
        Ok(())
    }

    /// Whether the recipient is known: a user is, and a group once it was made, with its regular members.
    async fn is_there(&mut self) -> bool {
        let To::Group(owner) = self.to else { return true };
        let id = owner::group_of(&self.people, owner);
        let request = GetGroupRequest { app: self.control_plane.app.clone(), id };
        let mut groups = GroupsClient::new(self.next_node());
        matches!(timeout(PATIENCE, groups.get_group(request)).await, Ok(Ok(_)))
    }

    /// What is posted next.
    fn draw(&mut self, phase: &watch::Receiver<Phase>) -> Option<Post> {
        // The phase does not change while it is looked at: whoever waits from its end on waits for this post too.
        let now = phase.borrow();
        if *now != Phase::Busy {
            return None;
        }
        self.next_post = Instant::now() + self.interval.mul_f64(2.0 * self.rng.random::<f64>());
        let (number, author) = (self.number, self.draw_author());
        let moment = self.draw_moment(author);
        let post = Post { number, author, moment };
        self.number += self.lines;
        let event = match (moment, self.to) {
            (Some(moment), to) => moment.event(number, to),
            (None, To::User(to)) => Event::Given { number, to },
            (None, To::Group(group)) => Event::GivenToGroup { number, group },
        };
        self.record(&post, event);
        Some(post)
    }

    /// The system, a regular member of the group, or anybody but the recipient.
    fn draw_author(&mut self) -> User {
        if self.rng.random_ratio(1, AS_SYSTEM_ONE_OF) {
            return SYSTEM;
        }
        match self.to {
            To::User(to) => anybody_but(to, &self.people, &mut self.rng),
            To::Group(owner) => self.regulars.choose(&mut self.rng).copied().unwrap_or(owner),
        }
    }

    fn draw_moment(&mut self, author: User) -> Option<Moment> {
        let may_wait = author != SYSTEM || self.schedules_as_system;
        let waits = may_wait && self.rng.random_ratio(1, SCHEDULE_ONE_OF);
        waits.then(|| Moment::ahead(&self.history, self.one_clock, &mut self.rng))
    }

    fn request(&self, post: &Post) -> SendMessageRequest {
        // The system is nobody of these, and a request without a name is its.
        let id = |user: User| self.people.get(user as usize).map_or_else(String::new, |person| person.id.clone());
        let (to, group) = match self.to {
            To::User(to) => (id(to), String::new()),
            To::Group(owner) => (String::new(), owner::group_of(&self.people, owner)),
        };
        SendMessageRequest {
            app: self.control_plane.app.clone(),
            from: id(post.author),
            to,
            group,
            content: Some(Content { text: post.number.to_string(), ..Content::default() }),
            request_id: post.number.to_string(),
            deliver_at: post.moment.map(|moment| at(moment.deliver_at_ms)),
            ..SendMessageRequest::default()
        }
    }

    /// Asks one node after the other until the answer is certain; the message's id, if it is accepted.
    async fn ask(&mut self, post: &Post, request: &SendMessageRequest) -> Option<String> {
        loop {
            let mut messages = MessagesClient::new(self.next_node());
            let code = match timeout(PATIENCE, messages.send_message(request.clone())).await {
                Ok(Ok(sent)) => {
                    self.record(post, accepted(post.number, sent.get_ref()));
                    return Some(sent.into_inner().id);
                }
                Ok(Err(status)) => ErrorCode::of_status(&status),
                Err(_) => ErrorCode::OutcomeUnknown,
            };
            if code.next() == Next::Stop {
                self.record(post, Event::Refused { number: post.number, code: code.as_str_name().to_owned() });
                return None;
            }
            sleep(REST).await;
        }
    }

    fn next_node(&mut self) -> InterceptedService<Channel, K> {
        self.turn += 1;
        self.control_plane.node(self.turn)
    }

    fn record(&self, post: &Post, event: Event) {
        self.history.record(by(post), event);
    }
}

/// The backend, in the name of a post's author.
fn by(post: &Post) -> Client {
    Client { user: post.author, device: BACKEND }
}

/// An answer that names no message is none that anything can be known from.
fn accepted(number: u64, sent: &SentMessage) -> Event {
    match sent.id.parse() {
        Ok(MessageId { stream, seq }) => Event::Accepted { number, stream, seq },
        Err(_) => Event::Unknown { number },
    }
}
