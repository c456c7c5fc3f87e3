//! Origins that were read already, a few for each thread.
//!
//! A page sends its origin with every request, and its tokens are made for just that one: then there is nothing to compare but
//! bytes, once it is known that the text is an origin at all. Reading one anew takes a fifteenth of deciding about a
//! short-lived token without instructions for SHA-256, and a tenth with them. What is kept is a text and nothing of whoever
//! sent it; a longer one is read each time.

use std::cell::RefCell;

use super::Origin;

/// Longer than nearly every origin.
const MAX_BYTES: usize = 64;
const SLOTS: usize = 16;

#[derive(Clone, Copy)]
struct Known {
    length: usize,
    text: [u8; MAX_BYTES],
}

thread_local! {
    static KNOWN: RefCell<[Known; SLOTS]> = const { RefCell::new([Known { length: 0, text: [0; MAX_BYTES] }; SLOTS]) };
}

/// Whether the value of an `Origin` header is a serialised origin that as a pattern stands for itself, so that it is one of the
/// origins that a token is made for whose `aud` names it to the byte (rules O2, O3).
pub(crate) fn stands_for_itself(value: &[u8]) -> bool {
    let known = KNOWN.try_with(|known| {
        let mut known = known.try_borrow_mut().ok()?;
        let slot = known.get_mut(place(value)?)?;
        if slot.text.get(..slot.length) == Some(value) {
            return Some(true);
        }
        let is_one = is_its_own_pattern(value);
        if is_one && let Some(text) = slot.text.get_mut(..value.len()) {
            text.copy_from_slice(value);
            slot.length = value.len();
        }
        Some(is_one)
    });
    // In a thread that is ending nothing is known.
    known.ok().flatten().unwrap_or_else(|| is_its_own_pattern(value))
}

fn is_its_own_pattern(value: &[u8]) -> bool {
    Origin::parse(value).is_ok_and(|origin| str::from_utf8(value).is_ok_and(|text| origin.is_written(text)))
}

/// Where it is kept. Who sends origins that push each other out has them read, as everybody had before.
fn place(value: &[u8]) -> Option<usize> {
    // Behind `https://`, where origins differ.
    let (_, host) = value.split_at_checked(b"https://".len())?;
    let start = host.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let mixed = (start ^ value.len() as u32).wrapping_mul(0x9e37_79b1);
    (value.len() <= MAX_BYTES).then_some((mixed >> 28) as usize % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o3_what_is_known_is_what_is_read() {
        let long = format!("https://{}.example", "a".repeat(50));
        let longer = format!("https://{}.example", "a".repeat(63));
        let texts = [
            "https://app.example.com",
            "https://app.example.con",
            "https://App.example.com",
            "https://app.example.com:443",
            "https://app.example.com/",
            "https://app.example.com ",
            "https://apq.example.com",
            "https://*.example.com",
            "https://app.example.com:*",
            "capacitor://localhost",
            "http://a",
            "null",
            "NULL",
            "*",
            "",
            "https://",
            "https://[::1]:8080",
            "https://xn--bcher-kva.example",
            "https://b\u{fc}cher.example",
            &long,
            &longer,
        ];
        // In turn, so that each finds what the others have left, and then each after itself.
        let (mut yes, mut no) = (0, 0);
        for text in texts.iter().chain(&texts).chain(texts.iter().flat_map(|text| [text, text, text])) {
            let known = stands_for_itself(text.as_bytes());
            assert_eq!(known, is_its_own_pattern(text.as_bytes()), "{text}");
            if known { yes += 1 } else { no += 1 }
        }
        assert!(yes > 30 && no > 30, "{yes} {no}");
        assert!(!stands_for_itself(b"https://\xff.example.com"));
    }

    #[test]
    fn o3_no_byte_of_a_known_one_is_taken_for_another() {
        let origin = b"https://app.example.com";
        for at in 0..origin.len() {
            for byte in 0..=u8::MAX {
                assert!(stands_for_itself(origin));
                let mut other = *origin;
                other[at] = byte;
                assert_eq!(stands_for_itself(&other), is_its_own_pattern(&other), "{byte} at {at}");
            }
        }
        for length in 0..origin.len() {
            assert!(stands_for_itself(origin));
            assert_eq!(
                stands_for_itself(&origin[..length]),
                is_its_own_pattern(&origin[..length]),
                "{length}"
            );
        }
    }
}
