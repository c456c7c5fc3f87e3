//! Payloads that are written the way we write them, read at a glance.
//!
//! `{"aud":"…","sub":"…"}` and `{"aud":"…","sub":"…","exp":…}`, in this order, without spaces, the strings in printable ASCII
//! without escapes (rules W2, W3). Everything else is the strict reader's. What this one reads the strict one reads alike: a
//! property test holds the two together. It takes a third of the time.

use std::ops::Range;

use super::{Audience, Claims, NumericDate};
use crate::ids::WebConfigId;
use crate::json::END_OF_STRING;
use crate::subject::Subject;

/// More digits than the last second of the year 9999 has are for the strict reader to refuse.
const MAX_DIGITS: usize = 12;

const AUD: &[u8] = b"{\"aud\":\"";
const SUB: &[u8] = b"\",\"sub\":\"";
const EXP: &[u8] = b"\",\"exp\":";

/// Where things are in a payload in this form.
#[derive(Debug)]
pub(super) struct Minted {
    aud: Range<usize>,
    sub: Range<usize>,
    expires_at: Option<NumericDate>,
}

impl Minted {
    /// `None` if the payload is in another form.
    ///
    /// Read from both ends: the names stand where they must, and between them only the strings are looked at.
    pub(super) fn find(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(AUD)?.strip_suffix(b"}")?;
        let (strings, expires_at) = match rest.strip_suffix(b"\"") {
            Some(strings) => (strings, None),
            None => {
                let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
                let (strings, digits) = rest.split_at_checked(rest.len().checked_sub(digits)?)?;
                (strings.strip_suffix(EXP)?, Some(seconds(digits)?))
            }
        };
        // Nearly always a mere id, and else as much as there is before a quote.
        let (before, sub) = match strings.split_last_chunk::<{ WebConfigId::TEXT_LEN }>() {
            Some((before, id)) if before.ends_with(SUB) => (before, &id[..]),
            _ => {
                let quote = strings.iter().rposition(|byte| *byte == b'"')?;
                strings.split_at_checked(quote.saturating_add(1))?
            }
        };
        let aud = before.strip_suffix(SUB)?;
        if !is_plain(aud) || !is_plain(sub) {
            return None;
        }
        let (aud, sub) = (aud.len(), sub.len());
        let [aud_at, sub_at] = [AUD.len(), AUD.len() + aud + SUB.len()];
        Some(Self { aud: aud_at..aud_at + aud, sub: sub_at..sub_at + sub, expires_at })
    }

    /// What the payload says that this was found in; `None` if its `sub` names no web config. It is overwritten.
    pub(super) fn claims<'a>(&self, payload: &'a mut [u8]) -> Option<Claims<'a>> {
        self.end_aud(payload)?;
        self.claims_with(payload, self.id(payload), self.expires_at)
    }

    /// Puts the end of a string in the place of the quote behind `aud`.
    fn end_aud(&self, payload: &mut [u8]) -> Option<()> {
        *payload.get_mut(self.aud.end)? = END_OF_STRING;
        Some(())
    }

    /// The web config, if that is all there is in `sub`.
    fn id(&self, payload: &[u8]) -> Option<WebConfigId> {
        WebConfigId::parse(payload.get(self.sub.clone())?).ok()
    }

    fn claims_with<'a>(
        &self,
        payload: &'a [u8],
        id: Option<WebConfigId>,
        expires_at: Option<NumericDate>,
    ) -> Option<Claims<'a>> {
        let subject = match id {
            Some(id) => Subject::new(id, None),
            None => Subject::parse(str::from_utf8(payload.get(self.sub.clone())?).ok()?).ok()?,
        };
        let packed = payload.get(self.aud.start..=self.aud.end);
        Some(Claims { audience: Audience { packed }, subject, expires_at, not_before: None })
    }
}

/// What payloads in this form have in common that differ in their `exp` alone.
#[derive(Debug)]
pub(crate) struct AllButExpiry {
    /// Of one of them.
    minted: Minted,
    id: Option<WebConfigId>,
}

impl AllButExpiry {
    /// `None` if the payload is in another form, or has no `exp`.
    pub(crate) fn find(payload: &[u8]) -> Option<Self> {
        let minted = Minted::find(payload).filter(|minted| minted.expires_at.is_some())?;
        let id = minted.id(payload);
        Some(Self { minted, id })
    }

    /// Makes the beginning of such a payload ready for [`with_end`](Self::with_end). `None`: it does not reach to the end of `sub`.
    pub(crate) fn prepare(&self, beginning: &mut [u8]) -> Option<()> {
        beginning.get(self.minted.sub.end..)?;
        self.minted.end_aud(beginning)
    }

