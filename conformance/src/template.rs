//! `${…}` in the texts of a case.
//!
//! | placeholder | becomes |
//! | --- | --- |
//! | `${hex:c0af}` | these bytes |
//! | `${repeat:64:text}` | the text, so many times |
//! | `${now}`, `${now+60}`, `${now-60}` | seconds since 1970 |
//! | `${uuid}` | a new UUID, another one each time |
//! | anything else | what the caller's look-up says; an unknown name is an error |
//!
//! Texts become bytes, because some cases send what is not text.

use std::time::{SystemTime, UNIX_EPOCH};

/// Expands every placeholder in `text`.
///
/// # Errors
/// An unclosed or unknown placeholder, or one with bad arguments, as a sentence.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        out.extend_from_slice(before.as_bytes());
        let end = tail.find('}').ok_or_else(|| format!("unclosed placeholder in {text:?}"))?;
        out.extend(value(&tail[2..end], lookup)?);
        rest = &tail[end + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// [`expand`] for texts that must stay text.
///
/// # Errors
/// As [`expand`], and when the result is not UTF-8.
pub fn expand_text(text: &str, lookup: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<String, String> {
    String::from_utf8(expand(text, lookup)?).map_err(|_| format!("{text:?} does not expand to text"))
}

fn value(name: &str, lookup: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Vec<u8>, String> {
    let unknown = || format!("unknown placeholder ${{{name}}}");
    if let Some(hex) = name.strip_prefix("hex:") {
        return unhex(hex).ok_or_else(unknown);
    }
    if let Some((times, text)) = name.strip_prefix("repeat:").and_then(|rest| rest.split_once(':')) {
        let times: usize = times.parse().map_err(|_| unknown())?;
        return Ok(text.as_bytes().repeat(times));
    }
    if let Some(offset) = name.strip_prefix("now") {
        let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().map_err(|_| unknown())? };
        return Ok((now() + offset).to_string().into_bytes());
    }
    if name == "uuid" {
        return Ok(new_uuid().into_bytes());
    }
    lookup(name).ok_or_else(unknown)
}

/// Seconds since 1970, rounded down.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

/// Seconds since 1970, rounded up.
pub fn now_rounded_up() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().cast_signed() + i64::from(now.subsec_nanos() > 0)
}

/// A random UUID (version 4), in lower case.
pub fn new_uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Random bytes from the operating system.
///
/// # Panics
/// If the operating system has none to give.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random bytes from the operating system");
    bytes
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<Vec<u8>> {
        None
    }

    #[test]
    fn expands_bytes_repeats_and_names() {
        let lookup = |name: &str| (name == "token").then(|| b"T".to_vec());
        assert_eq!(expand("a${hex:00ff}b${repeat:3:xy}${token}", &lookup).unwrap(), b"a\x00\xffbxyxyxyT");
    }

    #[test]
    fn expands_times() {
        let text = expand_text("${now-10}", &nothing).unwrap();
        assert!((now() - text.parse::<i64>().unwrap() - 10).abs() <= 1);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["${nobody}", "${unclosed", "${hex:0}", "${repeat:x:y}", "${nowhere}"] {
            assert!(expand(text, &nothing).is_err(), "{text}");
        }
    }

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let (one, two) = (new_uuid(), new_uuid());
        assert_eq!(one.len(), 36);
        assert_eq!(&one[14..15], "4");
        assert_ne!(one, two);
    }
}
