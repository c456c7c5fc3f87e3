//! What a gateway looks at before anything else (rule V9).

use http::uri::Authority;
use voicegain_auth_core::{
    BasePath, EmptySegments, Field, Reason, Rejection, RequestHead, check_origin_header, check_path,
    is_preflight,
};

use crate::refusal::Refusal;

/// The gateway's own route below its base path (rule M2).
pub const MINT_ROUTE: &str = "/security/jwt";

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A CORS preflight, which the gateway answers itself and never passes on (rule O9).
    Preflight,
    /// The gateway's own route for short-lived tokens.
    Mint,
    /// Everything else below the base path.
    Upstream,
}

/// Finds out where a request goes: authority, path forms, base path, preflight, method, in this order (rule V9).
///
/// # Errors
/// What the gateway refuses whatever the token.
pub fn decide<H: RequestHead>(head: &H, base: &BasePath) -> Result<Route, Refusal> {
    check_authority(head)?;
    if head.method() == "CONNECT" && !head.is_websocket_connect() {
        // There is no path to go on with.
        return Err(not_allowed(
            "CONNECT is only for WebSockets over HTTP/2; use another method.",
            PASSED_ON,
        ));
    }
    let path = head.path();
    check_form(path)?;
    if base.relative(path).is_none() {
        let detail = format!("There is nothing at this path; the API is below {base}.");
        return Err(Rejection::new(Reason::NotFound, detail).into());
    }
    if is_preflight(head) {
        check_origin_header(head)?;
        return Ok(Route::Preflight);
    }
    if head.method() == "TRACE" {
        return Err(not_allowed("TRACE is not passed on; use another method.", PASSED_ON));
    }
    if !base.is_route(path, MINT_ROUTE) {
        return Ok(Route::Upstream);
    }
    if head.method() == "GET" {
        Ok(Route::Mint)
    } else {
        Err(not_allowed("Short-lived tokens are minted with GET; use that.", "GET"))
    }
}

/// Refuses the forms of a raw path that an upstream may read differently (rule P4).
///
/// # Errors
/// `invalid_request`.
pub fn check_form(path: &str) -> Result<(), Rejection> {
    check_path(path, EmptySegments::Allowed)
        .map_err(|form| Rejection::new(Reason::InvalidRequest, format!("The path is not plain: {form}.")))
}

/// What `Allow` says of a path of the upstream's.
const PASSED_ON: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

fn not_allowed(detail: &'static str, allow: &'static str) -> Refusal {
    Refusal::from(Rejection::new(Reason::MethodNotAllowed, detail)).allowing(allow)
}