    /// What a payload says that begins with what was prepared; `None` if its end is in another form.
    #[inline]
    pub(crate) fn with_end<'a>(&self, payload: &'a [u8]) -> Option<Claims<'a>> {
        let digits = payload.get(self.minted.sub.end..)?.strip_prefix(EXP)?.strip_suffix(b"}")?;
        self.minted.claims_with(payload, self.id, Some(seconds(digits)?))
    }
}

/// Whether it is printable ASCII that stands for itself between quotes.
fn is_plain(text: &[u8]) -> bool {
    // Without a way out half-way, so that vector instructions can do many at once.
    text.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\'))
}

/// A whole number of seconds, as JSON writes it.
fn seconds(digits: &[u8]) -> Option<NumericDate> {
    if digits.is_empty() || digits.len() > MAX_DIGITS || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    let seconds = digits.iter().try_fold(0_u64, |seconds, digit| {
        digit.is_ascii_digit().then(|| seconds * 10 + u64::from(digit - b'0'))
    })?;
    (seconds <= NumericDate::MAX_SECONDS).then_some(NumericDate { seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::{MalformedClaims, long_lived_payload, short_lived_payload};
    use crate::json::with_names;

    const ID: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

    /// Whether it is read here, after a check that the strict reader then says the same of it.
    fn is_read(text: &str) -> bool {
        let (mut here, mut there) = (text.as_bytes().to_vec(), text.as_bytes().to_vec());
        let Some(minted) = Minted::find(&here) else { return false };
        let claims = minted.claims(&mut here).ok_or(MalformedClaims::Subject);
        assert_eq!(claims, with_names(&mut there, Claims::read_strictly), "{text}");
        true
    }

    #[test]
    fn w3_what_is_minted_is_read_at_a_glance() {
        for sub in
            [ID.to_owned(), ID.to_uppercase(), format!("api:/data:{ID}"), format!("api:/a/%C3%A9:{ID}")]
        {
            let subject = Subject::parse(&sub).unwrap();
            for aud in ["*", "https://app.example.com", "", "a b"] {
                for exp in [0, 1, 4_102_444_800, NumericDate::MAX_SECONDS] {
                    assert!(is_read(&short_lived_payload(aud, subject, exp)), "{sub} {aud} {exp}");
                }
            }
            assert!(is_read(&long_lived_payload("https://api.voicegain.ai/v1", subject.id())));
        }
    }

    #[test]
    fn w5_what_is_written_in_any_other_way_is_left_to_the_strict_reader() {
        let good = format!(r#"{{"aud":"*","sub":"{ID}","exp":4102444800}}"#);
        assert!(is_read(&good));
        let others = [
            (r#""aud""#, r#""\u0061ud""#),
            (r#""*""#, r#""\u002a""#),
            (r#""*""#, "\"\u{e9}\""),
            (r#""*""#, r#"["*"]"#),
            (r#""*""#, "7"),
            (r#""*","#, r#""*", "#),
            ("4102444800", "4102444800.0"),
            ("4102444800", "04102444800"),
            ("4102444800", "-1"),
            ("4102444800", "1e3"),
            ("4102444800", "253402300800"),
            ("4102444800", "4102444800000"),
            ("4102444800", ""),
            ("4102444800}", "4102444800} "),
            ("4102444800}", "4102444800}}"),
            ("4102444800}", "4102444800"),
            ("4102444800}", r#"4102444800,"nbf":1}"#),
            ("{", " {"),
        ];
        for (part, other) in others {
            let text = good.replacen(part, other, 1);
            assert_ne!(text, good);
            assert!(!is_read(&text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn w5_the_two_readers_agree(
            aud in "[ -~]{0,8}|https://[a-z.]{1,12}",
            sub in prop::sample::select(vec![ID.to_owned(), format!("api:/a:{ID}"), "x".to_owned()]),
            exp in prop::sample::select(vec!["", r#","exp":1"#, r#","exp":99999999999"#, r#","exp":999999999999"#, r#","exp":007"#]),
            at in any::<prop::sample::Index>(),
            byte in prop::option::of(b' '..=b'~'),
        ) {
            let text = format!(r#"{{"aud":"{aud}","sub":"{sub}"{exp}}}"#);
            let mut bytes = text.into_bytes();
            if let Some(byte) = byte {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            is_read(&String::from_utf8(bytes).unwrap());
        }
    }
}
