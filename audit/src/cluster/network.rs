//! A bridge with a cable to each node's namespace. The bridge drops what the audit wants dropped; a cable can be made
//! slow.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::hosts::Host;
use super::member::{Member, run};
use crate::isolation;

const BRIDGE: &str = "audit";
/// This program's own address on the bridge: its clients come from here.
const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// The last number of the first node's address.
const FIRST_NODE: u8 = 10;
/// Everything that comes from a cable passes here, whoever it is for.
const TABLE: &str = "\
add table bridge audit
add chain bridge audit from_cables { type filter hook prerouting priority 0; policy accept; }";

/// The network of one cluster. Nothing is cut when it is made; it is removed when it is dropped.
#[derive(Debug)]
pub struct Network {
    hosts: AtomicU8,
}

impl Network {
    /// Makes the bridge. Only inside of [`crate::isolation`], where the names are free.
    pub(super) fn make() -> Result<Self> {
        ensure!(isolation::is_inside(), "namespaces for nodes need the isolation of the audit");
        run("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
        let network = Self { hosts: AtomicU8::new(FIRST_NODE) };
        run("ip", &["address", "add", &format!("{OWN_ADDRESS}/24"), "dev", BRIDGE])?;
        run("ip", &["link", "set", BRIDGE, "up"])?;
        nft(TABLE)?;
        Ok(network)
    }

    /// A namespace with an address of its own, on the bridge.
    pub(super) fn host(&self) -> Result<Host> {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        ensure!(number < u8::MAX, "no addresses are left on the bridge");
        let (name, cable) = (format!("node{number}"), cable(number));
        let address = Ipv4Addr::from_octets([OWN_ADDRESS.octets()[0], OWN_ADDRESS.octets()[1], 0, number]);
        run("ip", &["netns", "add", &name])?;
        run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        run("ip", &["link", "set", &cable, "master", BRIDGE, "up"])?;
        run("ip", &["-n", &name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        for interface in ["lo", "eth0"] {
            run("ip", &["-n", &name, "link", "set", interface, "up"])?;
        }
        Ok(Host::in_namespace(name, address))
    }

    /// Nothing passes between two nodes any more, in either direction.
    pub fn cut(&self, one: &Member, other: &Member) -> Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Nothing that one node sends reaches the other; the other direction stays open.
    pub fn cut_one_way(&self, from: &Member, to: &Member) -> Result<()> {
        drop_packets(&format!("ip saddr {} ip daddr {}", from.address(), to.address()))
    }

    /// Nothing passes between a node and anybody else, clients included.
    pub fn isolate(&self, node: &Member) -> Result<()> {
        drop_packets(&format!("ip saddr {}", node.address()))?;
        drop_packets(&format!("ip daddr {}", node.address()))
    }

    /// A share of the packets of a node, in both directions, is lost: 0 to 99 of a hundred.
    pub fn lose(&self, node: &Member, percent: u8) -> Result<()> {
        for direction in ["saddr", "daddr"] {
            drop_packets(&format!("ip {direction} {} numgen random mod 100 < {percent}", node.address()))?;
        }
        Ok(())
    }

    /// A node gets and sends no more than so many kbit/s; what waits longer than 400 ms is lost, as in a modem's queue.
    pub fn slow_down(&self, node: &Member, kbit_per_second: u32) -> Result<()> {
        let (rate, name) = (format!("{kbit_per_second}kbit"), namespace(node)?);
        let shape = ["root", "tbf", "rate", &rate, "burst", "16kb", "latency", "400ms"];
        run("tc", &[&["qdisc", "replace", "dev", &cable_of(node)][..], &shape].concat())?;
        run("tc", &[&["-n", &name, "qdisc", "replace", "dev", "eth0"][..], &shape].concat())
    }

    /// Everything passes again, at full speed.
    pub fn heal(&self, nodes: &[impl AsRef<Member>]) -> Result<()> {
        nft("flush chain bridge audit from_cables")?;
        for node in nodes.iter().map(AsRef::as_ref) {
            // Complains where nothing was slowed down.
            let _ = run("tc", &["qdisc", "delete", "dev", &cable_of(node), "root"]);
            let _ = run("tc", &["-n", &namespace(node)?, "qdisc", "delete", "dev", "eth0", "root"]);
        }
        Ok(())
    }

    /// Removes a node's namespace, and its cable with it.
    pub(super) fn remove(&self, node: &Member) -> Result<()> {
        run("ip", &["netns", "delete", &namespace(node)?])
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The isolation takes with it what cannot be removed here.
        for number in FIRST_NODE..self.hosts.load(Ordering::Relaxed) {
            let _ = run("ip", &["netns", "delete", &format!("node{number}")]);
            let _ = run("ip", &["link", "delete", &cable(number)]);
        }
        let _ = run("ip", &["link", "delete", BRIDGE]);
        let _ = nft("delete table bridge audit");
    }
}

/// The bridge's end of a cable.
fn cable(number: u8) -> String {
    format!("cable{number}")
}

fn cable_of(node: &Member) -> String {
    match node.address() {
        IpAddr::V4(address) => cable(address.octets()[3]),
        IpAddr::V6(_) => String::new(),
    }
}

fn namespace(node: &Member) -> Result<String> {
    node.host().namespace.clone().with_context(|| format!("{} has no namespace of its own", node.name()))
}

fn drop_packets(which: &str) -> Result<()> {
    nft(&format!("add rule bridge audit from_cables {which} drop"))
}

/// Runs nft with commands on its standard input, where no shell and no option parser sees them.
fn nft(commands: &str) -> Result<()> {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{commands}")?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft {commands}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
