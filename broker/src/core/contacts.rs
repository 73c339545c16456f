//! Whom a user has among the contacts, and who has the user among theirs. Where policies let users do something with
//! their contacts alone, the shard of the other says whether they are: it hears of it through the channel, when the
//! contact is made.

use bytes::Bytes;
use tidings_proto::mailbox::v1::{ChannelItem, Contact, ContactOf, ContactsRecord, channel_item};
use tidings_proto::policy::v1::Audience;
use tidings_proto::shard::shard_of;

use super::conversation::conversation_with;
use super::erase::Room;
use super::keys::{self, MailboxId};
use super::limits::CONTACTS;
use super::records::{self, CoreError};
use super::{Applying, Effect};

/// Whether the user of a mailbox is among those to whom the policy of `from` lets that one send. `read` answers what is
/// stored under a key.
pub fn is_reached_by<E: From<CoreError>>(
    mailbox: &MailboxId,
    from: &str,
    audience: Audience,
    read: impl Fn(&[u8]) -> Result<Option<Bytes>, E>,
) -> Result<bool, E> {
    if from == mailbox.user() {
        return Ok(audience != Audience::Nobody);
    }
    match audience {
        Audience::Unspecified | Audience::All => Ok(true),
        Audience::Nobody => Ok(false),
        Audience::Contacts | Audience::Paired if read(&keys::contact_of(mailbox, from))?.is_none() => Ok(false),
        Audience::Contacts => Ok(true),
        Audience::Paired => {
            Ok(conversation_with(mailbox, from, read)?.is_some_and(|conversation| conversation.contact))
        }
    }
}

/// The contacts as they are to be with one more, or one less.
pub(super) struct Listed {
    record: ContactsRecord,
    is_contact: bool,
}

impl Listed {
    /// There is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.record.contacts.len() > CONTACTS
    }
}

impl Applying<'_> {
    /// Whether the policy of `from` lets that one send to the user of a mailbox.
    pub(super) fn is_reached_by(&self, mailbox: &MailboxId, from: &str, audience: Audience) -> Result<bool, CoreError> {
        is_reached_by(mailbox, from, audience, |key| Ok::<_, CoreError>(self.store.get(key)))
    }

    /// Another user among the contacts, or out of them; `None` when that is so already.
    pub(super) fn list_contact(
        &self,
        mailbox: &MailboxId,
        with: &str,
        is_contact: bool,
    ) -> Result<Option<Listed>, CoreError> {
        let mut record = self.contacts(mailbox)?;
        match (find(&record, with), is_contact) {
            (Err(place), true) => {
                let is_paired = self.store.get(&keys::contact_of(mailbox, with)).is_some();
                record.contacts.insert(place, Contact { user: with.to_owned(), is_paired });
            }
            (Ok(place), false) => drop(record.contacts.remove(place)),
            _ => return Ok(None),
        }
        Ok(Some(Listed { record, is_contact }))
    }

    /// Saves the contacts, and lets the shard of the other know.
    pub(super) fn save_contacts(&mut self, mailbox: &MailboxId, with: &str, listed: &Listed) -> Result<(), CoreError> {
        self.store.put(keys::contacts(mailbox), records::seal(&listed.record));
        self.effects.push(Effect::ContactsChanged { mailbox: mailbox.clone() });
        self.tell_contact(mailbox, with, listed.is_contact)
    }

    /// Lets the shard of another know whether it is a contact of this user.
    fn tell_contact(&mut self, mailbox: &MailboxId, with: &str, is_contact: bool) -> Result<(), CoreError> {
        let (app, of) = (mailbox.app(), mailbox.user());
        let told = ContactOf { of: of.to_owned(), is_contact };
        let shard = shard_of(app, with, self.core.shards);
        if shard == self.core.shard {
            let other = MailboxId::new(app, with).ok_or(CoreError::Contradiction("a contact has no id"))?;
            return self.take_contact_of(&other, &told);
        }
        let item = Some(channel_item::Item::ContactOf(told));
        self.push_item(shard, &ChannelItem { app: app.to_owned(), user: with.to_owned(), item, seq: 0 })
    }

    /// A user who was deleted has no contacts any more.
    pub(super) fn erase_contacts(&mut self, mailbox: &MailboxId, room: &mut Room) -> Result<(), CoreError> {
        let key = keys::contacts(mailbox);
        if room.left() == 0 || self.store.get(&key).is_none() {
            return Ok(());
        }
        let mut record = self.contacts(mailbox)?;
        let gone = record.contacts.split_off(record.contacts.len().saturating_sub(room.left()));
        for contact in gone {
            self.tell_contact(mailbox, &contact.user, false)?;
            room.take();
        }
        if room.left() > 0 {
            self.store.delete(&key);
            room.take();
        } else {
            self.store.put(key, records::seal(&record));
        }
        Ok(())
    }

    /// Another user has this one among the contacts now, or no longer.
    pub(super) fn take_contact_of(&mut self, mailbox: &MailboxId, told: &ContactOf) -> Result<(), CoreError> {
        let key = keys::contact_of(mailbox, &told.of);
        match told.is_contact {
            true => self.store.put(key, Bytes::new()),
            false => self.store.delete(&key),
        }
        let mut record = self.contacts(mailbox)?;
        if let Ok(place) = find(&record, &told.of) {
            record.contacts[place].is_paired = told.is_contact;
            self.store.put(keys::contacts(mailbox), records::seal(&record));
            self.effects.push(Effect::ContactsChanged { mailbox: mailbox.clone() });
        }
        Ok(())
    }

    fn contacts(&self, mailbox: &MailboxId) -> Result<ContactsRecord, CoreError> {
        Ok(self.load("contacts", &keys::contacts(mailbox))?.unwrap_or_default())
    }
}

