//! What a client can be told before it starts.

use std::sync::Arc;
use std::time::Duration;

use tidings_proto::DeviceId;
use tokio::sync::{mpsc, watch};

use crate::client::{Client, Shared};
use crate::connection::{Config, Connection};
use crate::driver::{Driver, Parts};
use crate::error::ConnectError;
use crate::events::{AckMode, ConnectionState, Events};
use crate::files::Files;
use crate::gateways::Gateways;
use crate::store::{MemoryStore, Store};
use crate::token::TokenSource;

/// Commands and events that wait between the application and the task.
const CHANNEL: usize = 1024;

/// Makes a [`Client`].
pub struct Builder {
    urls: Vec<String>,
    token: TokenSource,
    config: Config,
    store: Box<dyn Store>,
    tls: Option<Arc<rustls::ClientConfig>>,
    outbox_entries: usize,
    outbox_bytes: usize,
    ack_mode: AckMode,
}

impl Builder {
    pub(crate) fn new(url: String, token: TokenSource) -> Self {
        Self {
            urls: vec![url],
            token,
            config: Config::default(),
            store: Box::new(MemoryStore),
            tls: None,
            outbox_entries: 8192,
            outbox_bytes: 16 << 20,
            ack_mode: AckMode::default(),
        }
    }

    /// One more gateway of the same cluster, as in [`Client::builder`]. The first attempt goes to one of them at
    /// random, so that clients spread, and each further one to the next: a lost gateway costs one attempt.
    pub fn gateway(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Names this device of the user, 1 to 63 bytes, the same after a restart. Without it, the session only sends.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.config.device = device.into();
        self
    }

    /// The app id that the token may be bound to.
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.config.app_id = app_id.into();
        self
    }

    /// Name and version of the application, for the operator; at most 127 bytes.
    pub fn agent(mut self, agent: impl Into<String>) -> Self {
        self.config.agent = agent.into();
        self
    }

    /// Where the device keeps its state; the default is [`MemoryStore`].
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// When a message counts as dealt with; the default is [`AckMode::OnNext`].
    pub fn ack_mode(mut self, mode: AckMode) -> Self {
        self.ack_mode = mode;
        self
    }

    /// At most so many messages, and so many bytes of content, without an answer: beyond it `send` waits. The default
    /// is 8,192 and 16 MiB.
    pub fn outbox_limit(mut self, entries: usize, bytes: usize) -> Self {
        self.outbox_entries = entries.max(1);
        self.outbox_bytes = bytes.max(1);
        self
    }

    /// Ceilings of the first and of every wait before a reconnect; the default is 0.5 s and 20 s.
    pub fn backoff(mut self, first: Duration, last: Duration) -> Self {
        (self.config.first_backoff, self.config.last_backoff) = (first, last);
        self
    }

    /// When the server lost this device's stream: send again what may have been sent already (it may double). The
    /// default is to end it with [`crate::SendError::Unknown`].
    pub fn resend_unknown(mut self, resend: bool) -> Self {
        self.config.resend_unknown = resend;
        self
    }

    /// Replaces the TLS configuration for `wss://`, which trusts the system's root certificates.
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Trusts the certificates in this PEM text, and no others, for `wss://`.
    pub fn trust_pem(self, pem: &[u8]) -> Result<Self, ConnectError> {
        let config = crate::socket::tls_trusting(pem)?;
        Ok(self.tls(config))
    }

    /// The way of the user's files alone, without a connection for messages.
    pub fn files(&self) -> Result<Files, ConnectError> {
        let gateways = Gateways::parse(&self.urls, self.tls.clone())?;
        Ok(Files::new(gateways, self.token.clone(), self.config.app_id.clone()))
    }

    /// Starts the client's task on the current tokio runtime and returns at once; the connection is made, and made
    /// again, in the background. Errors are those that no further attempt would mend.
    pub fn connect(mut self) -> Result<(Client, Events), ConnectError> {
        if !self.config.device.is_empty() {
            DeviceId::new(&self.config.device)?;
        }
        let gateways = Gateways::parse(&self.urls, self.tls.clone())?;
        let files = self.files()?;
        let state = self.store.load()?;
        let stream = state.stream;
        self.config.persist = self.store.keeps();
        self.config.seed = rand::random();
        let (commands, command_queue) = mpsc::channel(CHANNEL);
        let (event_queue, events) = mpsc::channel(CHANNEL);
        let (state_sender, state_receiver) = watch::channel(ConnectionState::Connecting);
        let shared = Shared::new(self.outbox_entries, self.outbox_bytes);
        let driver = Driver::new(Parts {
            core: Connection::new(self.config, state),
            stream,
            gateways,
            token: self.token,
            store: self.store,
            shared: shared.clone(),
            commands: command_queue,
            events: event_queue,
            state: state_sender,
        });
        tokio::spawn(driver.run());
        let events = Events::new(events, shared.acks.clone(), self.ack_mode);
        Ok((Client::new(shared, commands, state_receiver, files), events))
    }
}
