//! Numbers as they are written, compared exactly.

use std::cmp::Ordering;

/// A number of JSON: `0.digits` times ten to the power of `point`.
#[derive(Debug)]
pub(super) struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    point: i64,
    /// The double next to it.
    pub(super) double: f64,
    /// Written with neither fraction nor exponent.
    pub(super) is_integer: bool,
}

impl Decimal {
    pub(super) fn read(written: &str) -> Self {
        let (negative, text) = match written.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, written),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // What does not fit is far beyond anything compared with.
        let exponent =
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { -1_000_000 } else { 1_000_000 });
        let all = format!("{integer}{fraction}");
        let significant = all.trim_start_matches('0');
        let zeros = (all.len() - significant.len()) as i64;
        Self {
            negative: negative && !significant.is_empty(),
            digits: significant.trim_end_matches('0').to_owned(),
            point: integer.len() as i64 - zeros + exponent,
            double: written.parse().unwrap_or(f64::NAN),
            is_integer: text.bytes().all(|byte| byte.is_ascii_digit()),
        }
    }

    pub(super) fn is_negative(&self) -> bool {
        self.negative
    }

    /// How it compares with a positive integer.
    pub(super) fn cmp(&self, other: u64) -> Ordering {
        if self.negative || self.digits.is_empty() {
            return Ordering::Less;
        }
        let other = other.to_string();
        self.point
            .cmp(&(other.len() as i64))
            .then_with(|| self.digits.as_str().cmp(other.trim_end_matches('0')))
    }
}
