//! What a gateway still has to write at its end.

use std::time::Duration;

use tokio::time::timeout;
use voicegain_auth_core::SecretCache;

/// How long the store may take for it.
const LIMIT: Duration = Duration::from_secs(2);

/// Writes which web configs have been used since that was last written, once the last request is answered. A store that
/// fails or does not answer keeps no gateway from ending: little is lost.
pub async fn write(cache: &SecretCache) {
    let problem = match timeout(LIMIT, cache.write_uses()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.chain(),
        Err(_) => "the store did not answer in time".to_owned(),
    };
    tracing::info!(error = problem, "the last uses of the last minute could not be written");
}
