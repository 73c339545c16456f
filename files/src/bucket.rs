//! A bucket of S3, or of something compatible.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use tidings_node::secret::Secret;

use crate::config::FilesConfig;
use crate::error::FilesError;

/// How long a request may be without an answer or the next bytes of it, and all its repetitions.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_RETRIES: usize = 3;

/// Opens it; asks nobody yet.
pub fn open(config: &FilesConfig) -> Result<Arc<dyn ObjectStore>, FilesError> {
    // The HTTP client takes the process's default; another part of the process may have set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = ClientOptions::new()
        // Whoever reads a file may take their time.
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
        .with_allow_http(config.s3_endpoint.starts_with("http://"));
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.s3_bucket)
        .with_region(&config.s3_region)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Not all servers can delete many objects at once, and one at a time is what is asked for.
        .with_disable_bulk_delete(true)
        .with_client_options(options)
        .with_retry(RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() });
    if !config.s3_endpoint.is_empty() {
        builder = builder.with_endpoint(&config.s3_endpoint);
    }
    if !config.s3_access_key_id.is_empty() {
        builder = builder.with_access_key_id(&config.s3_access_key_id).with_secret_access_key(secret(config)?);
    }
    let store = builder.build().map_err(|error| FilesError::Config(format!("s3_bucket: {error}")))?;
    Ok(match config.s3_prefix.trim_matches('/') {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

fn secret(config: &FilesConfig) -> Result<String, FilesError> {
    let file = &config.s3_secret_access_key_file;
    if file.as_os_str().is_empty() {
        return Ok(config.s3_secret_access_key.expose().to_owned());
    }
    let refused = |reason: String| FilesError::Config(format!("s3_secret_access_key_file: {reason}"));
    let loaded = Secret::load(file).map_err(|error| refused(error.to_string()))?;
    let secret = loaded.ok_or_else(|| refused(format!("{} does not exist", file.display())))?;
    Ok(secret.expose().to_owned())
}
