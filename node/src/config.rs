//! Configuration: a TOML file of sections, then the environment (`TIDINGS_<SECTION>__<KEY>`), then flags
//! (`section.key=value`); what comes later wins. Each part of the program takes its own section and checks it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::Error;
use crate::section::known_keys;

/// Environment variables of the configuration start with this and hold a double underscore; others are not touched.
pub const ENVIRONMENT_PREFIX: &str = "TIDINGS_";

/// A part of the configuration. Derive `Deserialize` with `#[serde(default)]`, so that each key may be left out.
pub trait Section: DeserializeOwned + Default {
    /// The name between brackets in the file.
    const NAME: &'static str;

    /// Whether the values are in range and fit each other; the error is the rest of a sentence.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// All that was configured, before it is checked section by section.
#[derive(Debug, Clone, Default)]
pub struct Config {
    file: Option<PathBuf>,
    sections: BTreeMap<String, BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    /// What an environment variable or a flag said, for keys that want text which looks like something else.
    text: Option<String>,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    File(PathBuf),
    Variable(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "the environment ({name})"),
            Self::Flag => f.write_str("the command line"),
        }
    }
}

impl Config {
    /// Reads the file, if there is one, and lays the environment and the flags over it. Values from outside the file
    /// are TOML where they parse as such, otherwise text.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut config = Self { file: file.map(Path::to_path_buf), ..Self::default() };
        if let Some(file) = file {
            config.read_file(file)?;
        }
        let mut variables: Vec<_> = environment.filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
        variables.sort();
        for (name, text) in variables {
            if let Some((section, key)) = name[ENVIRONMENT_PREFIX.len()..].split_once("__") {
                let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
                config.set(&section, &key, &text, Origin::Variable(name.clone()));
            }
        }
        for (name, text) in overrides {
            let parts = name.split_once('.').filter(|(section, key)| !section.is_empty() && !key.is_empty());
            let (section, key) = parts.ok_or_else(|| Error::ConfigFlag { flag: name.clone() })?;
            config.set(section, key, text, Origin::Flag);
        }
        Ok(config)
    }

    fn read_file(&mut self, file: &Path) -> Result<(), Error> {
        let text =
            std::fs::read_to_string(file).map_err(|source| Error::ConfigFile { file: file.to_path_buf(), source })?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| Error::ConfigSyntax {
            file: file.to_path_buf(),
            line: error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count()),
            reason: error.message().trim_end().replace('\n', ", "),
        })?;
        for (section, keys) in table {
            let Value::Table(keys) = keys else {
                return Err(Error::ConfigValue {
                    place: format!("{} in {}", section, file.display()),
                    reason: "a key outside of any section".to_owned(),
                });
            };
            let origin = Origin::File(file.to_path_buf());
            let entries =
                keys.into_iter().map(|(key, value)| (key, Entry { value, text: None, origin: origin.clone() }));
            self.sections.entry(section).or_default().extend(entries);
        }
        Ok(())
    }

    fn set(&mut self, section: &str, key: &str, text: &str, origin: Origin) {
        let entry = Entry { value: value_of(text), text: Some(text.to_owned()), origin };
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), entry);
    }

    /// A section, checked; its default where nothing was said. The error names where the mistake stands.
    pub fn section<T: Section>(&self) -> Result<T, Error> {
        let Some(entries) = self.sections.get(T::NAME) else {
            return Self::validated(T::default(), T::NAME, "the defaults".to_owned());
        };
        let mut table = Table::new();
        for (key, entry) in entries {
            let place = || format!("[{}] {key} in {}", T::NAME, entry.origin);
            if let Some(known) = known_keys::<T>().filter(|known| !known.contains(&key.as_str())) {
                let reason = format!("no such key; there are: {}", known.join(", "));
                return Err(Error::ConfigValue { place: place(), reason });
            }
            let value =
                fitting_value::<T>(key, entry).map_err(|reason| Error::ConfigValue { place: place(), reason })?;
            table.insert(key.clone(), value);
        }
        let origin = self.origin_of(entries);
        let section = table.try_into::<T>().map_err(|error| Error::ConfigValue {
            place: format!("[{}] in {origin}", T::NAME),
            reason: one_line(error.message()),
        })?;
        Self::validated(section, T::NAME, origin)
    }

    fn validated<T: Section>(section: T, name: &str, origin: String) -> Result<T, Error> {
        let place = || format!("[{name}] in {origin}");
        section.validate().map_err(|reason| Error::ConfigValue { place: place(), reason })?;
        Ok(section)
    }

    fn origin_of(&self, entries: &BTreeMap<String, Entry>) -> String {
        let mut origins: Vec<String> = entries.values().map(|entry| entry.origin.to_string()).collect();
        origins.sort();
        origins.dedup();
        origins.join(" and ")
    }

    /// The sections that were written but that nobody reads, each with where it stands: a misspelt one changes nothing
    /// and is therefore worth a refusal.
    pub fn unknown_sections(&self, known: &[&str]) -> Vec<String> {
        let unknown = self.sections.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        unknown.map(|(name, entries)| format!("[{name}] in {}", self.origin_of(entries))).collect()
    }

    /// The keys that a section knows.
    pub fn keys<T: Section>() -> &'static [&'static str] {
        known_keys::<T>().unwrap_or_default()
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// The value, or its text where the key wants text; checked alone, so that an error is about this key.
fn fitting_value<T: Section>(key: &str, entry: &Entry) -> Result<Value, String> {
    let alone = |value: Value| -> Result<Value, String> {
        let table = Table::from_iter([(key.to_owned(), value.clone())]);
        table.try_into::<T>().map(|_| value).map_err(|error| one_line(error.message()))
    };
    let typed = alone(entry.value.clone());
    match (&typed, &entry.text) {
        (Err(_), Some(text)) => alone(Value::String(text.clone())).or(typed),
        _ => typed,
    }
}

fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
    match parsed.and_then(|mut table| table.remove("value")) {
        Some(Value::Datetime(_)) | None => Value::String(text.to_owned()),
        Some(value) => value,
    }
}

