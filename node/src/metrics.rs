//! The Prometheus recorder behind the `metrics` macros, and the page that is scraped.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::Error;
use crate::process::ProcessFigures;

/// Bounds of histograms of durations (`_seconds`): 100 µs to 30 s.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of histograms of sizes (`_bytes`): 64 B to 16 MiB.
const BYTES: &[f64] = &[64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0];
/// Bounds of all other histograms (records in a batch, entries in a page).
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// Renders what was recorded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

impl Metrics {
    /// Makes this process record from now on; a second call answers the same recorder.
    pub fn install() -> Result<Self, Error> {
        // Held throughout: who comes second finds the recorder of the first, not half of an installation.
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let recorder = recorder()?;
        let metrics = Self(recorder.handle());
        // A recorder that is not ours shows nothing and is an error.
        metrics::set_global_recorder(recorder).map_err(|_| Error::AlreadyInstalled { what: "a metrics recorder" })?;
        Ok(installed.insert(metrics).clone())
    }

    /// The page, with the figures of the process as of now.
    pub fn render(&self) -> String {
        let mut page = self.0.render();
        page.push_str(&ProcessFigures::measure().render());
        page
    }

    /// Folds recorded samples into buckets, which otherwise wait for the next [`Metrics::render`]; call it every few
    /// seconds so that memory stays bounded where nobody scrapes.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn recorder() -> Result<PrometheusRecorder, Error> {
    let build = || {
        PrometheusBuilder::new()
            .set_buckets(COUNTS)?
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES)
    };
    let builder = build().map_err(|_| Error::AlreadyInstalled { what: "a histogram without buckets" })?;
    Ok(builder.build_recorder())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_get_buckets_by_their_unit_and_the_process_is_on_the_page() {
        let recorder = recorder().unwrap();
        let metrics = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("tidings_test_send_seconds").record(0.0003);
            metrics::histogram!("tidings_test_batch_records").record(3.0);
            metrics::counter!("tidings_test_sent_total").increment(2);
        });
        metrics.upkeep();
        let page = metrics.render();
        assert!(page.contains("tidings_test_send_seconds_bucket{le=\"0.0005\"} 1"), "{page}");
        assert!(page.contains("tidings_test_batch_records_bucket{le=\"4\"} 1"), "{page}");
        assert!(page.contains("tidings_test_sent_total 2") && page.contains("process_open_fds"), "{page}");
    }

    #[test]
    fn installing_twice_answers_the_same_recorder() {
        let first = Metrics::install().unwrap();
        let second = Metrics::install().unwrap();
        metrics::counter!("tidings_test_installed_total").increment(1);
        assert!(first.render().contains("tidings_test_installed_total 1"));
        assert!(second.render().contains("tidings_test_installed_total 1"));
    }
}
