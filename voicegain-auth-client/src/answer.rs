//! Reading what the API answers.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::{MintError, Refusal};
use crate::long_lived::{LongLivedToken, is_token};

/// More than any token or refusal takes.
const MAX_BYTES: usize = 16_384;
/// Longer texts than the API's own are none of its.
const MAX_DETAIL: usize = 2_000;

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorText,
}

#[derive(Deserialize)]
struct ErrorText {
    reason: String,
    detail: String,
}

/// The token that an answer holds, or why there is none.
pub(crate) async fn read(
    mut response: Response,
    own: &LongLivedToken,
) -> Result<Zeroizing<String>, MintError> {
    let status = response.status();
    let unexpected = |problem| Err(MintError::Unexpected { status, problem });
    if status.is_redirection() {
        return unexpected("it leads elsewhere, where the long-lived token is not sent");
    }
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    // Its room is there from the start, so that no part of a token stays behind where it has grown out of.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    while let Some(chunk) = response.chunk().await.map_err(|error| MintError::Transport(Arc::new(error)))? {
        if body.len().saturating_add(chunk.len()) > MAX_BYTES {
            return unexpected("its answer is too long");
        }
        body.extend_from_slice(&chunk);
    }
    if status != StatusCode::OK {
        return match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(ErrorBody { error: ErrorText { reason, detail } }) => {
                // Whatever stands between may send back what it was sent.
                let shown = |text: String, longest: usize| {
                    if own.is_in(&text) || text.len() > longest { "(not shown)".to_owned() } else { text }
                };
                let (reason, detail) = (shown(reason, 100), shown(detail, MAX_DETAIL));
                Err(MintError::Refused(Refusal { status, reason, detail, retry_after }))
            }
            Err(_) => unexpected("its answer is no refusal in the API's form"),
        };
    }
    match std::str::from_utf8(&body) {
        Ok(text) if is_token(text.as_bytes()) => Ok(Zeroizing::new(text.to_owned())),
        _ => unexpected("its answer is no token"),
    }
}
