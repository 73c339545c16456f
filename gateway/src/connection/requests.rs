//! What the client wants to know or to have set: handed on to the shard that can answer.

use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::{self as broker, gateway_frame};
use tidings_proto::client::v1::{GroupReadMarked, Request, Response, request, response, server_frame};
use tidings_proto::error::Next;
use tokio::time::Instant;

use super::Connection;
use super::inbound::RETRY_AFTER_MS;
use crate::core::inbox_limits;
use crate::requests::Admission;
use crate::session::{Close, Event};
use crate::socket::Transport;

/// The first level of a broker that answers requests, and takes messages to groups and changes of messages.
pub(super) const LEVEL: u32 = 2;
/// The first one of a broker that knows scheduled messages, conversations with groups, search in them, messages that
/// disappear there, and takes transients to groups.
pub(super) const SCHEDULED_LEVEL: u32 = 3;
/// The first one of a broker that knows contacts.
const CONTACTS_LEVEL: u32 = 4;

/// Who answers what the gateway does not.
enum Answerer<'a> {
    /// What is about the user's mailbox.
    OwnShard,
    /// The home of a group.
    Home(&'a str),
    ControlPlane,
}

fn who_answers(kind: &request::Request) -> Answerer<'_> {
    match kind {
        request::Request::GetHistory(asked) if !asked.group.is_empty() => Answerer::Home(&asked.group),
        request::Request::GetGroupReceipts(asked) => Answerer::Home(&asked.group),
        request::Request::Search(asked) if !asked.group.is_empty() => Answerer::Home(&asked.group),
        request::Request::WatchGroupReceipts(asked) => Answerer::Home(&asked.group),
        request::Request::MarkGroupRead(_)
        | request::Request::ListDevices(_)
        | request::Request::GetHistory(_)
        | request::Request::ListConversations(_)
        | request::Request::UpdateConversation(_)
        | request::Request::Search(_)
        | request::Request::ListScheduled(_)
        | request::Request::CancelScheduled(_)
        | request::Request::WatchPresence(_) => Answerer::OwnShard,
        request::Request::ActOnGroup(_)
        | request::Request::GetGroup(_)
        | request::Request::ListMembers(_)
        | request::Request::ListMyGroups(_) => Answerer::ControlPlane,
    }
}

/// The level of a broker that a request is handed to.
fn needed_level(kind: &request::Request) -> u32 {
    match kind {
        request::Request::UpdateConversation(update) if update.contact.is_some() => CONTACTS_LEVEL,
        request::Request::ListScheduled(_) | request::Request::CancelScheduled(_) => SCHEDULED_LEVEL,
        request::Request::MarkGroupRead(mark) if mark.privately => SCHEDULED_LEVEL,
        request::Request::UpdateConversation(update) if !update.group.is_empty() => SCHEDULED_LEVEL,
        request::Request::Search(search) if !search.group.is_empty() => SCHEDULED_LEVEL,
        _ => LEVEL,
    }
}

/// Of a request that no shard answers.
const NO_SHARD: u32 = u32::MAX;
const NO_LINK: u64 = 0;

