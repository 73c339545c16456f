//! Logs: one line per event for people, or one JSON object per event for machines, on standard error.

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::Error;
use crate::config::Section;

/// The `[telemetry]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Which events are written, in the syntax of `RUST_LOG`: `info`, `warn,tidings_broker=debug`.
    pub filter: String,
    /// How they are written.
    pub format: LogFormat,
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { filter: "info,openraft=error".to_owned(), format: LogFormat::Human }
    }
}

impl Section for TelemetryConfig {
    const NAME: &'static str = "telemetry";

    fn validate(&self) -> Result<(), String> {
        EnvFilter::try_new(&self.filter).map(|_| ()).map_err(|error| format!("filter {:?}: {error}", self.filter))
    }
}

/// Sends the events of this process to standard error from now on. Once per process.
pub fn install(config: &TelemetryConfig) -> Result<(), Error> {
    let subscriber = subscriber(config, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadyInstalled { what: "a logger" })
}

/// What writes events to a writer of choice.
pub fn subscriber<W>(config: &TelemetryConfig, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| Error::LogFilter { filter: config.filter.clone(), reason: error.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match config.format {
        LogFormat::Human => Box::new(builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, format: LogFormat) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let config = TelemetryConfig { filter: filter.to_owned(), format };
        let subscriber = subscriber(&config, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(shard = 7, "opened");
            tracing::debug!("details");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_has_the_fields_and_the_filter_holds() {
        let lines = written("info", LogFormat::Json);
        assert_eq!(lines.lines().count(), 1);
        let event: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!((&event["message"], &event["shard"]), (&"opened".into(), &7.into()));
        assert_eq!(written("debug", LogFormat::Json).lines().count(), 2);
    }

    #[test]
    fn people_get_a_line() {
        let line = written("info", LogFormat::Human);
        assert!(line.contains("INFO") && line.contains("opened") && line.contains("shard=7"), "{line}");
    }

    #[test]
    fn a_broken_filter_is_refused() {
        let config = TelemetryConfig { filter: "info,=x=".to_owned(), ..TelemetryConfig::default() };
        assert!(config.validate().unwrap_err().starts_with("filter"));
    }
}
