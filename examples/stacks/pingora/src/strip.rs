//! Takes the token out of a request before it is passed on (rules V1, V8).

use http::uri::{PathAndQuery, Uri};
use pingora::http::RequestHeader;
use pingora::{OrErr as _, Result};
use voicegain_auth_core::{Edit, Strip};

const FAILED: pingora::ErrorType = pingora::ErrorType::InvalidHTTPHeader;

pub fn apply(plan: Strip, request: &mut RequestHeader) -> Result<()> {
    let Strip { authorization, query, protocols, cookies } = plan;
    edit_header(request, "authorization", authorization)?;
    edit_header(request, "sec-websocket-protocol", protocols)?;
    edit_header(request, "cookie", cookies)?;
    let path = request.uri.path();
    let target = match query {
        Edit::Keep => return Ok(()),
        Edit::Remove => path.to_owned(),
        Edit::Replace(query) => format!("{path}?{query}"),
    };
    let mut parts = request.uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).or_err(FAILED, "a target without its token")?);
    request.set_uri(Uri::from_parts(parts).or_err(FAILED, "a target without its token")?);
    Ok(())
}

fn edit_header(request: &mut RequestHeader, name: &'static str, edit: Edit) -> Result<()> {
    if edit != Edit::Keep {
        request.remove_header(name);
    }
    match edit {
        Edit::Keep | Edit::Remove => Ok(()),
        Edit::Replace(value) => request.insert_header(name, value),
    }
}
