//! What a token says: the payload of its JWS (rules W2 to W5).

use std::fmt::{self, Write};
use std::time::Duration;

use crate::ids::WebConfigId;
pub(crate) use crate::json::JsonError;
use crate::json::{END_OF_STRING, Kind, Number, Object, Span, with_names};
use crate::subject::Subject;

mod minted;
#[cfg(test)]
mod tests;

pub(crate) use self::minted::AllButExpiry;
use self::minted::Minted;

/// Why a payload holds no claims we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedClaims {
    /// The payload is not one JSON object as rule W5 wants it.
    #[error("the payload: {0}")]
    Json(#[from] JsonError),
    /// `sub` is missing, no string, or names no web config (rule W4).
    #[error("`sub` names no web config")]
    Subject,
    /// `aud` is neither a string nor an array of strings.
    #[error("`aud` is neither a string nor an array of strings")]
    Audience,
    /// `exp` or `nbf` is no number from 0 to 253402300799 seconds.
    #[error("`exp` or `nbf` is no number from 0 to 253402300799 seconds")]
    Time,
}

/// The claims that count. Outside of this crate they are only to be had from a token whose signature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims<'a> {
    audience: Audience<'a>,
    subject: Subject<'a>,
    expires_at: Option<NumericDate>,
    not_before: Option<NumericDate>,
}

impl<'a> Claims<'a> {
    /// Reads a payload, which is overwritten.
    pub(crate) fn read(payload: &'a mut [u8]) -> Result<Self, MalformedClaims> {
        match Minted::find(payload) {
            Some(minted) => minted.claims(payload).ok_or(MalformedClaims::Subject),
            None => with_names(payload, Self::read_strictly),
        }
    }

    /// The same without the short way.
    pub(crate) fn read_strictly(payload: &'a mut [u8], names: &mut [Span]) -> Result<Self, MalformedClaims> {
        let (mut sub, mut aud, mut exp, mut nbf) = (None, None, None, None);
        let mut object = Object::open(payload, names)?;
        while let Some(name) = object.next_member()? {
            match object.slice(name) {
                b"sub" if object.kind()? == Kind::String => sub = Some(object.string()?),
                b"aud" => aud = Some(object.strings()?.ok_or(MalformedClaims::Audience)?),
                b"exp" => exp = Some(time(&mut object)?),
                b"nbf" => nbf = Some(time(&mut object)?),
                _ => object.skip()?,
            }
        }
        let text = object.finish()?;
        let sub = sub.and_then(|sub| str::from_utf8(sub.of(text)).ok()).ok_or(MalformedClaims::Subject)?;
        Ok(Self {
            audience: Audience { packed: aud.map(|aud| aud.of(text)) },
            subject: Subject::parse(sub).map_err(|_| MalformedClaims::Subject)?,
            expires_at: exp,
            not_before: nbf,
        })
    }

    /// What a long-lived token says, with its one `aud` as [`Audience`] has it.
    pub(crate) fn long_lived(audience: &'a [u8], id: WebConfigId) -> Self {
        Self {
            audience: Audience { packed: Some(audience) },
            subject: Subject::new(id, None),
            expires_at: None,
            not_before: None,
        }
    }

    /// The claim `aud`: which origins may use the token.
    pub(crate) fn audience(&self) -> Audience<'a> {
        self.audience
    }

    /// The claim `sub`: whom the token speaks for.
    pub(crate) fn subject(&self) -> Subject<'a> {
        self.subject
    }

    /// The claim `exp`: from when on the token is expired. A token without it is long-lived (rule V4).
    pub(crate) fn expires_at(&self) -> Option<NumericDate> {
        self.expires_at
    }

    /// The claim `nbf`: before when the token is not valid yet.
    pub(crate) fn not_before(&self) -> Option<NumericDate> {
        self.not_before
    }
}

fn time(object: &mut Object<'_, '_>) -> Result<NumericDate, MalformedClaims> {
    if object.kind()? != Kind::Number {
        return Err(MalformedClaims::Time);
    }
    NumericDate::from_number(object.number()?).ok_or(MalformedClaims::Time)
}

/// The claim `aud`, a string or an array of strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Audience<'a> {
    /// Each string followed by [`END_OF_STRING`]; `None` if the claim is absent.
    packed: Option<&'a [u8]>,
}

