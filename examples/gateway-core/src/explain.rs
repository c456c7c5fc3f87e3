//! What a gateway would decide about a request, and why: its own checks, those of the verifier, and the right to mint.

use http::request::Parts;
use voicegain_auth_core::{Edit, Explanation, Identity, Issuer, Rejection, Verifier};

use crate::gate::{self, Route};
use crate::head::{HttpHead, check_size};
use crate::refusal::Refusal;

/// Decides about a request as if it had come. It is counted and logged nowhere, and what it would mint goes no further.
pub(crate) async fn explain(verifier: &Verifier, issuer: &Issuer, head: &Parts) -> Explanation {
    let seen = HttpHead(head);
    let base = verifier.policy().base_path();
    let route = check_size(head).map_err(Refusal::from).and_then(|()| gate::decide(&seen, base));
    let explained = match route {
        Err(refusal) => return verifier.explain_refusal(&seen, None, refusal.rejection().clone()),
        Ok(_) => verifier.explain(&seen).await,
    };
    let Some(identity) = explained.identity.as_ref().filter(|_| matches!(route, Ok(Route::Mint))) else {
        return explained;
    };
    match minted(verifier, issuer, head, identity) {
        Ok(()) => explained,
        Err(rejection) => verifier.explain_refusal(&seen, None, rejection),
    }
}

/// What the mint route makes of it (rules M2, M3), which does not see the token.
fn minted(verifier: &Verifier, issuer: &Issuer, head: &Parts, identity: &Identity) -> Result<(), Rejection> {
    let left = verifier.strip(&HttpHead(head)).query;
    let query = match &left {
        Edit::Keep => head.uri.query(),
        Edit::Remove => None,
        Edit::Replace(query) => Some(&**query),
    };
    issuer.mint(identity, query).map(drop)
}
