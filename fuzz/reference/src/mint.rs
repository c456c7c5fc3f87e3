//! What a short-lived token may be asked for (rule M2).

use super::origin::{Tail, may_be_set};
use super::path;

/// What it is to say.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    pub audience: String,
    pub seconds: u64,
    pub api_path: Option<String>,
}

/// `None`: one of the parameters is repeated, unknown or wrong.
pub fn wanted(query: &str, own_context: &str) -> Option<Wanted> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let known = ["aud", "expInSec", "api", "contextId"];
    for (at, (name, value)) in pairs.iter().enumerate() {
        let repeated = pairs[..at].iter().any(|(other, _)| other == name);
        // What was no UTF-8 has become this.
        if repeated || !known.contains(&name.as_str()) || value.contains('\u{fffd}') {
            return None;
        }
    }
    let get = |name| pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
    let audience = get("aud")?;
    let seconds = get("expInSec").unwrap_or_else(|| "300".to_owned());
    let api_path = get("api");
    let all_digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = seconds.parse().ok().filter(|seconds| all_digits && (1..=3_600).contains(seconds))?;
    let fits = |text: &str| (1..=128).contains(&text.chars().count());
    let good = fits(&audience)
        && may_be_set(&audience, Tail::Slash)
        && api_path.as_ref().is_none_or(|api| fits(api) && !path::is_refused(api, false))
        && get("contextId").is_none_or(|context| context == own_context);
    good.then_some(Wanted { audience, seconds, api_path })
}
