//! Takes tokens out of a request before anybody else sees it (rules V1, V8).

use actix_web::dev::ServiceRequest;
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use voicegain_auth_core::{Edit, Strip};

/// Carries out the plan. A request that nothing has to be taken out of is not touched.
pub(crate) fn apply(plan: Strip, request: &mut ServiceRequest) {
    let Strip { authorization, query, protocols, cookies } = plan;
    edit_header(request, header::AUTHORIZATION, authorization);
    edit_header(request, header::SEC_WEBSOCKET_PROTOCOL, protocols);
    edit_header(request, header::COOKIE, cookies);
    match query {
        Edit::Keep => {}
        Edit::Remove => replace_query(request, None),
        Edit::Replace(query) => replace_query(request, Some(&query)),
    }
}

fn edit_header(request: &mut ServiceRequest, name: HeaderName, edit: Edit) {
    let value = match edit {
        Edit::Keep => return,
        Edit::Remove => None,
        // What cannot stand in a header is taken out like the token.
        Edit::Replace(value) => HeaderValue::from_bytes(value.as_bytes()).ok(),
    };
    let headers = request.headers_mut();
    headers.remove(&name);
    if let Some(value) = value {
        headers.insert(name, value);
    }
}

/// actix has the target twice: the one that extractors read, and the one that routes are matched against.
fn replace_query(request: &mut ServiceRequest, query: Option<&str>) {
    let uri = with_query(request.uri(), query);
    let routed = with_query(request.match_info().get_ref().uri(), query);
    request.head_mut().uri = uri;
    // The path stays what it was, so what a scope has already matched of it stays right.
    request.match_info_mut().get_mut().update(&routed);
}

fn with_query(uri: &Uri, query: Option<&str>) -> Uri {
    let replaced = |query: Option<&str>| {
        let path = uri.path();
        let target = match query {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")).ok()?,
            None => PathAndQuery::try_from(path).ok()?,
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).ok()
    };
    // Parts of a valid target make a valid one. Should they not, a token must not stay for that.
    replaced(query).or_else(|| replaced(None)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn plan() -> Strip {
        Strip { authorization: Edit::Keep, query: Edit::Keep, protocols: Edit::Keep, cookies: Edit::Keep }
    }

    #[test]
    fn v1_every_line_of_a_header_goes() {
        let mut request = TestRequest::get()
            .append_header(("cookie", "a=1"))
            .append_header(("cookie", "token=x"))
            .append_header(("authorization", "Bearer x"))
            .append_header(("authorization", "Bearer y"))
            .append_header(("accept", "*/*"))
            .to_srv_request();
        apply(
            Strip { authorization: Edit::Remove, cookies: Edit::Replace("a=1".into()), ..plan() },
            &mut request,
        );
        let left: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(request.headers().get("cookie").unwrap(), "a=1");
        assert_eq!(request.headers().get("accept").unwrap(), "*/*");
    }

    #[test]
    fn v1_the_query_goes_from_both_of_actixs_targets() {
        for (target, edit, left) in [
            ("/a%2Fb/%64?access_token=x", Edit::Remove, "/a%2Fb/%64"),
            ("/a?access_token=x&b=%26", Edit::Replace("b=%26".into()), "/a?b=%26"),
            ("http://host.test/a?access_token=x", Edit::Remove, "http://host.test/a"),
            ("http://host.test?access_token=x", Edit::Remove, "http://host.test/"),
            ("/a?access_token=x", Edit::Keep, "/a?access_token=x"),
        ] {
            let mut request = TestRequest::with_uri(target).to_srv_request();
            let routed = request.match_info().as_str().to_owned();
            apply(Strip { query: edit, ..plan() }, &mut request);
            assert_eq!(request.uri().to_string(), left);
            assert_eq!(request.match_info().get_ref().uri().to_string(), left);
            assert_eq!(request.match_info().as_str(), routed, "routing sees the same path");
        }
    }
}
