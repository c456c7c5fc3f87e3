//! The query of a request, read as strictly as a body.

use std::collections::BTreeMap;

use voicegain_auth_core::store::ListQuery;

use crate::fields::shown;
use crate::refusal::Refusal;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// The query of a path that takes no parameters.
pub(crate) fn none(query: Option<&str>) -> Result<(), Refusal> {
    read(query, &[]).map(drop)
}

/// The query of the list. Its limit is the page's.
pub(crate) fn list(query: Option<&str>) -> Result<ListQuery, Refusal> {
    let mut parameters = read(query, &["accountId", "contextId", "after", "limit"])?;
    let mut take = |name| parameters.remove(name);
    let mut query = ListQuery { limit: DEFAULT_LIMIT, ..ListQuery::default() };
    if let Some(text) = take("accountId") {
        query.account_id = Some(text.parse().map_err(|error| wrong("accountId", &error))?);
    }
    if let Some(text) = take("contextId") {
        query.context_id = Some(text.parse().map_err(|error| wrong("contextId", &error))?);
    }
    if let Some(text) = take("after") {
        query.after = Some(text.parse().map_err(|error| wrong("after", &error))?);
    }
    if let Some(text) = take("limit") {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
        query.limit = limit.ok_or_else(|| wrong("limit", &"must be a number from 1 to 1000"))?;
    }
    Ok(query)
}

fn read(query: Option<&str>, known: &[&str]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if !known.contains(&name.as_ref()) {
            return Err(wrong(&shown(&name), &"is not known here; leave it out"));
        }
        if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(wrong(&name, &"must be given once only"));
        }
    }
    Ok(parameters)
}

fn wrong(name: &str, problem: &dyn std::fmt::Display) -> Refusal {
    Refusal::invalid_parameter(format!("Parameter `{name}`: {problem}."))
}
