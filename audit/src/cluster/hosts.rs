//! Where each process listens: ports of its own on a loopback address, or an address of its own in a namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// The first of a process's ports. Below those that the kernel gives to outgoing connections, so that a restarted
/// process finds its own free.
const FIRST_PORT: u16 = 7700;
/// Ports of one process.
const PORTS: u16 = 10;

/// Where all processes listen that this program starts on loopback.
pub fn loopback() -> IpAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    // The upper half: `tests` keeps single nodes in the lower one.
    Ipv4Addr::new(127, a | 0x80, b, c).into()
}

/// One process's place.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    first_port: u16,
    /// The network namespace, and what its end of the cable to the bridge is called there.
    pub(super) namespace: Option<String>,
}

impl Host {
    /// A loopback address of this program's own, and ports that no other process of it gets: clusters of tests that run
    /// at the same time cannot meet.
    pub(super) fn on_loopback() -> Self {
        static HOSTS: AtomicU16 = AtomicU16::new(0);
        let first_port = FIRST_PORT + PORTS * HOSTS.fetch_add(1, Ordering::Relaxed);
        Self { address: loopback(), first_port, namespace: None }
    }

    /// An address in a namespace, where all ports are free.
    pub(super) fn in_namespace(namespace: String, address: Ipv4Addr) -> Self {
        Self { address: address.into(), first_port: FIRST_PORT, namespace: Some(namespace) }
    }

    pub(super) fn gateway(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.first_port)
    }

    pub(super) fn control_plane(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.first_port + 1)
    }

    pub(super) fn nodes(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.first_port + 2)
    }

    pub(super) fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.first_port + 3)
    }

    /// A command that runs here. `nsenter` becomes the program, so that the process's number is the program's own.
    pub(super) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/run/netns/{name}")).arg("--").arg(program);
                command
            }
        }
    }
}