impl<S: Transport> Connection<S> {
    pub(super) fn on_request(&mut self, mut request: Request, now: Instant) -> Result<(), Close> {
        let id = request.id;
        match self.requests.admission(id) {
            Admission::New => {}
            Admission::Unanswered => return Ok(()),
            Admission::TooMany => {
                return self.refuse_request(id, ErrorCode::RateLimited, "too many requests are unanswered");
            }
        }
        if let Some(request::Request::MarkGroupRead(mark)) = &mut request.request {
            // Where the policy keeps it back, only the user's own devices are told.
            mark.privately |= !self.session().policy().effective().read_receipts;
        }
        let Some(kind) = &request.request else {
            return self.refuse_request(id, ErrorCode::InvalidArgument, "a request of no kind that is known here");
        };
        if let request::Request::WatchPresence(watch) = kind {
            return self.on_watch_presence(id, watch, now);
        }
        let who = who_answers(kind);
        let is_about_groups = !matches!(who, Answerer::OwnShard);
        if is_about_groups && !self.session().policy().effective().groups {
            return self.refuse_request(id, ErrorCode::FeatureOff, "groups are switched off for this user");
        }
        let sets_contact = matches!(kind, request::Request::UpdateConversation(update) if update.contact.is_some());
        if sets_contact && !self.session().policy().effective().edit_contacts {
            return self.refuse_request(id, ErrorCode::FeatureOff, "this user's contacts are for backends to set");
        }
        let needed = needed_level(kind);
        let is_kept_back = matches!(kind, request::Request::MarkGroupRead(mark) if mark.privately);
        let shard = match who {
            Answerer::OwnShard => Some(self.attachment.shard()),
            Answerer::Home(group) => self.core.router.shard(self.session().token.user.app(), group),
            Answerer::ControlPlane => {
                self.ask_groups(request, now);
                return Ok(());
            }
        };
        let Some(shard) = shard else {
            return self.refuse_request(id, ErrorCode::Unavailable, "no shard map is known");
        };
        let link = self.core.router.route(shard);
        if is_kept_back && link.as_ref().is_some_and(|link| link.level < needed) {
            // Such a broker would tell all members.
            let response = Some(response::Response::GroupReadMarked(GroupReadMarked {}));
            return self.respond(Response { id, response, ..Response::default() });
        }
        let Some(link) = link.filter(|link| link.level >= needed) else {
            return self.refuse_request(id, ErrorCode::Unavailable, "the shard cannot be reached");
        };
        let (session, user) = (self.session(), &self.session().token.user);
        let frame = gateway_frame::Frame::Request(broker::Request {
            session: session.id,
            shard,
            app: user.app().to_owned(),
            user: user.user().to_owned(),
            request: Some(request),
            attachment: if session.device.is_empty() { 0 } else { session.attachment() },
        });
        if link.try_send(frame).is_err() {
            return self.refuse_request(id, ErrorCode::Unavailable, "the way to the shard is full or gone");
        }
        self.requests.asked(id, shard, link.id, now);
        Ok(())
    }

    /// The control plane answers into the session's inbox.
    fn ask_groups(&mut self, request: Request, now: Instant) {
        let (id, Some(kind)) = (request.id, request.request) else { return };
        self.requests.asked(id, NO_SHARD, NO_LINK, now);
        let (core, session) = (self.core.clone(), self.session().clone());
        tokio::spawn(async move {
            let response = core.groups.answer(&session.token.user, id, kind).await;
            let answer = broker::Response { response: Some(response), ..broker::Response::default() };
            session.push(Event::Response { node: 0, answer: Box::new(answer) }, inbox_limits(&core.config));
        });
    }

    pub(super) fn on_response(&mut self, node: u64, answer: broker::Response) -> Result<(), Close> {
        let Some(response) = answer.response else { return Ok(()) };
        let Some(asked) = self.requests.answered(response.id) else { return Ok(()) };
        let code = match ErrorCode::try_from(response.code) {
            Ok(ErrorCode::Unspecified) => return self.respond(response),
            Ok(ErrorCode::NotLeader) => {
                self.core.router.not_leader(asked.shard, node, answer.leader_node);
                ErrorCode::Unavailable
            }
            Ok(code) => code,
            Err(_) => ErrorCode::Internal,
        };
        match response.retry_after_ms {
            Some(_) => self.respond(Response { code: code.into(), ..response }),
            None => self.refuse_request(response.id, code, &response.message),
        }
    }

    /// Requests that will not be answered: the client asks again.
    pub(super) fn tell_unanswered(&mut self, ids: Vec<u64>) -> Result<(), Close> {
        for id in ids {
            self.refuse_request(id, ErrorCode::Unavailable, "the shard did not answer")?;
        }
        Ok(())
    }

    pub(super) fn give_up_requests(&mut self, now: Instant) -> Result<(), Close> {
        let given_up = self.requests.give_up(now);
        self.tell_unanswered(given_up)
    }

    fn refuse_request(&mut self, id: u64, code: ErrorCode, message: &str) -> Result<(), Close> {
        let retry_after_ms = (code.next() == Next::Retry).then_some(RETRY_AFTER_MS);
        let (code, message) = (code.into(), message.to_owned());
        self.respond(Response { id, code, message, retry_after_ms, response: None })
    }

    pub(super) fn respond(&mut self, response: Response) -> Result<(), Close> {
        self.core.metrics.frames_out_response.increment(1);
        self.tell(server_frame::Frame::Response(response))
    }
}
