//! One signal that ends a process in order: everything that runs holds a clone and stops when it is requested.

use tokio_util::sync::CancellationToken;

/// A request to stop, shared by all clones. Children stop with their parent, not the other way round.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that holds a clone or a child to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Resolves once stopping was requested; cancel-safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Whether stopping was requested.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A shutdown of a part.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}
