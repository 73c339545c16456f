//! The way to the broker that leads a shard: by the shard map, and by what brokers that do not lead it answer.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::messages_client::MessagesClient;
use tidings_proto::cluster::v1::{Node, ShardMap};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::peers::{Member, was_not_sent};
use crate::registry::cluster;
use crate::replica::Replica;

/// How long a question looks for the leader.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between two rounds through the replicas.
const PAUSE: Duration = Duration::from_millis(50);
/// When whoever asked should ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An answer, or what a broker says instead: why not, and who leads (0: it does not know).
pub struct Said<T> {
    pub code: i32,
    pub leader_node: u64,
    pub answer: T,
}

/// Asks the brokers that may lead a shard until one answers as its leader. The question may come to more than one of
/// them, and more than once: it has to be one that may be repeated. Ends with `UNAVAILABLE` when certainly none of them
/// took it, and with `OUTCOME_UNKNOWN` otherwise, both after five seconds.
pub async fn ask_leader<T, F>(
    replica: &Replica,
    shard: u32,
    ask: impl Fn(MessagesClient<Member>) -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<Said<T>, Status>>,
{
    let deadline = Instant::now() + DEADLINE;
    let mut search = Search { code: ErrorCode::Unavailable, reason: "no broker holds the shard".to_owned() };
    loop {
        let map = cluster::shard_map(&replica.view())?;
        if let Some(answer) = search.run(replica, &map, shard, &ask).await? {
            return Ok(answer);
        }
        if Instant::now() + PAUSE >= deadline {
            let message = format!("the shard did not answer in time: {}", search.reason);
            return Err(search.code.status_after(message, RETRY_AFTER));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was found out so far.
struct Search {
    code: ErrorCode,
    reason: String,
}

impl Search {
    /// Once through the replicas; an error is final.
    async fn run<T, F>(
        &mut self,
        replica: &Replica,
        map: &ShardMap,
        shard: u32,
        ask: &impl Fn(MessagesClient<Member>) -> F,
    ) -> Result<Option<T>, Status>
    where
        F: Future<Output = Result<Said<T>, Status>>,
    {
        let placement = map.shards.iter().find(|placement| placement.shard == shard);
        let mut candidates: VecDeque<u64> = placement.into_iter().flat_map(|found| found.replicas.clone()).collect();
        let mut asked = Vec::new();
        while let Some(node) = candidates.pop_front() {
            let Some(address) = address_of(&map.nodes, node).filter(|_| !asked.contains(&node)) else { continue };
            asked.push(node);
            match ask(replica.peers().messages(address)?).await {
                Ok(Said { code: 0, answer, .. }) => return Ok(Some(answer)),
                Ok(Said { code, leader_node, .. }) => {
                    self.reason = format!("broker {node} does not lead it");
                    match ErrorCode::try_from(code).unwrap_or(ErrorCode::Internal) {
                        ErrorCode::NotLeader => candidates.extend(Some(leader_node).filter(|leader| *leader != 0)),
                        ErrorCode::OutcomeUnknown => self.code = ErrorCode::OutcomeUnknown,
                        ErrorCode::Unavailable => self.reason = format!("broker {node} cannot take it yet"),
                        code => return Err(refusal(code)),
                    }
                }
                Err(status) => {
                    if !was_not_sent(&status) && status.code() != Code::Unimplemented {
                        self.code = ErrorCode::OutcomeUnknown;
                    }
                    self.reason = match status.code() {
                        Code::Unimplemented => format!("broker {node} is of a release that cannot do this"),
                        _ => format!("broker {node}: {}", status.message()),
                    };
                }
            }
        }
        Ok(None)
    }
}

fn address_of(nodes: &[Node], id: u64) -> Option<&str> {
    nodes.iter().find(|node| node.id == id).map(|node| node.address.as_str())
}

fn refusal(code: ErrorCode) -> Status {
    match code {
        ErrorCode::InboxFull => code.status("the recipient's mailbox holds as much as it may"),
        ErrorCode::NotAMember => code.status("from: the user is no member of the group"),
        ErrorCode::PermissionDenied => code.status("from: the user may not send to the group"),
        ErrorCode::GroupPaused => code.status("the group is paused"),
        ErrorCode::Blocked => code.status("the recipient blocked the sender"),
        ErrorCode::NotFound => code.status("the recipient's mailbox knows no such message"),
        ErrorCode::ScheduleFull => code.status("as many of the sender's messages wait for their time as may"),
        ErrorCode::Overloaded => code.status_after("the recipient's shard has too much to do", RETRY_AFTER),
        code => code.status("the recipient's shard did not take it"),
    }
}
