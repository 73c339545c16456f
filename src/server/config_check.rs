//! `tidings config check`: every section, as the roles would read it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use tidings_broker::BrokerConfig;
use tidings_consensus::StorageConfig;
use tidings_control_plane::ControlPlaneConfig;
use tidings_files::FilesConfig;
use tidings_gateway::GatewayConfig;
use tidings_node::admin::AdminConfig;
use tidings_node::cluster::ClusterConfig;
use tidings_node::telemetry::TelemetryConfig;
use tidings_node::tls::{NodeTlsConfig, TlsConfig};
use tidings_node::{Config, Section};

use super::demo::DemoConfig;
use super::{EXIT_CONFIGURATION, ServerArguments, failed};

/// Checks, and says what was found.
#[allow(clippy::print_stdout)] // The answer of a command.
pub fn run(arguments: &ServerArguments) -> ExitCode {
    match arguments.load().and_then(|config| check(&config)) {
        Ok(()) => {
            println!("the configuration is good");
            ExitCode::SUCCESS
        }
        Err(error) => failed("configuration", &error, EXIT_CONFIGURATION),
    }
}

fn check(config: &Config) -> Result<()> {
    fn section<T: Section>(config: &Config, names: &mut Vec<&'static str>) -> Result<()> {
        names.push(T::NAME);
        config.section::<T>()?;
        Ok(())
    }
    let mut names = Vec::new();
    section::<ClusterConfig>(config, &mut names)?;
    section::<TelemetryConfig>(config, &mut names)?;
    section::<AdminConfig>(config, &mut names)?;
    section::<TlsConfig>(config, &mut names)?;
    section::<NodeTlsConfig>(config, &mut names)?;
    section::<StorageConfig>(config, &mut names)?;
    section::<ControlPlaneConfig>(config, &mut names)?;
    section::<BrokerConfig>(config, &mut names)?;
    section::<GatewayConfig>(config, &mut names)?;
    section::<FilesConfig>(config, &mut names)?;
    section::<DemoConfig>(config, &mut names)?;
    let unknown = config.unknown_sections(&names);
    if !unknown.is_empty() {
        bail!("unknown sections: {} (known: {})", unknown.join(", "), names.join(", "));
    }
    // What files they name must be usable too.
    config.section::<TlsConfig>()?.server(&[])?;
    config.section::<NodeTlsConfig>()?.load()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../docs/reference/configuration.md");

    fn written() -> &'static str {
        let (_, rest) = PAGE.split_once("```toml\n").unwrap();
        rest.split_once("```").unwrap().0
    }

    fn is_complete<T: Section + PartialEq + std::fmt::Debug>(config: &Config) {
        assert_eq!(config.section::<T>().unwrap(), T::default(), "[{}] says other defaults", T::NAME);
        let page = format!("\n{}", written());
        let (_, rest) = page.split_once(&format!("\n[{}]", T::NAME)).unwrap();
        let section = rest.split_once("\n[").map_or(rest, |(section, _)| section);
        for key in Config::keys::<T>() {
            let line = format!("{key} = ");
            let is_there = section.lines().any(|found| found.trim_start_matches("# ").starts_with(&line));
            assert!(is_there, "docs/reference/configuration.md lacks [{}] {key}", T::NAME);
        }
    }

    #[test]
    fn the_reference_page_is_the_default_and_complete() {
        let file = std::env::temp_dir().join(format!("tidings-configuration-{}.toml", std::process::id()));
        std::fs::write(&file, written()).unwrap();
        let config = Config::load(Some(&file), std::iter::empty(), &[]).unwrap();
        std::fs::remove_file(&file).unwrap();
        check(&config).unwrap();
        is_complete::<ClusterConfig>(&config);
        is_complete::<TelemetryConfig>(&config);
        is_complete::<AdminConfig>(&config);
        is_complete::<TlsConfig>(&config);
        is_complete::<NodeTlsConfig>(&config);
        is_complete::<StorageConfig>(&config);
        is_complete::<ControlPlaneConfig>(&config);
        is_complete::<BrokerConfig>(&config);
        is_complete::<GatewayConfig>(&config);
        is_complete::<FilesConfig>(&config);
        is_complete::<DemoConfig>(&config);
    }
}
