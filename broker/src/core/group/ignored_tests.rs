//! Members who blocked what another says in groups: it does not come to them, in small groups and large ones, and they
//! do not see it.

use std::collections::BTreeSet;

use tidings_proto::ErrorCode;
use tidings_proto::client::v1::{Blocks, GetHistory, ListConversations, Search, UpdateConversation as Update};
use tidings_proto::mailbox::v1::{GroupChange, UpdateConversation, UpdateGroup, command::Command};
use tidings_proto::message::v1::{Block, MessageId, change::Kind, envelope};

use super::testing::{ALL, change, group, is_accepted, kept, member};
use crate::core::limits::BLOCKED;
use crate::core::testing::{APP, Shard, mailbox_of};
use crate::core::{AttachedDevice, Reply};
use crate::query;

const TEAM: &str = "team";

fn block(shard: &mut Shard, user: &str, other: &str, blocks: &[Block]) {
    let blocks = Some(Blocks { blocks: blocks.iter().map(|block| (*block).into()).collect() });
    shard.update(user, other, Update { blocks, ..Update::default() });
}

fn say(shard: &mut Shard, device: &AttachedDevice, user: &str, seq: u64, text: &str) {
    assert!(is_accepted(&shard.say_in(kept(TEAM, device, user, seq, text))));
}

fn changes(shard: &mut Shard, device: &AttachedDevice, user: &str, seq: u64, of: MessageId, kind: Kind) {
    assert!(is_accepted(&shard.say_in(change(TEAM, device, user, seq, of, kind))));
}

/// Who said and changed what waits in a mailbox.
fn waits(shard: &Shard, user: &str) -> Vec<String> {
    let from = |event| match event {
        Some(envelope::Event::Message(message)) => Some(message.from),
        Some(envelope::Event::Change(change)) => Some(format!("{} changes", change.from)),
        _ => None,
    };
    shard.entries(user, 0).into_iter().filter_map(|(_, envelope)| from(envelope.event)).collect()
}

/// The texts that a member finds in the group's history, and by searching.
fn sees(shard: &Shard, user: &str) -> Vec<String> {
    let (view, mailbox) = (shard.store.view(), mailbox_of(user));
    let ignored = query::ignored(&view, &mailbox).unwrap();
    let page = query::group_history(&view, &group(TEAM), user, &ignored, &GetHistory::default()).unwrap().unwrap();
    let texts: Vec<_> = page.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect();
    let search = Search { text: "said".to_owned(), ..Search::default() };
    let found = query::search_group(&view, &group(TEAM), user, &ignored, &search).unwrap().unwrap();
    let found: BTreeSet<_> = found.messages.into_iter().map(|one| one.message.unwrap().content.unwrap().text).collect();
    let searched: BTreeSet<_> = texts.iter().filter(|text| text.starts_with("said")).cloned().collect();
    assert_eq!(found, searched);
    texts
}

fn unread(shard: &Shard, user: &str) -> (u64, Option<String>) {
    let list = ListConversations::default();
    let listed = query::conversations(&shard.store.view(), &mailbox_of(user), &list).unwrap().conversations;
    let team = listed.into_iter().find(|one| one.group == TEAM).unwrap();
    (team.unread, team.last_message.map(|message| message.content.unwrap().text))
}

#[test]
fn what_a_blocked_member_says_and_changes_comes_to_the_others_alone() {
    let mut shard = Shard::alone();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| shard.attach(user, "phone", None));
    shard.form(TEAM, &["alice", "bob", "carol"].map(|user| member(user, ALL)));
    for (user, device) in [("bob", &bob), ("carol", &carol)] {
        shard.ack(user, device, u64::MAX);
    }
    block(&mut shard, "bob", "alice", &[Block::GroupMessages]);
    say(&mut shard, &carol, "carol", 1, "said by carol");
    say(&mut shard, &alice, "alice", 1, "said by alice");
    let of = MessageId { stream: alice.stream, seq: 1 };
    changes(&mut shard, &alice, "alice", 2, of, Kind::Edit);
    changes(&mut shard, &carol, "carol", 2, of, Kind::React);
    assert_eq!(waits(&shard, "bob"), ["carol", "carol changes"]);
    assert_eq!(waits(&shard, "carol"), ["carol", "alice", "alice changes", "carol changes"]);
    assert_eq!(sees(&shard, "bob"), ["said by carol"]);
    assert_eq!(sees(&shard, "carol"), ["said by carol", "edited"]);
    assert_eq!(unread(&shard, "bob"), (1, None));
    assert_eq!(unread(&shard, "carol"), (1, Some("edited".to_owned())));

    // Other blocks are others; and once it is over, all of it is seen again.
    block(&mut shard, "bob", "alice", &[Block::Calls, Block::Profile]);
    say(&mut shard, &alice, "alice", 3, "said afterwards");
    assert_eq!(waits(&shard, "bob"), ["carol", "carol changes", "alice"]);
    assert_eq!(sees(&shard, "bob"), ["said by carol", "edited", "said afterwards"]);
    assert_eq!(unread(&shard, "bob").0, 3);
    assert_eq!(shard.replay().dump(), shard.store.dump());
    shard.check(&["alice", "bob", "carol"]);
}

