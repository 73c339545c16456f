//! A registry with very many users and tokens: what it costs to keep, to start, to copy, and to ask.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use tidings_audit::{LocalCluster, Member, Plan, Role};
use tidings_proto::cluster::v1::ResolveTokenRequest;
use tidings_proto::cluster::v1::directory_client::DirectoryClient;
use tokio::time::{Instant, sleep};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use super::Binary;
use super::operator::Operator;
use crate::{load, process};

/// Tokens that are resolved are drawn from so many, spread over all.
const SAMPLE: usize = 10_000;
/// Tokens in the small registry.
const FEW: usize = 1_000;
/// How long a node may take to catch up.
const LIMIT: Duration = Duration::from_secs(600);

/// Makes users with a token each in a control plane of three nodes, and measures it small and full.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    binary: Binary,
    /// Users, with a token each.
    #[arg(long, default_value_t = 1_000_000)]
    users: usize,
    /// Creating calls at a time.
    #[arg(long, default_value_t = 512)]
    at_once: usize,
    /// Tokens that are resolved one after the other for each figure.
    #[arg(long, default_value_t = 20_000)]
    resolutions: usize,
}

impl Arguments {
    pub async fn run(self) -> Result<()> {
        let plan = Plan { brokers: 0, gateways: 0, ..self.binary.plan() };
        let cluster = LocalCluster::start(plan).await?;
        let operator = Operator::of(&cluster, 0).await?;
        let mut sample = Vec::new();
        let few = FEW.min(self.users);
        self.make(&operator, 0..few, few, &mut sample).await?;
        let small = self.resolve(&cluster, &sample).await?;
        let began = Instant::now();
        sample.clear();
        self.make(&operator, few..self.users, self.users, &mut sample).await?;
        let rate = (self.users - few) as f64 / began.elapsed().as_secs_f64();
        let full = self.resolve(&cluster, &sample).await?;

        println!(
            "3 control-plane nodes; {} users with a token each, made by {} calls at a time ({rate:.0} users/s, two commits \
             each); each resolution is a gRPC call like a gateway's, one at a time, of {} tokens in turn\n",
            self.users,
            self.at_once,
            sample.len()
        );
        println!("| | |\n|---|---|");
        for (name, latencies) in [(few, small), (self.users, full)] {
            let of = |quantile| latencies.value_at_quantile(quantile);
            println!("| a token resolved among {name}, p50 / p99 µs | {} / {} |", of(0.5), of(0.99));
        }
        for node in cluster.of(Role::ControlPlane) {
            let resident = process::resident_mib(node.process_id()?)?;
            println!("| {}: resident / on disk MiB | {resident:.0} / {:.0} |", node.name(), size_mib(&node.data())?);
        }
        self.starts(&cluster).await
    }

    /// Keeps every so many'th token, [`SAMPLE`] of all.
    async fn make(
        &self,
        operator: &Operator,
        numbers: std::ops::Range<usize>,
        all: usize,
        sample: &mut Vec<String>,
    ) -> Result<()> {
        let (every, mut made) = ((all / SAMPLE).max(1), 0_usize);
        let keep = |person: tidings_audit::people::Person| {
            if made.is_multiple_of(every) && sample.len() < SAMPLE {
                sample.push(person.token);
            }
            made += 1;
            if made.is_multiple_of(100_000) {
                eprintln!("{made} users made");
            }
        };
        operator.people("user", numbers, self.at_once, keep).await
    }

    async fn resolve(&self, cluster: &LocalCluster, tokens: &[String]) -> Result<Histogram<u64>> {
        let mut directory = Directory::of(&cluster.control_plane(0)).await?;
        let mut latencies = load::histogram();
        for number in 0..self.resolutions {
            let secret = &tokens[number % tokens.len()];
            let begun = Instant::now();
            directory.resolve(secret).await?;
            latencies.saturating_record(u64::try_from(begun.elapsed().as_micros())?.max(1));
        }
        Ok(latencies)
    }

    /// A follower ends and starts again, is killed and starts again, and loses its data and joins anew.
    async fn starts(&self, cluster: &LocalCluster) -> Result<()> {
        let operator = Operator::of(cluster, 0).await?;
        let leader = operator.status().await?.leader;
        // The operator is at node 0, which stays; and the leader too, so that nobody is elected meanwhile.
        let nodes = cluster.of(Role::ControlPlane);
        let node = nodes[1..].iter().find(|node| node.node() != leader).context("there are three nodes")?;
        node.terminate().await?;
        println!("| start after SIGTERM, until ready, s | {:.2} |", started(node).await?);
        node.kill9()?;
        println!("| start after kill -9, until ready, s | {:.2} |", started(node).await?);

        node.kill9()?;
        let id = node.node().to_string();
        cluster.operate(&["cluster", "remove", &id, "--dead"]).await?;
        std::fs::remove_dir_all(node.data())?;
        let begun = Instant::now();
        node.start().await?;
        println!("| start without data, until ready, s | {:.2} |", begun.elapsed().as_secs_f64());
        let votes = async {
            loop {
                let status = operator.status().await;
                if status.is_ok_and(|status| status.nodes.iter().any(|it| it.id == node.node() && it.votes)) {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, votes).await.context("it does not vote")?;
        println!("| start without data, until it has caught up and votes, s | {:.2} |", begun.elapsed().as_secs_f64());
        let resident = process::resident_mib(node.process_id()?)?;
        println!("| the node that joined: resident / on disk MiB | {resident:.0} / {:.0} |", size_mib(&node.data())?);
        Ok(())
    }
}

async fn started(node: &Member) -> Result<f64> {
    let begun = Instant::now();
    node.start().await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn size_mib(folder: &std::path::Path) -> Result<f64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            // A file may go while it is looked at.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() { folders.push(entry.path()) } else { bytes += about.len() }
        }
    }
    Ok(bytes as f64 / f64::from(1 << 20))
}

/// The directory as a gateway asks it.
struct Directory {
    client: DirectoryClient<Channel>,
    authorization: MetadataValue<Ascii>,
}

impl Directory {
    async fn of(node: &Member) -> Result<Self> {
        let secret_file = node.folder().parent().context("a folder of the cluster")?.join("cluster.secret");
        let secret = std::fs::read_to_string(secret_file)?;
        let endpoint = Endpoint::from_shared(format!("http://{}", node.node_address()))?.tcp_nodelay(true);
        let client = DirectoryClient::new(endpoint.connect().await?);
        Ok(Self { client, authorization: format!("Bearer {}", secret.trim()).parse()? })
    }

    async fn resolve(&mut self, secret: &str) -> Result<()> {
        let message = ResolveTokenRequest { secret: secret.to_owned(), ..ResolveTokenRequest::default() };
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.authorization.clone());
        let answer = self.client.resolve_token(request).await?.into_inner();
        ensure!(!answer.user.is_empty(), "a token was not resolved: {answer:?}");
        Ok(())
    }
}
