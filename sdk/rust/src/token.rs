//! Where a client's token comes from: fixed, or asked for before each connection so that it can be renewed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Gives the token for the next connection.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> TokenFuture + Send + Sync>);

impl TokenSource {
    /// Asks before each connection. An error stops the client with [`crate::StopReason::Token`]; whoever wants to wait
    /// for a token waits in the future.
    pub fn from_fn<F, R>(ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }

    pub(crate) async fn token(&self) -> Result<String, String> {
        (self.0)().await
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        Self(Arc::new(move || Box::pin(std::future::ready(Ok(token.clone())))))
    }
}

impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        Self::from(token.to_owned())
    }
}

impl fmt::Debug for TokenSource {
    // Never the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource")
    }
}