#[test]
fn in_a_large_group_those_who_follow_and_those_who_rest_are_spared_it() {
    let mut shard = Shard::alone();
    let [alice, _bob, carol] = ["alice", "bob", "carol"].map(|user| shard.attach(user, "phone", None));
    shard.form(TEAM, &[]);
    let members = ["alice", "bob", "carol", "dave"].map(|user| member(user, ALL));
    let changes = vec![GroupChange { put: members.to_vec(), ..GroupChange::default() }];
    let (app, group, large_beyond) = (APP.to_owned(), TEAM.to_owned(), 2);
    let update = UpdateGroup { app, group, from_revision: 1, to_revision: 2, changes, large_beyond };
    assert_eq!(shard.apply(Command::UpdateGroup(update)), Reply::GroupStands { revision: 2 });
    for user in ["bob", "dave"] {
        block(&mut shard, user, "alice", &[Block::GroupMessages]);
    }
    say(&mut shard, &alice, "alice", 1, "said by alice");
    say(&mut shard, &carol, "carol", 1, "said by carol");
    assert_eq!(waits(&shard, "bob"), ["carol"], "bob follows");
    assert_eq!(waits(&shard, "carol"), ["alice", "carol"]);
    // Dave was never there, and reads the shard's copy as he comes.
    assert_eq!(waits(&shard, "dave"), [""; 0]);
    shard.attach("dave", "phone", None);
    shard.apply(Command::ExpandGroups(Default::default()));
    assert_eq!(waits(&shard, "dave"), ["carol"]);
    assert_eq!(shard.replay().dump(), shard.store.dump());
    shard.check(&["alice", "bob", "carol", "dave"]);
}

#[test]
fn so_many_are_ignored_and_no_more() {
    let mut shard = Shard::alone();
    let ignored = |shard: &Shard| query::ignored(&shard.store.view(), &mailbox_of("bob")).unwrap();
    assert!(ignored(&shard).is_empty());
    let names: Vec<_> = (0..BLOCKED).map(|number| format!("user-{number:04}")).collect();
    // In any order; who is blocked otherwise is none of them.
    for name in names.iter().rev() {
        block(&mut shard, "bob", name, &[Block::GroupMessages, Block::Messages]);
    }
    block(&mut shard, "bob", "other", &[Block::Messages, Block::Calls]);
    assert_eq!(ignored(&shard), names);
    let blocks = Some(Blocks { blocks: vec![Block::GroupMessages.into()] });
    let update = Some(Update { blocks, ..Update::default() });
    let (app, user, with) = (APP.to_owned(), "bob".to_owned(), "one more".to_owned());
    let one_more = Command::UpdateConversation(UpdateConversation { app, user, with, update });
    assert_eq!(shard.apply(one_more.clone()), Reply::Refused(ErrorCode::InboxFull));
    block(&mut shard, "bob", "user-0500", &[]);
    assert!(matches!(shard.apply(one_more), Reply::Conversation(_)));
    assert_eq!(ignored(&shard).len(), BLOCKED);
}

#[test]
fn before_all_brokers_are_of_this_release_it_has_no_effect() {
    let mut shard = Shard::alone();
    let [alice, _bob] = ["alice", "bob"].map(|user| shard.attach(user, "phone", None));
    shard.form(TEAM, &["alice", "bob"].map(|user| member(user, ALL)));
    block(&mut shard, "bob", "alice", &[Block::GroupMessages]);
    shard.level = 2;
    say(&mut shard, &alice, "alice", 1, "said by alice");
    assert_eq!(waits(&shard, "bob"), ["alice"]);
    shard.level = 3;
    say(&mut shard, &alice, "alice", 2, "said by alice");
    assert_eq!(waits(&shard, "bob"), ["alice"]);
}
