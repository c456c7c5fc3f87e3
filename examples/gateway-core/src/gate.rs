//! What a gateway looks at before anything else (rule V9).

use voicegain_auth_core::{
    BasePath, EmptySegments, Reason, Rejection, RequestHead, check_origin_header, check_path, is_preflight,
};

use crate::authority;
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
    authority::check(head)?;
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
    if base.is_route(path, MINT_ROUTE) {
        return match head.method() {
            "GET" => Ok(Route::Mint),
            _ => Err(not_allowed("Short-lived tokens are minted with GET; use that.", "GET")),
        };
    }
    match head.method() {
        "TRACE" => Err(not_allowed("TRACE is not passed on; use another method.", PASSED_ON)),
        method if is_misspelt(method) => {
            Err(not_allowed("Methods are spelt in capital letters; do so.", PASSED_ON))
        }
        _ => Ok(Route::Upstream),
    }
}

/// Whether only the letter case keeps this from being a standard method (rule V10). It is none then, but an upstream may
/// fold the case: `trace` would be what is not passed on, and `head` have an answer of another length than it says.
/// `patch` is what browsers send if a page asks for that: the Fetch standard capitalises all of the others.
fn is_misspelt(method: &str) -> bool {
    const STANDARD: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"];
    STANDARD.iter().any(|standard| *standard != method && standard.eq_ignore_ascii_case(method))
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
            ("get", "/v1/data", Err(Reason::MethodNotAllowed)),
            ("Post", "/v1/data", Err(Reason::MethodNotAllowed)),
            ("trace", "/v1/data", Err(Reason::MethodNotAllowed)),
            ("connect", "/v1/data", Err(Reason::MethodNotAllowed)),
            ("get", "/v1/security/jwt", Err(Reason::MethodNotAllowed)),
            ("get", "/", Err(Reason::NotFound)),
            ("PURGE", "/v1/data", Ok(Route::Upstream)),
            ("purge", "/v1/data", Ok(Route::Upstream)),
            ("patch", "/v1/data", Ok(Route::Upstream)),
            ("GETS", "/v1/data", Ok(Route::Upstream)),
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
