//! Whether the store does what everything is built on. A server may speak S3, take no notice of `If-None-Match: *`, and
//! have two who write at one place both believe that they were first. So nothing is created in a bucket before it was
//! seen that this one keeps to it, and until then it is said what is wrong: credentials, the bucket's name, the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use tidings_node::Shutdown;
use tidings_node::health::Component;

use crate::error::FilesError;
use crate::files::Files;
use crate::id::FileId;
use crate::layout;
use crate::store::{Created, Store};

/// Where the store is tried; nothing stays there.
const TRIED: &str = "check";
/// How long one look may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a store is looked at that answers, and one that does not.
const INTERVAL: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(3);

/// What is known of a store.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It was not looked at yet.
    Unknown,
    /// It was seen to do what it has to. What fails from now on says so itself.
    Good,
    /// Why it cannot be used.
    Bad(Arc<str>),
}

impl Store {
    /// Waits for the first look; an error where it has not gone well, yet.
    pub(crate) async fn is_good(&self) -> Result<(), FilesError> {
        let mut told = self.standing.subscribe();
        let known = told.wait_for(|standing| !matches!(standing, Standing::Unknown));
        match tokio::time::timeout(TIMEOUT * 2, known).await {
            Ok(Ok(standing)) => match &*standing {
                Standing::Bad(reason) => Err(FilesError::Unusable(reason.clone())),
                _ => Ok(()),
            },
            _ => Err(FilesError::Slow),
        }
    }

    async fn look(&self) -> Result<(), FilesError> {
        let is_known = matches!(*self.standing.borrow(), Standing::Good);
        let looking = async {
            if !is_known {
                self.try_out().await?;
            }
            self.folders(&layout::pending()).await.map(drop)
        };
        let looked = tokio::time::timeout(TIMEOUT, looking).await.unwrap_or(Err(FilesError::Slow));
        if !is_known {
            self.standing.send_replace(match &looked {
                Ok(()) => Standing::Good,
                Err(error) => Standing::Bad(error.to_string().into()),
            });
        }
        looked
    }

    /// Creates an object twice: the second time has to find the first one.
    async fn try_out(&self) -> Result<(), FilesError> {
        let path = Path::from_iter([TRIED, FileId::random().as_str()]);
        let first = Bytes::from_static(b"first");
        self.put(&path, first.clone()).await?;
        let second = self.put(&path, Bytes::from_static(b"second")).await;
        self.delete(&path).await?;
        if second? == Created::Other(first) { Ok(()) } else { Err(FilesError::Overwrites) }
    }
}

impl Files {
    /// Looks whether the store can be used. Nothing is created in a bucket before one look has gone well.
    pub async fn check(&self) -> Result<(), FilesError> {
        self.store().look().await
    }

    /// Looks again and again, and has `component` say what is wrong, until shutdown is requested. Whoever keeps files
    /// has more to do: the component is impaired then, and does not keep the process from being ready.
    pub async fn keep_checked(self, component: Component, shutdown: Shutdown) {
        let mut told = None;
        loop {
            let reason = self.check().await.err().map(|error| error.to_string());
            match &reason {
                None => component.ready(),
                Some(reason) => component.impaired(reason.clone()),
            }
            if reason != told {
                match &reason {
                    None => tracing::info!("the store of files answers again"),
                    Some(reason) => tracing::error!(reason, "no files can be taken"),
                }
            }
            let is_good = reason.is_none();
            told = reason;
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(if is_good { INTERVAL } else { SOON }) => {}
                () = self.store().doubt.notified(), if is_good => {}
            }
        }
        component.remove();
    }
}
