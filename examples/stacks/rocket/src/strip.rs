//! Takes the token out of a request before a route sees it (rules V1, V8).

use rocket::Request;
use rocket::http::Header;
use rocket::http::uri::Origin;
use voicegain_auth_core::{Edit, Strip};

pub fn apply(plan: Strip, request: &mut Request<'_>) {
    let Strip { authorization, query, protocols, cookies } = plan;
    edit_header(request, "authorization", authorization);
    edit_header(request, "sec-websocket-protocol", protocols);
    edit_header(request, "cookie", cookies);
    let mut uri = request.uri().clone();
    uri.clear_query();
    match query {
        Edit::Keep => {}
        Edit::Remove => request.set_uri(uri),
        // It is made of parts of what was there; if Rocket cannot read it, nothing is better than a token.
        Edit::Replace(query) => {
            let edited = Origin::parse_owned(format!("{}?{query}", uri.path()));
            request.set_uri(edited.unwrap_or(uri));
        }
    }
}

/// Rocket lets a header be replaced, but not removed.
fn edit_header(request: &mut Request<'_>, name: &'static str, edit: Edit) {
    match edit {
        Edit::Keep => {}
        Edit::Remove => request.replace_header(Header::new(name, "")),
        Edit::Replace(value) => request.replace_header(Header::new(name, value)),
    }
}
