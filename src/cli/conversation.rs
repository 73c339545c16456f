//! `tidings conversation`: how one of a user's conversations stands: read up to where, muted, blocked.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tidings_proto::client::v1::Blocks;
use tidings_proto::message::v1::Block;
use tidings_sdk::UpdateConversation;

use super::conversations::{HEADINGS, row};
use super::exit::{EXIT_CODES, Exit, Failure, Outcome};
use super::gateway::GatewayOptions;
use super::moment::{self, Moment};
use super::{duration, output};

/// `tidings conversation`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ConversationCommand {
    #[command(flatten)]
    which: Which,
    /// Read up to this place, as `history` shows it; senders are not told
    #[arg(long, value_name = "PLACE")]
    read: Option<u64>,
    /// Show it as unread
    #[arg(long, value_name = "true|false")]
    unread: Option<bool>,
    /// Not to be notified of until then (`8h`, or a time in RFC 3339); 0 ends it
    #[arg(long, value_name = "UNTIL", value_parser = moment::parse)]
    mute: Option<Moment>,
    /// Out of the way
    #[arg(long, value_name = "true|false")]
    archived: Option<bool>,
    /// Among the favourites
    #[arg(long, value_name = "true|false")]
    favourite: Option<bool>,
    /// The other is among the user's contacts
    #[arg(long, value_name = "true|false")]
    contact: Option<bool>,
    /// What the other may not do, instead of what was said before; `none` lifts all
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    block: Vec<Kind>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// How long to wait for the answer
    #[arg(long, value_parser = duration::parse, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    gateway: GatewayOptions,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The other user
    #[arg(long, value_name = "USER")]
    with: Option<String>,
    /// A group that the user is in
    #[arg(long)]
    group: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Messages,
    Calls,
    GroupMessages,
    Profile,
    None,
}

impl Kind {
    fn block(self) -> Option<i32> {
        Some(match self {
            Self::Messages => Block::Messages.into(),
            Self::Calls => Block::Calls.into(),
            Self::GroupMessages => Block::GroupMessages.into(),
            Self::Profile => Block::Profile.into(),
            Self::None => return None,
        })
    }
}

impl ConversationCommand {
    pub async fn run(self) -> Outcome {
        let update = self.update();
        let nothing =
            UpdateConversation { with: update.with.clone(), group: update.group.clone(), ..Default::default() };
        if update == nothing {
            let message =
                "nothing to change: give --read, --unread, --mute, --archived, --favourite, --contact or --block";
            return Err(Failure::new(Exit::Invalid, message));
        }
        let (client, events) = self.gateway.sender()?.connect()?;
        drop(events);
        let asking = tokio::time::timeout(self.timeout, client.update_conversation(update));
        let conversation = asking.await.map_err(|_| Failure::new(Exit::Unreachable, "no answer in time"))??;
        client.close().await;
        if self.json {
            return Ok(output::json(&json!(conversation))?);
        }
        Ok(output::table(HEADINGS, &[row(&conversation)])?)
    }

    fn update(&self) -> UpdateConversation {
        let ends = |moment: &Moment| *moment == Moment::After(Duration::ZERO);
        let blocks = || Blocks { blocks: self.block.iter().filter_map(|kind| kind.block()).collect() };
        UpdateConversation {
            with: self.which.with.clone().unwrap_or_default(),
            group: self.which.group.clone().unwrap_or_default(),
            read_place: self.read,
            marked_unread: self.unread,
            mute_until_ms: self.mute.map(|moment| if ends(&moment) { 0 } else { moment.at_ms() }),
            archived: self.archived,
            favourite: self.favourite,
            blocks: (!self.block.is_empty()).then(blocks),
            contact: self.contact,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        command: ConversationCommand,
    }

    fn parsed(words: &[&str]) -> Result<UpdateConversation, clap::Error> {
        let words = ["conversation", "--token", "t"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| cli.command.update())
    }

    #[test]
    fn what_is_named_is_set_and_nothing_else() {
        let with_bob = UpdateConversation { with: "bob".to_owned(), ..UpdateConversation::default() };
        assert_eq!(parsed(&["--with", "bob"]).unwrap(), with_bob);
        let blocks = |blocks: &[Block]| Some(Blocks { blocks: blocks.iter().map(|block| (*block).into()).collect() });
        let set = parsed(&["--with", "bob", "--block", "group-messages,profile", "--archived", "false"]).unwrap();
        let blocks_of = blocks(&[Block::GroupMessages, Block::Profile]);
        assert_eq!(set, UpdateConversation { blocks: blocks_of, archived: Some(false), ..with_bob.clone() });
        let lifted = parsed(&["--with", "bob", "--block", "none", "--mute", "0"]).unwrap();
        assert_eq!(lifted, UpdateConversation { blocks: blocks(&[]), mute_until_ms: Some(0), ..with_bob });
        let muted = parsed(&["--group", "team", "--mute", "2027-01-01T08:00:00Z"]).unwrap();
        assert_eq!((muted.group.as_str(), muted.mute_until_ms), ("team", Some(1_798_790_400_000)));
        for nonsense in [&["--block", "none"][..], &["--with", "a", "--group", "b"], &["--with", "a", "--block", "all"]]
        {
            assert!(parsed(nonsense).is_err(), "{nonsense:?}");
        }
    }
}