impl<'a> Audience<'a> {
    /// Whether the token has no `aud` at all. An empty array is one.
    pub(crate) fn is_absent(&self) -> bool {
        self.packed.is_none()
    }

    /// Whether one of the strings in it is this text to the byte. What is no UTF-8 may be taken for several of them.
    pub(crate) fn names(&self, text: &[u8]) -> bool {
        let packed = self.packed.unwrap_or_default();
        // Nearly always there is one string.
        packed.strip_suffix(&[END_OF_STRING]) == Some(text)
            || self.iter().any(|string| string.as_bytes() == text)
    }

    /// The strings in it: one if it is a string, any number if it is an array, none if it is absent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let packed = self.packed.unwrap_or_default();
        packed
            .split_inclusive(|byte| *byte == END_OF_STRING)
            .filter_map(|string| str::from_utf8(string.strip_suffix(&[END_OF_STRING])?).ok())
    }
}

impl fmt::Debug for Audience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_absent() { f.write_str("absent") } else { f.debug_list().entries(self.iter()).finish() }
    }
}

/// A point in time as RFC 7519 writes it: seconds since the Unix epoch, with a fraction perhaps.
///
/// It compares exactly with a clock that counts nanoseconds: what is finer is rounded up, to the first
/// nanosecond at which the point is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NumericDate {
    seconds: u64,
    /// 0 to 1,000,000,000, so that rounding up leaves the seconds alone.
    nanos: u32,
}

impl NumericDate {
    /// The last one there is: the end of the year 9999, in seconds. A time in milliseconds is beyond it (rule
    /// W5).
    pub(crate) const MAX_SECONDS: u64 = 253_402_300_799;

    /// The exact value of the number, if that is a time (rule W5).
    fn from_number(number: Number<'_>) -> Option<Self> {
        let digits = || number.integer.iter().chain(number.fraction).map(|digit| u32::from(digit - b'0'));
        let zeros = digits().take_while(|digit| *digit == 0).count();
        let significant = || digits().skip(zeros);
        if significant().next().is_none() {
            return Some(Self { seconds: 0, nanos: 0 });
        }
        // How many of the significant digits stand before the decimal point; negative if zeros follow it
        // first.
        let before_point = i64::try_from(number.integer.len()).ok()? - i64::try_from(zeros).ok()?
            + i64::from(number.exponent);
        if number.negative || before_point > 12 {
            return None;
        }

        let (mut seconds, mut nanos, mut finer) = (0_u64, 0_u32, false);
        for (place, digit) in (-before_point..).zip(significant()) {
            match place {
                ..0 => seconds = seconds * 10 + u64::from(digit),
                0..9 => nanos += digit * 10_u32.pow(8 - u32::try_from(place).ok()?),
                9.. => finer |= digit != 0,
            }
        }
        // The zeros that a positive exponent puts behind the last digit.
        let written = i64::try_from(significant().count()).ok()?;
        for _ in written..before_point {
            seconds *= 10;
        }
        let date = Self { seconds, nanos: nanos + u32::from(finer) };
        (date <= Self { seconds: Self::MAX_SECONDS, nanos: 0 }).then_some(date)
    }

    /// Whether this point has been reached: `now`, since the Unix epoch, is at it or past it.
    pub(crate) fn is_reached(self, now: Duration) -> bool {
        now >= self.since_epoch()
    }

    /// The time since the Unix epoch, rounded up to nanoseconds.
    pub(crate) fn since_epoch(self) -> Duration {
        Duration::new(self.seconds, self.nanos)
    }

    /// The time since the Unix epoch, rounded down to seconds.
    pub(crate) fn whole_seconds(self) -> u64 {
        self.seconds
    }
}

/// The payload of a long-lived token (rule W2). The same arguments always give the same bytes.
pub(crate) fn long_lived_payload(api_url: &str, id: WebConfigId) -> String {
    format!(r#"{{"aud":{},"sub":"{id}"}}"#, JsonString(api_url))
}

/// The payload of a short-lived token that expires at `exp` seconds since the Unix epoch (rule W3).
pub(crate) fn short_lived_payload(aud: &str, subject: Subject<'_>, exp: u64) -> String {
    let sub = subject.to_string();
    format!(r#"{{"aud":{},"sub":{},"exp":{exp}}}"#, JsonString(aud), JsonString(&sub))
}

/// Displays as a JSON string, with no escapes but those that must be.
pub(crate) struct JsonString<'a>(pub(crate) &'a str);

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}
