//! What is there to refuse in a header.

use super::json::Value;
use super::{Class, Classes, member};

/// What RFC 7515 and RFC 7797 have, and so joserfc.
const REGISTERED: [&str; 12] =
    ["alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "b64"];

/// Puts a header into its classes. Says whether it announces a payload that is not encoded, to those who would follow it.
pub(super) fn classify(header: &[(String, Value)], classes: &mut Classes) -> bool {
    match member(header, "alg") {
        Some(Value::String(alg)) if alg == "HS256" => {}
        Some(Value::Object(members)) if *members == [("HS256".to_owned(), Value::Null)] => {
            classes.insert(Class::AlgorithmObject);
        }
        _ => drop(classes.insert(Class::Algorithm)),
    }
    for (name, value) in header {
        classes.extend(of_member(name, value));
    }
    let b64 = member(header, "b64");
    let crit = member(header, "crit");
    let names_b64 = matches!(crit, Some(Value::Array(names)) if names.contains(&Value::String("b64".into())));
    match b64 {
        Some(Value::Bool(false)) if !names_b64 => drop(classes.insert(Class::NotEncoded)),
        None | Some(Value::Bool(_)) => {}
        Some(_) => drop(classes.insert(Class::EncodedOdd)),
    }
    if let Some(crit) = crit {
        classes.insert(of_crit(crit, header, b64));
    }
    names_b64 && b64.is_some_and(|b64| *b64 != Value::Bool(true))
}

fn of_member(name: &str, value: &Value) -> Vec<Class> {
    let mut found = Vec::new();
    let is_registered = REGISTERED.contains(&name);
    if !is_registered {
        found.push(Class::UnknownHeader);
    }
    let is_string = matches!(value, Value::String(_));
    let is_null = *value == Value::Null;
    let fits = match name {
        "typ" | "cty" | "kid" | "jku" | "x5u" | "x5t" | "x5t#S256" => is_string,
        "x5c" => matches!(value, Value::Array(all) if all.iter().all(|one| matches!(one, Value::String(_)))),
        "jwk" => matches!(value, Value::Object(_)),
        "enc" | "zip" | "url" | "nonce" => is_string || is_null,
        _ => true,
    };
    match (fits, is_registered) {
        (true, _) => {}
        (false, true) if is_null => found.push(Class::NullHeader),
        (false, true) => found.push(Class::HeaderType),
        (false, false) => found.push(Class::OtherHeaderType),
    }
    match (name, value) {
        ("kid", _) if !is_string => found.push(Class::KeyIdType),
        ("jku" | "x5u", Value::String(url))
            if !url.starts_with("http://") && !url.starts_with("https://") =>
        {
            found.push(Class::NoUrl);
        }
        ("jwk", Value::Object(key))
            if !matches!(member(key, "kid"), None | Some(Value::Null | Value::String(_))) =>
        {
            found.push(Class::KeyUnreadable);
        }
        _ => {}
    }
    found
}

fn of_crit(crit: &Value, header: &[(String, Value)], b64: Option<&Value>) -> Class {
    let names = match crit {
        Value::Null => return Class::CritNull,
        Value::Bool(false) => return Class::CritFalsy,
        Value::String(text) if text.is_empty() => return Class::CritFalsy,
        Value::Number(number) if number.parse() == Ok(0.0) => return Class::CritFalsy,
        Value::Array(names) => names,
        _ => return Class::CritType,
    };
    let texts: Option<Vec<&str>> = names
        .iter()
        .map(|name| match name {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let Some(names) = texts else { return Class::CritType };
    if names.is_empty() {
        return Class::CritEmpty;
    }
    if names.iter().all(|name| *name == "b64") {
        return match b64 {
            None => Class::CritUnknown,
            Some(Value::Bool(true)) => Class::CritEncoded,
            Some(Value::Bool(false)) => Class::CritNotEncoded,
            Some(_) => Class::CritOdd,
        };
    }
    if names.iter().all(|name| REGISTERED.contains(name) && member(header, name).is_some()) {
        Class::CritRegistered
    } else {
        Class::CritUnknown
    }
}
