//! What every page and every form of it is held against before anything is done.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem;
use super::visitor::base;

/// Nothing but the console's own script, style and images, and no forms to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Makes pages of problems, and adds what every answer carries. That nothing is cached the router sees to.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let base = base(request.extensions());
    let mut response = problem::shown(problem::of_plain(next.run(request).await), &base);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Not `no-referrer`, unless the answer says so and is no page: forms would then be sent with `Origin: null`.
    response.headers_mut().entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    response
}

/// Whether a form may come from a page of this very host, as far as the browser says. One that says nothing is no browser of
/// today; the form's own marks are looked at in any case.
pub(super) fn may_be_ours(headers: &HeaderMap) -> bool {
    // The browser knows best, and no page can set this: a proxy in front may have changed `Host`.
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.zip(host).is_some_and(|(authority, host)| host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_not_ours() {
        let with = |fields: &[(&'static str, &'static str)]| {
            let pairs = fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            may_be_ours(&pairs.collect())
        };
        let host = ("host", "localhost:8081");
        assert!(with(&[host]));
        assert!(with(&[host, ("origin", "http://localhost:8081")]));
        assert!(with(&[host, ("origin", "https://LOCALHOST:8081"), ("sec-fetch-site", "same-origin")]));
        assert!(with(&[("origin", "https://localhost"), ("sec-fetch-site", "same-origin")]));
        let through_a_proxy =
            [host, ("origin", "https://console.example"), ("sec-fetch-site", "same-origin")];
        assert!(with(&through_a_proxy));
        assert!(!with(&through_a_proxy[..2]));
        for origin in
            ["null", "http://localhost:9000", "http://localhost", "http://localhost:8081.evil.test", ""]
        {
            assert!(!with(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!with(&[("origin", "http://localhost:8081")]));
        for site in ["cross-site", "same-site", "none", ""] {
            assert!(!with(&[host, ("sec-fetch-site", site)]), "{site}");
            assert!(!with(&[host, ("origin", "http://localhost:8081"), ("sec-fetch-site", site)]), "{site}");
        }
    }
}
