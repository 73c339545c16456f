//! The `[cluster]` section: which node of which cluster this is, and where its data lies.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Section;
use crate::config::Config;
use crate::error::Error;
use crate::membership::Membership;
use crate::secret::Secret;

/// What all roles of a node share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClusterConfig {
    /// The name of the cluster; nodes of another one are refused. Fixed for the life of the data folder.
    pub id: String,
    /// This node's number, 1 or more, unique in the cluster and fixed for the life of the data folder.
    pub node: u64,
    /// Where the machine stands (a rack, a site); replicas are spread over zones. Empty: one zone.
    pub zone: String,
    /// How many replicas a broker on this node should hold, in proportion to the others; 1 to 10,000.
    pub capacity: u32,
    /// The folder that holds everything this node stores.
    pub data: PathBuf,
    /// The file with the secret that nodes show each other; made with mode 0600 where it is missing. Empty:
    /// `cluster.secret` in the data folder.
    pub secret_file: PathBuf,
    /// Where other nodes call: Raft, the directory, brokers' links. Keep it off public networks.
    pub listen: SocketAddr,
    /// The host name or address under which other nodes reach this one.
    pub advertise: String,
    /// `host:port` of control-plane nodes, for the roles that ask them. Empty: the one in the same process.
    pub control_plane: Vec<String>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            id: "tidings".to_owned(),
            node: 1,
            zone: String::new(),
            capacity: 100,
            data: PathBuf::from("data"),
            secret_file: PathBuf::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7702)),
            advertise: "127.0.0.1".to_owned(),
            control_plane: Vec::new(),
        }
    }
}

impl Section for ClusterConfig {
    const NAME: &'static str = "cluster";

    fn validate(&self) -> Result<(), String> {
        let name_like =
            |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.');
        if self.id.is_empty() || self.id.len() > 63 || !name_like(&self.id) {
            return Err("id must be 1 to 63 of letters, digits, '-', '_' and '.'".to_owned());
        }
        if self.zone.len() > 63 || !name_like(&self.zone) {
            return Err("zone must be at most 63 of letters, digits, '-', '_' and '.'".to_owned());
        }
        if self.node == 0 {
            return Err("node must be 1 or more".to_owned());
        }
        if !(1..=10_000).contains(&self.capacity) {
            return Err("capacity must be 1 to 10000".to_owned());
        }
        if self.data.as_os_str().is_empty() {
            return Err("data must name a folder".to_owned());
        }
        if self.advertise.is_empty() || self.advertise.contains('/') {
            return Err("advertise must be a host name or an address, without a port".to_owned());
        }
        match self.control_plane.iter().find(|address| !has_port(address)) {
            Some(address) => Err(format!("control_plane: {address:?} is not host:port")),
            None => Ok(()),
        }
    }
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl ClusterConfig {
    /// The section of a configuration.
    pub fn of(config: &Config) -> Result<Self, Error> {
        config.section()
    }

    /// The path of the secret file.
    pub fn secret_path(&self) -> PathBuf {
        if self.secret_file.as_os_str().is_empty() {
            self.data.join("cluster.secret")
        } else {
            self.secret_file.clone()
        }
    }

    /// What nodes show each other: the cluster's id and its secret, which is made when its file is missing.
    pub fn membership(&self) -> Result<Membership, Error> {
        let secret = Secret::load_or_create(&self.secret_path())?;
        Membership::new(&self.id, secret)
            .map_err(|reason| Error::ConfigValue { place: "[cluster] id".to_owned(), reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_is_named() {
        let good = ClusterConfig::default();
        assert_eq!(good.validate(), Ok(()));
        assert_eq!(good.secret_path(), PathBuf::from("data/cluster.secret"));
        let bad = [
            (ClusterConfig { id: "a b".to_owned(), ..good.clone() }, "id"),
            (ClusterConfig { node: 0, ..good.clone() }, "node"),
            (ClusterConfig { zone: "ü".to_owned(), ..good.clone() }, "zone"),
            (ClusterConfig { data: PathBuf::new(), ..good.clone() }, "data"),
            (ClusterConfig { advertise: "http://a".to_owned(), ..good.clone() }, "advertise"),
            (ClusterConfig { control_plane: vec!["host".to_owned()], ..good.clone() }, "control_plane"),
        ];
        for (config, key) in bad {
            assert!(config.validate().unwrap_err().starts_with(key), "{key}");
        }
    }
}