/// One authority, or two that are the same (rule O8).
fn check_authority<H: RequestHead>(head: &H) -> Result<(), Rejection> {
    let refuse = |detail: &'static str| Err(Rejection::new(Reason::InvalidRequest, detail));
    let mut hosts = head.values(Field::Host);
    let host = hosts.next();
    if hosts.next().is_some() {
        return refuse("There are two Host headers; send one.");
    }
    let Ok(host) = host.map(str::from_utf8).transpose() else {
        return refuse("The Host header is no host; send the host's name.");
    };
    let (authority, other) = match (head.target_authority(), host) {
        (Some(target), host) => (target, host),
        (None, Some(host)) => (host, None),
        (None, None) => return refuse("There is no Host header; send one."),
    };
    if other.is_some_and(|other| !other.eq_ignore_ascii_case(authority)) {
        return refuse("The Host header and the request's target name two hosts; send one.");
    }
    match authority.parse::<Authority>() {
        Ok(parsed) if !parsed.host().is_empty() && !authority.contains('@') => Ok(()),
        _ => refuse("The request's host is none; send a name or an address, and perhaps a port."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::HttpHead;

    fn decide_for(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Route, Reason> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        decide(&HttpHead(&parts), &"/v1".parse().unwrap()).map_err(|refusal| refusal.rejection().reason())
    }

    const HOST: (&str, &str) = ("host", "gw.example");
    const ORIGIN: (&str, &str) = ("origin", "https://a.example");
    const ASKS: (&str, &str) = ("access-control-request-method", "PUT");

    #[test]
    fn v9_where_requests_go() {
        for (method, target, route) in [
            ("GET", "/v1/data", Ok(Route::Upstream)),
            ("GET", "/v1", Ok(Route::Upstream)),
            ("GET", "/v1/", Ok(Route::Upstream)),
            ("POST", "/v1/security/jwt/x", Ok(Route::Upstream)),
            ("GET", "/%76%31/data", Ok(Route::Upstream)),
            ("GET", "/v1//data", Ok(Route::Upstream)),
            ("GET", "/v1//security/jwt", Ok(Route::Upstream)),
            ("OPTIONS", "/v1/data", Ok(Route::Upstream)),
            ("GET", "/v1/security/jwt", Ok(Route::Mint)),
            ("GET", "/v1/security/jwt/", Ok(Route::Mint)),
            ("GET", "/v1/security/jwt?aud=x", Ok(Route::Mint)),
            ("GET", "/v1/%73ecurity/jwt", Ok(Route::Mint)),
            ("POST", "/v1/security/jwt", Err(Reason::MethodNotAllowed)),
            ("HEAD", "/v1/security/jwt", Err(Reason::MethodNotAllowed)),
            ("OPTIONS", "/v1/security/jwt", Err(Reason::MethodNotAllowed)),
            ("TRACE", "/v1/data", Err(Reason::MethodNotAllowed)),
            ("GET", "/", Err(Reason::NotFound)),
            ("GET", "/v1x", Err(Reason::NotFound)),
            ("GET", "/V1/data", Err(Reason::NotFound)),
            ("GET", "//v1/data", Err(Reason::NotFound)),
            ("GET", "/security/jwt", Err(Reason::NotFound)),
            ("OPTIONS", "*", Err(Reason::InvalidRequest)),
        ] {
            assert_eq!(decide_for(method, target, &[HOST]), route, "{method} {target}");
        }
    }

    #[test]
    fn p4_paths_that_an_upstream_may_read_differently() {
        for path in [
            "/v1/../x",
            "/v1/.",
            "/v1/%2e%2e/x",
            "/v1/..;/x",
            "/v1/a%2fb",
            "/v1/a%5cb",
            "/v1/a\\b",
            "/v1/a%25b",
            "/v1/%00",
            "/v1/%c0%ae",
            "/v1/%u002e",
            "/v1/%",
            "/elsewhere/..",
        ] {
            assert_eq!(decide_for("GET", path, &[HOST]), Err(Reason::InvalidRequest), "{path}");
            assert_eq!(
                decide_for("OPTIONS", path, &[HOST, ORIGIN, ASKS]),
                Err(Reason::InvalidRequest),
                "{path}"
            );
        }
    }

    #[test]
    fn o8_one_authority() {
        for (target, hosts, good) in [
            ("/v1/x", &["gw.example"] as &[&str], true),
            ("/v1/x", &["gw.example:8080"], true),
            ("/v1/x", &["[::1]:8080"], true),
            ("http://gw.example/v1/x", &[], true),
            ("http://gw.example/v1/x", &["GW.example"], true),
            ("http://gw.example/v1/x", &["other.example"], false),
            ("http://gw.example/v1/x", &["gw.example:81"], false),
            ("/v1/x", &[], false),
            ("/v1/x", &[""], false),
            ("/v1/x", &["gw.example", "gw.example"], false),
            ("/v1/x", &["user@gw.example"], false),
            ("http://user@gw.example/v1/x", &[], false),
            ("/v1/x", &["gw.example, other.example"], false),
            ("/v1/x", &[":80"], false),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let expected = if good { Ok(Route::Upstream) } else { Err(Reason::InvalidRequest) };
            assert_eq!(decide_for("GET", target, &headers), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn v9_the_order_of_what_is_wrong() {
        assert_eq!(decide_for("GET", "/x/..", &[]), Err(Reason::InvalidRequest), "authority");
        assert_eq!(
            decide_for("OPTIONS", "/x", &[HOST, ORIGIN, ASKS]),
            Err(Reason::NotFound),
            "base, then preflight"
        );
        assert_eq!(
            decide_for("OPTIONS", "/v1/security/jwt", &[HOST, ORIGIN, ASKS]),
            Ok(Route::Preflight),
            "preflight, then method"
        );
    }

    #[test]
    fn o9_preflights_have_three_parts() {
        assert_eq!(decide_for("OPTIONS", "/v1/x", &[HOST, ORIGIN, ASKS]), Ok(Route::Preflight));
        assert_eq!(decide_for("OPTIONS", "/v1/x", &[HOST, ("origin", "null"), ASKS]), Ok(Route::Preflight));
        for headers in
            [&[HOST, ORIGIN] as &[_], &[HOST, ASKS], &[HOST, ORIGIN, ("access-control-request-method", "")]]
        {
            assert_eq!(decide_for("OPTIONS", "/v1/x", headers), Ok(Route::Upstream), "{headers:?}");
        }
        assert_eq!(decide_for("GET", "/v1/x", &[HOST, ORIGIN, ASKS]), Ok(Route::Upstream));
        for origin in ["https://a.example/", "https://u@a.example", "", "https://a.example https://b.example"]
        {
            let headers = [HOST, ("origin", origin), ASKS];
            assert_eq!(
                decide_for("OPTIONS", "/v1/x", &headers),
                Err(Reason::OriginNotAllowed),
                "O2: {origin}"
            );
        }
        let two = [HOST, ORIGIN, ORIGIN, ASKS];
        assert_eq!(decide_for("OPTIONS", "/v1/x", &two), Err(Reason::OriginNotAllowed), "O2: two");
    }

    #[test]
    fn v10_connect_is_for_websockets() {
        assert_eq!(
            decide_for("CONNECT", "gw.example:80", &[HOST]),
            Err(Reason::InvalidRequest),
            "O8 comes first"
        );
        let host = [("host", "gw.example:80")];
        assert_eq!(decide_for("CONNECT", "gw.example:80", &host), Err(Reason::MethodNotAllowed));
        let request = http::Request::connect("https://gw.example/v1/ws");
        let request = request.extension(hyper::ext::Protocol::from_static("websocket"));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(decide(&HttpHead(&parts), &"/v1".parse().unwrap()).unwrap(), Route::Upstream);
    }
}
