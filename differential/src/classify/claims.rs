//! What is there to refuse in the claims.

use std::cmp::Ordering;

use super::json::Value;
use super::number::Decimal;
use super::{Class, Classes, member};
use crate::setup::{MAX_TIME, NOW, Owner};

const NOW_DOUBLE: f64 = NOW as f64;

pub(super) fn classify(claims: &[(String, Value)], owner: &Owner, owners: &[Owner], classes: &mut Classes) {
    let is_string = |value: &Value| matches!(value, Value::String(_));
    classes.extend(match member(claims, "sub") {
        None => Some(Class::NoSubject),
        Some(Value::String(sub)) => of_subject(sub, owner, owners),
        Some(_) => Some(Class::SubjectType),
    });
    classes.extend(match member(claims, "aud") {
        None | Some(Value::String(_)) => None,
        Some(Value::Array(all)) if all.iter().all(is_string) => None,
        Some(_) => Some(Class::AudienceType),
    });
    classes.extend(member(claims, "exp").and_then(of_expiry));
    classes.extend(member(claims, "nbf").and_then(of_not_before));
    classes.extend(member(claims, "iat").and_then(of_issued));
    classes.extend(member(claims, "jti").filter(|jti| !is_string(jti)).map(|_| Class::IdType));
    classes.extend(member(claims, "iss").filter(|iss| !is_string(iss)).map(|_| Class::IssuerType));
}

/// Rule W4, by itself.
fn of_subject(sub: &str, owner: &Owner, owners: &[Owner]) -> Option<Class> {
    if sub.is_empty() {
        return Some(Class::SubjectEmpty);
    }
    let id = match sub.strip_prefix("api:") {
        None => sub,
        Some(limited) => match limited.rsplit_once(':') {
            Some((path, id)) if is_plain_path(path) => id,
            _ => return Some(Class::SubjectForm),
        },
    };
    let is_id = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let named = owners.iter().find(|owner| owner.id.eq_ignore_ascii_case(id));
    match named {
        _ if !is_id => Some(Class::SubjectForm),
        Some(named) if named.id == owner.id => None,
        _ => Some(Class::SubjectOther),
    }
}

/// Rule P2 for such paths as are made here.
fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut segments: Vec<&str> = rest.split('/').collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    segments.iter().all(|segment| {
        let plain = segment.chars().all(|it| !it.is_control() && !"%\\?#".contains(it));
        let dots = [".", ".."].contains(segment) || segment.starts_with(".;") || segment.starts_with("..;");
        plain && !dots && !segment.is_empty()
    })
}

fn of_expiry(exp: &Value) -> Option<Class> {
    let number = match exp {
        Value::Number(written) => Decimal::read(written),
        Value::String(text) if python_integer(text).is_some_and(|exp| exp > NOW.into()) => {
            return Some(Class::ExpiryText);
        }
        _ => return Some(Class::ExpiryType),
    };
    let double = number.double;
    if number.is_negative() {
        return Some(Class::ExpiryNegative);
    }
    if number.cmp(MAX_TIME) == Ordering::Greater {
        let two_to_the_64 = 18_446_744_073_709_551_616.0;
        return Some(if double.is_infinite() && !number.is_integer {
            Class::ExpiryInfinite
        } else if double < two_to_the_64 || (number.is_integer && number.cmp(u64::MAX) != Ordering::Greater) {
            Class::ExpiryFar
        } else {
            Class::ExpiryFarther
        });
    }
    if double >= NOW_DOUBLE + 1.0 {
        let is_rounded = double.fract() == 0.0 && number.cmp(double as u64) == Ordering::Less;
        is_rounded.then_some(Class::ExpiryRounded)
    } else if double > NOW_DOUBLE {
        Some(Class::ExpiresSoon)
    } else if number.cmp(NOW) == Ordering::Greater {
        Some(Class::ExpiresFiner)
    } else if double == NOW_DOUBLE {
        Some(Class::ExpiredNow)
    } else if double >= NOW_DOUBLE - 0.5 {
        Some(Class::ExpiredJust)
    } else {
        Some(Class::ExpiredLong)
    }
}

fn of_not_before(nbf: &Value) -> Option<Class> {
    let number = match nbf {
        Value::Number(written) => Decimal::read(written),
        Value::Bool(_) => return Some(Class::EarlyText),
        Value::String(text) if python_integer(text).is_some_and(|nbf| nbf <= NOW.into()) => {
            return Some(Class::EarlyText);
        }
        _ => return Some(Class::EarlyType),
    };
    let double = number.double;
    if number.is_negative() {
        let is_infinite = double.is_infinite() && !number.is_integer;
        return Some(if is_infinite { Class::EarlyInfinite } else { Class::EarlyNegative });
    }
    if number.cmp(MAX_TIME) == Ordering::Greater {
        Some(Class::EarlyFar)
    } else if double >= NOW_DOUBLE + 1.0 {
        Some(Class::EarlyLong)
    } else if double >= NOW_DOUBLE + 0.5 {
        Some(Class::EarlyUnderOne)
    } else if double > NOW_DOUBLE {
        Some(Class::EarlyUnderHalf)
    } else if number.cmp(NOW) == Ordering::Greater {
        Some(Class::EarlyFiner)
    } else {
        None
    }
}

fn of_issued(iat: &Value) -> Option<Class> {
    let number = match iat {
        Value::Number(written) => Decimal::read(written),
        Value::Bool(_) => return Some(Class::IssuedText),
        Value::String(text) if python_integer(text).is_some_and(|iat| iat <= NOW.into()) => {
            return Some(Class::IssuedText);
        }
        _ => return Some(Class::IssuedType),
    };
    if number.double.is_infinite() && !number.is_integer {
        Some(Class::IssuedInfinite)
    } else if number.double >= NOW_DOUBLE + 1.0 {
        Some(Class::IssuedFuture)
    } else if number.double > NOW_DOUBLE {
        Some(Class::IssuedSoon)
    } else {
        None
    }
}

/// What Python's `int` makes of text: white space around it, a sign, digits with single underscores between.
fn python_integer(text: &str) -> Option<i128> {
    let text = text.trim_matches(|it: char| it.is_ascii_whitespace() || it == '\u{b}');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_digits =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if is_digits { text.replace('_', "").parse().ok() } else { None }
}
