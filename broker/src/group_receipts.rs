//! How far messages to groups have come, told to those who sent them and asked to be told. The group's home knows; it
//! tells the leader of the sender's shard, which hands it to the devices that are online. At most once a second for
//! each group, and of bounded size. Nothing of it is stored: each event says everything, and a watch ends with its
//! lease.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use tidings_consensus::{Group, StateView};
use tidings_node::Shutdown;
use tidings_proto::ErrorCode;
use tidings_proto::broker::v1::UserTransient;
use tidings_proto::mailbox::v1::{GroupMemberRecord, GroupRecord, TallyRecord};
use tidings_proto::message::v1::{Envelope, GroupMemberReceipt, GroupMessageReceipt, GroupReceipt, envelope};
use tidings_proto::shard::shard_of;
use tokio::sync::Notify;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::core::envelope::{Peeked, peek};
use crate::core::group::tallies::{have, have_read, tally_in};
use crate::core::limits::GROUP_RECEIPT_MEMBERS;
use crate::core::records::load;
use crate::core::steps::times;
use crate::core::{Core, CoreError, GroupName, keys, records};
use crate::error::Error;
use crate::machine::ShardMachine;
use crate::query::{group_and_member, receivers};
use crate::relay::Relay;

/// How long a watch holds without being repeated.
const LEASE: Duration = Duration::from_secs(30);
/// Between two events about a group.
const INTERVAL: Duration = Duration::from_secs(1);
/// Groups of a shard that are watched, and users who watch one; a further watch is refused with OVERLOADED.
const GROUPS: usize = 4096;
const WATCHERS: usize = 100;
/// Messages of one user that an event names.
const NAMED_MESSAGES: usize = 16;
/// Messages of a group, the newest, among which a user's are looked for.
const LOOKED_AT: usize = 256;
/// Members other than the sender, up to which an event says how far each is.
const NAMED_MEMBERS: usize = 100;

/// Who watches which groups of a shard. Kept by its leader.
#[derive(Default)]
pub struct ReceiptWatches {
    watched: Mutex<HashMap<GroupName, Watched>>,
    moved: Notify,
}

#[derive(Default)]
struct Watched {
    users: BTreeMap<String, Watcher>,
    has_moved: bool,
}

struct Watcher {
    until: Instant,
    /// A sum over the last event that was told; 0: none was.
    told: u64,
}

impl ReceiptWatches {
    /// A user watches a group, or goes on doing so, and is told soon how it stands. Answers for how long it holds, in
    /// ms; `None` when too many do.
    pub fn watch(&self, group: GroupName, user: String, now: Instant) -> Option<u32> {
        let mut watched = self.watched.lock();
        if !watched.contains_key(&group) && watched.len() >= GROUPS {
            watched.retain(|_, one| one.users.values().any(|watcher| watcher.until > now));
            if watched.len() >= GROUPS {
                return None;
            }
        }
        let one = watched.entry(group).or_default();
        if !one.users.contains_key(&user) && one.users.len() >= WATCHERS {
            one.users.retain(|_, watcher| watcher.until > now);
            if one.users.len() >= WATCHERS {
                return None;
            }
        }
        // Also one who was told before: the last event may have been lost.
        one.users.insert(user, Watcher { until: now + LEASE, told: 0 });
        one.has_moved = true;
        drop(watched);
        self.moved.notify_one();
        u32::try_from(LEASE.as_millis()).ok()
    }

    /// A user watches a group no more.
    pub fn end(&self, group: &GroupName, user: &str) {
        let mut watched = self.watched.lock();
        if let Some(one) = watched.get_mut(group) {
            one.users.remove(user);
            if one.users.is_empty() {
                watched.remove(group);
            }
        }
    }

    /// Members of a group have or read more than before.
    pub fn moved(&self, group: &GroupName) {
        let mut watched = self.watched.lock();
        let Some(one) = watched.get_mut(group).filter(|one| !one.has_moved) else { return };
        one.has_moved = true;
        drop(watched);
        self.moved.notify_one();
    }

    /// Waits until something has moved where somebody watches; answers who is to be told of which groups. Cancel-safe.
    async fn take_moved(&self) -> Vec<(GroupName, Vec<String>)> {
        loop {
            let moved = self.moved_at(Instant::now());
            if !moved.is_empty() {
                return moved;
            }
            self.moved.notified().await;
        }
    }

    fn moved_at(&self, now: Instant) -> Vec<(GroupName, Vec<String>)> {
        let mut watched = self.watched.lock();
        let mut moved = Vec::new();
        watched.retain(|group, one| {
            if std::mem::take(&mut one.has_moved) {
                one.users.retain(|_, watcher| watcher.until > now);
                moved.push((group.clone(), one.users.keys().cloned().collect()));
            }
            !one.users.is_empty()
        });
        moved.retain(|(_, users): &(_, Vec<_>)| !users.is_empty());
        moved
    }

