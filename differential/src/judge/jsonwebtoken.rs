//! The verdict of the jsonwebtoken crate.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use super::{Reading, Verdict};
use crate::setup::NOW;

/// Judges a token. The library cannot be told the time, and its clock may tick between two readings.
pub(crate) fn judge(secret: &[u8], token: &[u8]) -> Verdict {
    let key = DecodingKey::from_secret(secret);
    loop {
        let before = seconds();
        let result = decode::<Map<String, Value>>(token, &key, &validation(before));
        if seconds() == before {
            return match result {
                Ok(data) => Verdict::Accepted(reading(&data.claims)),
                Err(error) => {
                    let kind = format!("{:?}", error.kind());
                    let end = kind.find(['(', ' ']).unwrap_or(kind.len());
                    Verdict::Refused { refused: kind[..end].to_owned(), foreign: false }
                }
            };
        }
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// With `ahead = NOW - now`, it refuses `exp - 2·ahead < now - ahead`, which is `exp < NOW`, and `nbf > now + ahead`, which is
/// `nbf > NOW`, each in its own comparison.
fn validation(now: u64) -> Validation {
    let ahead =
        NOW.checked_sub(now).expect("the fixed time is still to come; choose a later one in setup.rs");
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_required_spec_claims(&["sub"]);
    validation.leeway = ahead;
    validation.reject_tokens_expiring_in_less_than = 2 * ahead;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    validation
}

fn reading(claims: &Map<String, Value>) -> Reading {
    let sub = claims.get("sub").and_then(Value::as_str).filter(|sub| sub.is_ascii());
    let exp = claims.get("exp").and_then(Value::as_f64).filter(|exp| exp.abs() < 1e18);
    Reading { sub: sub.map(str::to_owned), exp: exp.map(|exp| (exp.trunc() as i64).to_string()) }
}
