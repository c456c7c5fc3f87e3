//! base64url without padding (RFC 4648 section 5), strict both ways: one spelling for all bytes (rule W1).
//!
//! By vector instructions where the processor has them. A general decoder takes a fifth of the time of deciding about a
//! long-lived token, this one a twentieth; the tests hold the two together.

use base64_simd::{Out, URL_SAFE_NO_PAD};

/// Decodes into the beginning of `out`. `None`: it is not the one way to write any bytes, or there is no room for them.
pub(crate) fn decode<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o mut [u8]> {
    let length = URL_SAFE_NO_PAD.decoded_length(text).ok()?;
    let out = out.get_mut(..length)?;
    URL_SAFE_NO_PAD.decode(text, Out::from_slice(out)).ok()
}

/// Appends what is written for these bytes.
pub(crate) fn encode_into(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, text);
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::alphabet::URL_SAFE;
    use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
    use proptest::prelude::*;

    use super::*;

    /// Another decoder of the same.
    pub(crate) const BASE64URL: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new()
            .with_encode_padding(false)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(false),
    );

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; text.len()];
        decode(text, &mut out).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn w1_every_byte_everywhere_counts_as_it_does_elsewhere() {
        // Long enough for every way in which vectors and what is left over are read.
        for length in 0..=70 {
            let bytes: Vec<u8> = (0..length).map(|at: u8| at.wrapping_mul(0x3d)).collect();
            let mut text = String::new();
            encode_into(&bytes, &mut text);
            assert_eq!(text, BASE64URL.encode(&bytes));
            assert_eq!(decoded(text.as_bytes()), Some(bytes));
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut other = text.clone().into_bytes();
                    other[at] = byte;
                    assert_eq!(decoded(&other), BASE64URL.decode(&other).ok(), "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn without_room_nothing_is_decoded() {
        let mut out = [0; 32];
        assert_eq!(decode(&[b'A'; 43], &mut out), Some(&mut [0; 32][..]));
        assert_eq!(decode(&[b'A'; 44], &mut out), None);
        assert_eq!(decode(&[b'A'; 43], &mut out[1..]), None);
    }

    proptest! {
        #[test]
        fn w1_anything_is_read_as_it_is_elsewhere(
            text in "[-_A-Za-z0-9]{0,200}",
            at in any::<prop::sample::Index>(),
            byte in prop::option::of(any::<u8>()),
        ) {
            let mut text = text.into_bytes();
            if let (Some(byte), false) = (byte, text.is_empty()) {
                let at = at.index(text.len());
                text[at] = byte;
            }
            prop_assert_eq!(decoded(&text), BASE64URL.decode(&text).ok());
        }
    }
}
