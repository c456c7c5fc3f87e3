use rocket::Request;
use voicegain_auth_core::{Field, RequestHead};

/// Rocket's request, as the rules want to see it.
pub struct Head<'a, 'r> {
    request: &'a Request<'r>,
    authority: Option<String>,
}

impl<'a, 'r> Head<'a, 'r> {
    pub fn of(request: &'a Request<'r>) -> Self {
        Self { request, authority: authority(request) }
    }
}

/// The `:authority` of HTTP/2. Rocket has it where it has `Host` of HTTP/1, and does not tell them apart: it is the one that
/// differs from the `Host` line, if there is one at most.
fn authority(request: &Request<'_>) -> Option<String> {
    let mut hosts = request.headers().get("host");
    let authority = request.host()?.to_string();
    match (hosts.next(), hosts.next()) {
        (None, _) => Some(authority),
        // What Rocket leaves out of it is for the rules to judge.
        (Some(host), None) if host.eq_ignore_ascii_case(&authority) || host.contains('@') => None,
        (Some(_), None) => Some(authority),
        (Some(_), Some(_)) => None,
    }
}

impl RequestHead for Head<'_, '_> {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    fn path(&self) -> &str {
        self.request.uri().path().as_str()
    }

    fn query(&self) -> Option<&str> {
        self.request.uri().query().map(|query| query.as_str())
    }

    fn target_authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.request.headers().get(field.name()).map(str::as_bytes)
    }
}