fn find(record: &ContactsRecord, user: &str) -> Result<usize, usize> {
    record.contacts.binary_search_by(|contact| contact.user.as_str().cmp(user))
}

#[cfg(test)]
mod tests {
    use tidings_consensus::StateStore as _;
    use tidings_proto::ErrorCode;
    use tidings_proto::client::v1::UpdateConversation as Update;
    use tidings_proto::mailbox::v1::{AppendMessage, UpdateConversation, command::Command};

    use super::super::scenarios::users_of_two_shards;
    use super::super::testing::{APP, Shard, message, post};
    use super::super::{AttachedDevice, Reply};
    use super::*;

    fn contact(is_contact: bool) -> Update {
        Update { contact: Some(is_contact), ..Update::default() }
    }

    fn to_bob(alice: &AttachedDevice, seq: u64, audience: Audience) -> Command {
        let audience = audience.into();
        Command::AppendMessage(AppendMessage { audience, ..message("bob", alice, "alice", seq) })
    }

    fn is_taken(reply: &Reply) -> bool {
        match reply {
            Reply::Appended { duplicate: false, .. } => true,
            Reply::Refused(ErrorCode::RefusedByPolicy) => false,
            other => panic!("{other:?}"),
        }
    }

    /// Which of the audiences take the next messages from alice.
    fn taken(shard: &mut Shard, alice: &AttachedDevice, seq: &mut u64) -> Vec<Audience> {
        let all = [Audience::Unspecified, Audience::All, Audience::Contacts, Audience::Paired, Audience::Nobody];
        let takes = |audience: &Audience| {
            let is_taken = is_taken(&shard.apply(to_bob(alice, *seq, *audience)));
            *seq += u64::from(is_taken);
            is_taken
        };
        all.into_iter().filter(takes).collect()
    }

    #[test]
    fn contacts_are_reached_and_pairs_once_both_said_so() {
        let mut shard = Shard::alone();
        let (alice, mut seq) = (shard.attach("alice", "phone", None), 1);
        let anybody = [Audience::Unspecified, Audience::All];
        assert_eq!(taken(&mut shard, &alice, &mut seq), anybody);
        // Bob's own contacts are not alice's.
        assert!(shard.update("bob", "alice", contact(true)).contact);
        assert_eq!(taken(&mut shard, &alice, &mut seq), anybody);
        assert!(shard.update("alice", "bob", contact(true)).contact);
        let paired = [Audience::Unspecified, Audience::All, Audience::Contacts, Audience::Paired];
        assert_eq!(taken(&mut shard, &alice, &mut seq), paired);
        // Something else that is set leaves it as it is.
        assert!(shard.update("bob", "alice", Update { archived: Some(true), ..Update::default() }).contact);
        assert!(!shard.update("bob", "alice", contact(false)).contact);
        assert_eq!(taken(&mut shard, &alice, &mut seq), paired[..3]);
        shard.update("alice", "bob", contact(false));
        assert_eq!(taken(&mut shard, &alice, &mut seq), anybody);
        shard.check(&["alice", "bob"]);
        assert_eq!(shard.replay().dump(), shard.store.dump());
    }

    #[test]
    fn one_reaches_oneself_and_a_backend_goes_by_the_senders_policy() {
        let mut shard = Shard::alone();
        let alice = shard.attach("alice", "phone", None);
        let audience = Audience::Paired.into();
        let own = AppendMessage { audience, ..message("alice", &alice, "alice", 1) };
        assert!(is_taken(&shard.apply(Command::AppendMessage(own))));
        let mut posted = post("alice", "1");
        posted.message.as_mut().unwrap().audience = audience;
        let refused = Reply::Refused(ErrorCode::RefusedByPolicy);
        assert_eq!(shard.apply(Command::PostMessage(posted.clone())), refused);
        shard.update("alice", "bob", contact(true));
        shard.update("bob", "alice", contact(true));
        assert!(matches!(shard.apply(Command::PostMessage(posted)), Reply::Posted { .. }));
    }

    #[test]
    fn the_shard_of_the_other_hears_of_it_once() {
        let [here, there] = users_of_two_shards();
        let (mut first, mut second) = (Shard::new(0, 2), Shard::new(1, 2));
        let of_there = keys::contact_of(&MailboxId::new(APP, &there).unwrap(), &here);
        for is_contact in [true, true, false] {
            first.update(&here, &there, contact(is_contact));
            second.deliver(first.page(1, 0, 9).unwrap());
            assert_eq!(second.store.get(&of_there).is_some(), is_contact);
        }
        assert_eq!(first.page(1, 0, 9).unwrap().last_seq, 2, "what is so already is not told again");
    }

    #[test]
    fn there_are_a_thousand_contacts_and_no_more() {
        let mut shard = Shard::alone();
        for number in 0..CONTACTS {
            shard.update("alice", &number.to_string(), contact(true));
        }
        let update = |with: &str, is_contact| {
            let (app, user, with) = (APP.to_owned(), "alice".to_owned(), with.to_owned());
            Command::UpdateConversation(UpdateConversation { app, user, with, update: Some(contact(is_contact)) })
        };
        let before = shard.store.dump();
        assert_eq!(shard.apply(update("one more", true)), Reply::Refused(ErrorCode::InboxFull));
        assert_eq!(shard.store.dump(), before);
        assert!(matches!(shard.apply(update("7", true)), Reply::Conversation(_)), "it is one");
        assert!(matches!(shard.apply(update("7", false)), Reply::Conversation(_)));
        assert!(matches!(shard.apply(update("one more", true)), Reply::Conversation(_)));
    }
}