    /// Whether this event says something that the user was not told before.
    fn is_news(&self, group: &GroupName, user: &str, envelope: &[u8]) -> bool {
        let mut watched = self.watched.lock();
        let Some(watcher) = watched.get_mut(group).and_then(|one| one.users.get_mut(user)) else { return false };
        let sum = xxh3_64(envelope).max(1);
        std::mem::replace(&mut watcher.told, sum) != sum
    }

    fn clear(&self) {
        self.watched.lock().clear();
    }
}

/// Who tells, for one shard.
pub struct ReceiptTeller {
    pub core: Core,
    pub group: Group<ShardMachine>,
    pub watches: Arc<ReceiptWatches>,
    pub relay: Relay,
}

impl ReceiptTeller {
    /// Runs until the shard closes.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.tell() => {}
        }
    }

    async fn tell(&self) {
        loop {
            for (group, users) in self.watches.take_moved().await {
                if self.group.leads_now().is_none() {
                    // Whoever watches asks the next leader.
                    self.watches.clear();
                    break;
                }
                let (view, name) = (self.group.view(), group.clone());
                let looking = tokio::task::spawn_blocking(move || standing(&view, &name, &users));
                match looking.await.unwrap_or(Err(Error::Interrupted)) {
                    Ok(receipts) => self.hand_out(&group, receipts).await,
                    Err(error) => tracing::error!(shard = self.core.shard, %error, "receipts could not be read"),
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn hand_out(&self, group: &GroupName, receipts: Vec<(String, GroupReceipt)>) {
        let told = receipts.into_iter().filter_map(|(user, receipt)| {
            let event = Some(envelope::Event::GroupReceipt(receipt));
            let envelope = Envelope { event }.encode_to_vec();
            let shard = shard_of(group.app(), &user, self.core.shards);
            let is_news = self.watches.is_news(group, &user, &envelope);
            is_news.then(|| self.relay.hand(shard, UserTransient { app: group.app().to_owned(), user, envelope }))
        });
        for outcome in futures_util::future::join_all(told).await {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a sender was not told how far its messages are");
            }
        }
    }
}

/// Whether a user may be told of what it sends to a group.
pub fn may_watch(view: &StateView, group: &GroupName, user: &str) -> Result<Result<(), ErrorCode>, Error> {
    Ok(group_and_member(view, group, user)?.map(drop))
}

/// How far messages of these users have come; of those who may not know there is nothing.
fn standing(view: &StateView, group: &GroupName, users: &[String]) -> Result<Vec<(String, GroupReceipt)>, Error> {
    let record: GroupRecord = load(view, "group", &keys::group(group))?.unwrap_or_default();
    let mut standing = Vec::new();
    // Of more members there are tallies.
    let is_one_by_one = record.members <= GROUP_RECEIPT_MEMBERS;
    let members = if is_one_by_one { Some(receivers(view, group, &record)?) } else { None };
    let messages = newest(view, group)?;
    for user in users {
        if may_watch(view, group, user)?.is_ok() {
            let messages = messages.get(user).map_or(&[][..], Vec::as_slice);
            let receipt = receipt_for(user, group, &record, members.as_deref(), messages);
            standing.push((user.clone(), receipt));
        }
    }
    Ok(standing)
}

/// A message, at its place, and the tally of it.
type Tallied = (u64, Option<TallyRecord>);

/// The newest messages that are kept, the newest first, by who sent them.
fn newest(view: &StateView, group: &GroupName) -> Result<HashMap<String, Vec<Tallied>>, Error> {
    let (from, to) = (keys::group_timeline(group, 0), keys::group_timeline(group, u64::MAX));
    let mut messages: HashMap<String, Vec<Tallied>> = HashMap::new();
    for (key, stored) in view.scan_reverse(&from, &to, LOOKED_AT)? {
        let place = keys::timeline_place(&key).ok_or(CoreError::Contradiction("a message's key has no place"))?;
        let Some(body) = view.get(&keys::group_body(group, place))? else { continue };
        if let Peeked::Message(head) = peek(&records::open_bytes("group body", body)?)? {
            messages.entry(head.from.to_owned()).or_default().push((place, tally_in(stored)?));
        }
    }
    Ok(messages)
}

/// `members` are those who receive, unless they are too many.
fn receipt_for(
    user: &str,
    group: &GroupName,
    record: &GroupRecord,
    members: Option<&[(String, GroupMemberRecord)]>,
    messages: &[Tallied],
) -> GroupReceipt {
    let others = || members.unwrap_or_default().iter().filter(|(name, _)| name != user);
    // What was said before somebody joined was not for them.
    let all = |reached: fn(&GroupMemberRecord) -> u64| {
        let lowest = others().map(|(_, member)| reached(member).max(member.joined_at.saturating_sub(1))).min();
        if members.is_some() { lowest.unwrap_or(record.last_seq).min(record.last_seq) } else { 0 }
    };
    // What the home once knew of all stays so.
    let delivered_to_all = all(|member| member.delivered).max(record.delivered_to_all);
    let read_by_all = all(|member| member.read).max(record.read_by_all);
    let of_message = |(place, tally): &Tallied| {
        let group_seq = *place;
        if let Some(tally) = tally {
            let (members, delivered, read) = (tally.members, have(tally), have_read(tally));
            return GroupMessageReceipt { group_seq, members, delivered, read };
        }
        let for_whom = || others().filter(|(_, member)| member.joined_at <= group_seq);
        let count = |so: &dyn Fn(&GroupMemberRecord) -> bool| {
            u32::try_from(for_whom().filter(|(_, member)| so(member)).count()).unwrap_or(u32::MAX)
        };
        GroupMessageReceipt {
            group_seq,
            members: count(&|_| true),
            delivered: count(&|member| member.delivered >= group_seq),
            read: count(&|member| member.read >= group_seq),
        }
    };
    // Of what is not tallied in a group of so many nothing is known.
    let is_known = |(_, tally): &&Tallied| members.is_some() || tally.is_some();
    // What wants no receipts is for nobody.
    let is_for_nobody = |tally: &Option<TallyRecord>| tally.as_ref().is_some_and(|tally| tally.members == 0);
    let unread = messages.iter().take_while(|(place, _)| *place > read_by_all).filter(is_known);
    let unread = unread.filter(|(_, tally)| !is_for_nobody(tally)).take(NAMED_MESSAGES);
    let mut unread: Vec<_> = unread.map(of_message).collect();
    unread.reverse();
    let named = if others().count() <= NAMED_MEMBERS { others().map(of_member).collect() } else { Vec::new() };
    GroupReceipt { group: group.group().to_owned(), delivered_to_all, read_by_all, messages: unread, members: named }
}

fn of_member((user, member): &(String, GroupMemberRecord)) -> GroupMemberReceipt {
    let GroupMemberRecord { joined_at, delivered, read, .. } = *member;
    let (delivered_at_ms, read_at_ms) = (times(member, delivered).0, times(member, read).1);
    GroupMemberReceipt { user: user.clone(), joined_at, delivered, read, delivered_at_ms, read_at_ms }
}

#[cfg(test)]
mod tests {
    use tidings_proto::mailbox::v1::{GroupChange, GroupReceipt as Told};

    use super::*;
    use crate::core::group::testing::{ALL, RECEIVE, SEND, group, kept, member};
    use crate::core::testing::Shard;

    const TEAM: &str = "team";

    /// Alice has said so many things.
    fn shard(others: usize, says: u64) -> Shard {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        let others = (0..others).map(|number| member(&format!("user-{number:04}"), ALL));
        let members: Vec<_> = [member("alice", ALL), member("sender", SEND)].into_iter().chain(others).collect();
        let (first, rest) = members.split_at(members.len().min(1_000));
        shard.form(TEAM, first);
        if !rest.is_empty() {
            shard.update_group(TEAM, 2, vec![GroupChange { put: rest.to_vec(), ..GroupChange::default() }]);
        }
        (1..=says).for_each(|seq| drop(shard.say_in(kept(TEAM, &alice, "alice", seq, "hi"))));
        shard
    }

    fn tell(shard: &mut Shard, user: &str, delivered: u64, read: u64) {
        let receipt = Told { user: user.to_owned(), delivered, read, ..Told::default() };
        shard.take_receipts(TEAM, vec![receipt]);
    }

    fn told(shard: &Shard, users: &[&str]) -> Vec<(String, GroupReceipt)> {
        let users: Vec<_> = users.iter().map(|user| (*user).to_owned()).collect();
        standing(&shard.store.view(), &group(TEAM), &users).unwrap()
    }

    #[test]
    fn watermarks_say_what_all_have_and_counts_what_some_have() {
        let mut shard = shard(3, 4);
        // Places 2 to 5, behind the event that the group was formed.
        tell(&mut shard, "user-0000", 5, 4);
        tell(&mut shard, "user-0001", 3, 2);
        tell(&mut shard, "user-0002", 4, 0);
        let (_, receipt) = told(&shard, &["alice"]).remove(0);
        assert_eq!((receipt.delivered_to_all, receipt.read_by_all), (3, 0));
        let counts = |one: &GroupMessageReceipt| (one.group_seq, one.members, one.delivered, one.read);
        let counts: Vec<_> = receipt.messages.iter().map(counts).collect();
        assert_eq!(counts, [(2, 3, 3, 2), (3, 3, 3, 1), (4, 3, 2, 1), (5, 3, 1, 0)]);
        assert_eq!(receipt.members.len(), 3, "who receives nothing has nothing to tell");
        for user in ["user-0001", "user-0002"] {
            tell(&mut shard, user, 5, 5);
        }
        let (_, receipt) = told(&shard, &["alice"]).remove(0);
        assert_eq!((receipt.delivered_to_all, receipt.read_by_all, receipt.messages.len()), (5, 4, 1));

        // One who joins later has nothing to do with what was said before.
        let put = vec![member("late", RECEIVE)];
        shard.update_group(TEAM, 2, vec![GroupChange { put, ..GroupChange::default() }]);
        let (_, receipt) = told(&shard, &["alice"]).remove(0);
        assert_eq!((receipt.delivered_to_all, receipt.read_by_all), (5, 4));
        assert_eq!(receipt.messages[0].members, 3);
        assert_eq!(told(&shard, &["sender", "nobody"]), [], "who receives nothing, and who is no member");
    }

    #[test]
    fn an_event_is_bounded_whatever_the_group_is() {
        let shard = shard(NAMED_MEMBERS, 40);
        let (_, receipt) = told(&shard, &["alice"]).remove(0);
        assert_eq!((receipt.messages.len(), receipt.members.len()), (NAMED_MESSAGES, NAMED_MEMBERS));
        assert_eq!(receipt.messages.last().unwrap().group_seq, 41, "the newest ones");
        let one_more = super::tests::shard(NAMED_MEMBERS + 1, 1);
        assert_eq!(told(&one_more, &["alice"])[0].1.members, []);
        let largest = super::tests::shard(998, 40);
        let (_, receipt) = told(&largest, &["alice"]).remove(0);
        assert!(receipt.encoded_len() < 512, "{}", receipt.encoded_len());
        let tallied = super::tests::shard(1_500, 40);
        assert_eq!(may_watch(&tallied.store.view(), &group(TEAM), "alice").unwrap(), Ok(()));
        let (_, receipt) = told(&tallied, &["alice"]).remove(0);
        assert_eq!((receipt.messages.len(), receipt.members.len()), (NAMED_MESSAGES, 0));
        assert!(receipt.encoded_len() < 512, "{}", receipt.encoded_len());
    }

    #[tokio::test]
    async fn a_watch_holds_for_its_lease_and_tells_what_is_new() {
        let watches = ReceiptWatches::default();
        let now = Instant::now();
        watches.moved(&group(TEAM));
        assert_eq!(watches.moved_at(now), [], "nobody watches");
        assert_eq!(watches.watch(group(TEAM), "alice".to_owned(), now), Some(30_000));
        let told = [(group(TEAM), vec!["alice".to_owned()])];
        assert_eq!(watches.take_moved().await, told, "at once, how it is");
        assert_eq!(watches.moved_at(now), []);
        assert!(watches.is_news(&group(TEAM), "alice", b"one") && !watches.is_news(&group(TEAM), "alice", b"one"));
        assert!(watches.is_news(&group(TEAM), "alice", b"two"));
        watches.moved(&group(TEAM));
        watches.moved(&group("other"));
        assert_eq!(watches.moved_at(now), told);
        watches.watch(group(TEAM), "alice".to_owned(), now + LEASE / 2);
        assert_eq!(watches.moved_at(now), told);
        assert!(watches.is_news(&group(TEAM), "alice", b"two"), "it may not have come");
        watches.moved(&group(TEAM));
        assert_eq!(watches.moved_at(now + LEASE), told);
        watches.moved(&group(TEAM));
        assert_eq!(watches.moved_at(now + LEASE * 2), []);
        watches.watch(group(TEAM), "alice".to_owned(), now);
        watches.end(&group(TEAM), "alice");
        assert_eq!(watches.moved_at(now), []);
    }

    #[tokio::test]
    async fn so_many_watch_a_group_and_so_many_groups_are_watched() {
        let watches = ReceiptWatches::default();
        let now = Instant::now();
        let watch = |name: &str, number: usize, now| watches.watch(group(name), format!("user-{number}"), now);
        assert!((0..WATCHERS).all(|number| watch(TEAM, number, now).is_some()));
        assert_eq!(watch(TEAM, WATCHERS, now), None);
        assert!(watch(TEAM, 0, now).is_some(), "who does already goes on");
        assert!((1..GROUPS).all(|number| watch(&format!("group-{number}"), 0, now).is_some()));
        assert_eq!(watch("one more", 0, now), None);
        assert!(watch("one more", 0, now + LEASE).is_some(), "what is over makes room");
    }
}
