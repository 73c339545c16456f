//! What a message says, on the command line: a text, and all that can stand beside it.

use std::io::Read as _;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use tidings_sdk::{Attachment, Content, FieldValue, Location, Mention, MessageId, Poll, PollOption, content};

use super::exit::{Exit, Failure, Outcome};
use super::field;
use super::moment::{self, Moment};

/// One of these is there, so that something is said. What else can be said joins it by its name.
pub const SAID: &str = "said";

/// Options of every command that sends.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new(SAID).required(true).multiple(true))]
pub struct ContentOptions {
    /// What to say; `-` reads it from stdin
    #[arg(default_value = "", group = SAID)]
    text: String,
    /// A title above the text
    #[arg(long, default_value = "")]
    title: String,
    /// What kind of message it is, a number of the application's own; 0 is plain text
    #[arg(long = "type", value_name = "NUMBER", default_value_t = 0)]
    kind: u32,
    /// A file whose bytes go in the message itself, as far as its size goes (`send --file` uploads one beside it)
    #[arg(long, value_name = "PATH", group = SAID)]
    data: Option<PathBuf>,
    /// A field of the application's own, text; may be given again
    #[arg(long = "field", value_name = "NAME=TEXT", value_parser = field::parse_text, group = SAID)]
    fields: Vec<(String, String)>,
    /// A typed one: integer, number, boolean, data (base64) or time (as in --at); may be given again
    #[arg(long = "value", value_name = "NAME=TYPE:VALUE", value_parser = field::parse_value, group = SAID)]
    values: Vec<(String, FieldValue)>,
    /// The message that it answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<MessageId>,
    /// The thread that it belongs to
    #[arg(long, default_value = "")]
    thread: String,
    /// It was said by another before
    #[arg(long)]
    forwarded: bool,
    /// A user whom it speaks of, wherever the text says `@` and the id; may be given again
    #[arg(long = "mention", value_name = "USER")]
    mentions: Vec<String>,
    /// It speaks of everybody in the conversation
    #[arg(long)]
    mention_all: bool,
    /// How its recipient is to be notified
    #[arg(long, value_enum, default_value_t = Priority::Normal)]
    priority: Priority,
    /// A place, in degrees north and east, such as 52.52,13.405
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true, group = SAID)]
    location: Option<Location>,
    /// Until when the place moves (by edits of the message): `15m` from now, or a time
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "location")]
    live_until: Option<Moment>,
    /// A question, with the answers of --option. A vote is a reaction: `change react ID 1`
    #[arg(long, value_name = "QUESTION", requires = "options", group = SAID)]
    poll: Option<String>,
    /// An answer to choose, numbered from 1 on; may be given again
    #[arg(long = "option", value_name = "TEXT", requires = "poll")]
    options: Vec<String>,
    /// How many answers each may choose
    #[arg(long, default_value_t = 1, requires = "poll")]
    choices: u32,
    /// Until when votes count: `1h` from now, or a time
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "poll")]
    closes: Option<Moment>,
}

/// How a recipient is to be notified.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Priority {
    /// Without a sound
    Low,
    Normal,
    High,
    /// Also where the conversation is muted
    Urgent,
}

impl From<Priority> for tidings_sdk::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Low => Self::Low,
            Priority::Normal => Self::Normal,
            Priority::High => Self::High,
            Priority::Urgent => Self::Urgent,
        }
    }
}