fn one_line(message: &str) -> String {
    message.trim_end().replace('\n', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Gate {
        listen: SocketAddr,
        limit: u32,
        name: String,
        origins: Vec<String>,
    }

    impl Default for Gate {
        fn default() -> Self {
            let listen = SocketAddr::from(([127, 0, 0, 1], 80));
            Self { listen, limit: 10, name: "gate".to_owned(), origins: Vec::new() }
        }
    }

    impl Section for Gate {
        const NAME: &'static str = "gate";
        fn validate(&self) -> Result<(), String> {
            if self.limit == 0 { Err("limit must be 1 or more".to_owned()) } else { Ok(()) }
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, file).unwrap();
        Config::load(Some(&path), pairs(environment).into_iter(), &pairs(flags))
    }

    fn refusal(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
        load(file, environment, flags).and_then(|config| config.section::<Gate>()).unwrap_err().to_string()
    }

    #[test]
    fn later_sources_win_and_what_is_not_said_is_the_default() {
        let file = "[gate]\nlimit = 1\nname = \"file\"\norigins = [\"a\"]\n";
        let environment = [("TIDINGS_GATE__LIMIT", "2"), ("TIDINGS_GATE__NAME", "env"), ("OTHER_GATE__LIMIT", "9")];
        let config = load(file, &environment, &[("gate.limit", "3")]).unwrap();
        let gate: Gate = config.section().unwrap();
        let expected = Gate { limit: 3, name: "env".to_owned(), origins: vec!["a".to_owned()], ..Gate::default() };
        assert_eq!(gate, expected);
        assert_eq!(Config::default().section::<Gate>().unwrap(), Gate::default());
    }

    #[test]
    fn text_from_outside_may_look_like_a_number_or_an_address_or_a_list() {
        let environment = [("TIDINGS_GATE__NAME", "007"), ("TIDINGS_GATE__LISTEN", "[::1]:9")];
        let config = load("", &environment, &[("gate.origins", "[\"x\", \"y\"]")]).unwrap();
        let gate: Gate = config.section().unwrap();
        assert_eq!((gate.name.as_str(), gate.listen.to_string().as_str()), ("007", "[::1]:9"));
        assert_eq!(gate.origins, ["x", "y"]);
    }

    #[test]
    fn an_error_names_the_place_and_the_reason_in_one_sentence() {
        let message = refusal("[gate]\nlimt = 1\n", &[], &[]);
        assert!(message.contains("[gate] limt in ") && message.contains("t.toml"), "{message}");
        assert!(message.ends_with("no such key; there are: listen, limit, name, origins"), "{message}");

        let message = refusal("[gate]\nlisten = \"nowhere\"\n", &[], &[]);
        assert!(message.contains("[gate] listen in ") && message.contains("invalid socket address"), "{message}");

        let message = refusal("", &[("TIDINGS_GATE__LIMIT", "many")], &[]);
        assert!(message.starts_with("[gate] limit in the environment (TIDINGS_GATE__LIMIT): "), "{message}");

        let message = refusal("", &[], &[("gate.limit", "0")]);
        assert_eq!(message, "[gate] in the command line: limit must be 1 or more");
        for message in [refusal("[gate]\nname = 1\n", &[], &[]), refusal("limit = 3\n", &[], &[])] {
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_broken_file_names_its_line_and_a_missing_one_its_path() {
        let message = refusal("[gate]\nlimit = \n", &[], &[]);
        assert!(message.contains("t.toml, line 2: "), "{message}");
        let missing = Config::load(Some(Path::new("/nowhere/t.toml")), std::iter::empty(), &[]).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/t.toml"), "{missing}");
    }

    #[test]
    fn misspelt_sections_and_malformed_flags_are_found() {
        let config = load("[gate]\n[gaet]\nlimit = 1\n", &[("TIDINGS_GTAE__LIMIT", "1")], &[]).unwrap();
        let unknown = config.unknown_sections(&["gate"]);
        assert_eq!(unknown.len(), 2);
        assert!(unknown[0].starts_with("[gaet] in ") && unknown[1].contains("TIDINGS_GTAE__LIMIT"), "{unknown:?}");
        assert!(load("", &[], &[("limit", "1")]).is_err());
    }
}
