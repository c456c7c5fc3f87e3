//! Takes the token out of a request before the application sees it (rules V1, V8).

use http::header::{self, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};
use voicegain_auth_core::{Edit, Strip};

pub(crate) fn apply<B>(strip: Strip, request: &mut Request<B>) {
    let Strip { authorization, query, protocols, cookies } = strip;
    let headers = request.headers_mut();
    edit_header(headers, header::AUTHORIZATION, authorization);
    edit_header(headers, header::SEC_WEBSOCKET_PROTOCOL, protocols);
    edit_header(headers, header::COOKIE, cookies);
    match query {
        Edit::Keep => {}
        Edit::Remove => set_query(request, None),
        Edit::Replace(query) => set_query(request, Some(&query)),
    }
}

fn edit_header(headers: &mut HeaderMap, name: HeaderName, edit: Edit) {
    match edit {
        Edit::Keep => {}
        Edit::Remove => drop(headers.remove(name)),
        // It is made of parts of what was there, so it is a field value; if it were none, nothing is better
        // than a token.
        Edit::Replace(value) => match HeaderValue::try_from(value) {
            Ok(value) => drop(headers.insert(name, value)),
            Err(_) => drop(headers.remove(name)),
        },
    }
}

fn set_query<B>(request: &mut Request<B>, query: Option<&str>) {
    // What axum keeps of the URI has the token as well.
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions_mut().get_mut::<axum::extract::OriginalUri>() {
        original.0 = with_query(&original.0, query);
    }
    *request.uri_mut() = with_query(request.uri(), query);
}

fn with_query(uri: &Uri, query: Option<&str>) -> Uri {
    let path = uri.path();
    let edited = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    // It is made of parts of what was there; if it were no URI, nothing is better than a token.
    parts.path_and_query = Some(edited.unwrap_or_else(|_| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep() -> Strip {
        Strip { authorization: Edit::Keep, query: Edit::Keep, protocols: Edit::Keep, cookies: Edit::Keep }
    }

    #[test]
    fn v1_every_edit_is_made_and_nothing_else() {
        let request = || {
            let request = Request::get("https://api.test/v1/a%20b?x=%41&access_token=t")
                .header("authorization", "Bearer t")
                .header("authorization", "Bearer u")
                .header("cookie", "a=1; t=2")
                .header("cookie", "b=3")
                .header("sec-websocket-protocol", "bearer.t")
                .header("x-other", "kept");
            request.body(()).unwrap()
        };
        let mut same = request();
        apply(keep(), &mut same);
        assert_eq!((same.uri(), same.headers()), (request().uri(), request().headers()));

        let mut stripped = request();
        let strip = Strip {
            authorization: Edit::Remove,
            query: Edit::Replace("x=%41".into()),
            protocols: Edit::Remove,
            cookies: Edit::Replace("a=1; b=3".into()),
        };
        apply(strip, &mut stripped);
        assert_eq!(stripped.uri(), "https://api.test/v1/a%20b?x=%41");
        let headers: Vec<_> =
            stripped.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(headers.len(), 2);
        assert!(headers.contains(&("cookie", b"a=1; b=3")));
        assert!(headers.contains(&("x-other", b"kept")));

        let mut bare = request();
        apply(Strip { query: Edit::Remove, ..keep() }, &mut bare);
        assert_eq!(bare.uri(), "https://api.test/v1/a%20b");
    }

    #[cfg(feature = "axum")]
    #[test]
    fn v1_the_token_is_taken_out_of_what_axum_keeps_of_the_uri() {
        use axum::extract::OriginalUri;

        let mut request = Request::get("/a?access_token=t&x=1").body(()).unwrap();
        request.extensions_mut().insert(OriginalUri(Uri::from_static("/v1/a?access_token=t&x=1")));
        apply(Strip { query: Edit::Replace("x=1".into()), ..keep() }, &mut request);
        assert_eq!(request.uri(), "/a?x=1");
        assert_eq!(request.extensions().get::<OriginalUri>().unwrap().0, "/v1/a?x=1");
    }
}