impl ContentOptions {
    /// All of it, with these files.
    pub fn content(&self, attachments: Vec<Attachment>) -> Outcome<Content> {
        let users: Vec<_> = self.mentions.iter().map(String::as_str).collect();
        let mut content = content::mentioning(self.text()?, &users);
        let nowhere = |user: &str| Mention { user: user.to_owned(), ..Mention::default() };
        let unnamed = |user: &&str| content.mentions.iter().all(|mention| mention.user != **user);
        let beside: Vec<_> = users.iter().copied().filter(unnamed).chain(self.mention_all.then_some("")).collect();
        content.mentions.extend(beside.into_iter().map(nowhere));
        let until = |moment: Option<Moment>| moment.map_or(0, Moment::at_ms);
        let live_until_ms = until(self.live_until);
        Ok(Content {
            r#type: self.kind,
            title: self.title.clone(),
            data: self.data()?.into(),
            fields: self.fields.iter().cloned().collect(),
            values: self.values.iter().cloned().collect(),
            reply_to: self.reply_to,
            thread: self.thread.clone(),
            forwarded: self.forwarded,
            priority: tidings_sdk::Priority::from(self.priority).into(),
            location: self.location.map(|place| Location { live_until_ms, ..place }),
            poll: self.poll.as_ref().and_then(|question| {
                let asked = content::poll(question, self.options.iter().map(String::as_str)).poll?;
                Some(Poll { choices: self.choices, closes_at_ms: until(self.closes), ..asked })
            }),
            attachments,
            ..content
        })
    }

    fn text(&self) -> Outcome<String> {
        if self.text != "-" {
            return Ok(self.text.clone());
        }
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text)
    }

    fn data(&self) -> Outcome<Vec<u8>> {
        let Some(path) = &self.data else { return Ok(Vec::new()) };
        let unreadable = |error| Failure::new(Exit::Other, format!("cannot read {}: {error}", path.display()));
        std::fs::read(path).map_err(unreadable)
    }
}

fn place(text: &str) -> Result<Location, String> {
    let degrees = text.split_once(',').and_then(|(north, east)| Some((north.parse().ok()?, east.parse().ok()?)));
    let place = degrees.and_then(|(north, east)| content::location(north, east));
    place.ok_or_else(|| format!("{text} is no place, such as 52.52,13.405"))
}

/// What a message says beside its text, for people: each in brackets.
pub fn beside(content: &Content) -> impl Iterator<Item = String> {
    let data = (!content.data.is_empty()).then(|| format!("[{} bytes of data]", content.data.len()));
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    let place = content.location.as_ref();
    let place = place.map(|it| format!("[at {},{}]", degrees(it.latitude_e7), degrees(it.longitude_e7)));
    let poll = content.poll.as_ref().map(|Poll { question, options, .. }| {
        let options = options.iter().map(|PollOption { id, text }| format!("{id}: {text}"));
        format!("[{question} {}]", options.collect::<Vec<_>>().join(", "))
    });
    [data, place, poll].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        content: ContentOptions,
    }

    fn parsed(words: &[&str]) -> Result<Content, clap::Error> {
        let cli = Cli::try_parse_from(["send"].iter().chain(words));
        cli.map(|cli| cli.content.content(Vec::new()).unwrap())
    }

    #[test]
    fn mentions_stand_in_the_text_or_beside_it() {
        let content = parsed(&["hi @bob", "--mention", "bob", "--mention", "ann", "--mention-all"]).unwrap();
        let named: Vec<_> = content.mentions.iter().map(|it| (it.user.as_str(), it.start, it.length)).collect();
        assert_eq!(named, [("bob", 3, 4), ("ann", 0, 0), ("", 0, 0)]);
    }

    #[test]
    fn a_place_and_a_poll_are_said_without_a_text() {
        let content = parsed(&["--location", "-33.5,151.25", "--live-until", "2027-01-01T08:00:00Z"]).unwrap();
        assert_eq!(content.location.unwrap().live_until_ms, 1_798_790_400_000);
        assert_eq!(beside(&content).collect::<Vec<_>>(), ["[at -33.5,151.25]"]);
        let content = parsed(&["--poll", "Lunch?", "--option", "noon", "--option", "one", "--choices", "2"]).unwrap();
        assert_eq!(content.poll.as_ref().unwrap().choices, 2);
        assert_eq!(beside(&content).collect::<Vec<_>>(), ["[Lunch? 1: noon, 2: one]"]);
    }

    #[test]
    fn what_says_nothing_or_nonsense_is_refused() {
        for words in [
            &[][..],
            &["--title", "x"],
            &["--location", "91,0"],
            &["--poll", "Lunch?"],
            &["hi", "--option", "noon"],
            &["hi", "--live-until", "1h"],
            &["hi", "--reply-to", "5"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }
}
