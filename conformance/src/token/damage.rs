//! What is broken about a token on purpose.

use super::Pantry;

/// Something that is broken about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// `pad:PART`: the `=` signs that padding would ask for, or one if it asks for none.
    Pad(Part),
    /// `trailing-bits:PART`: sets an unused bit of the last character.
    TrailingBits(Part),
    /// `alphabet:PART`: `+` and `/` instead of `-` and `_`.
    Alphabet(Part),
    /// `insert:PART:TEXT`: puts the text into the middle.
    Insert(Part, String),
    /// `empty:PART`.
    Empty(Part),
    /// `cut:N`: only the first bytes of the MAC.
    Cut(usize),
    /// `grow`: one byte more than the MAC has.
    Grow,
    /// `flip:N`: this bit of the MAC.
    Flip(usize),
    /// `swap-payload:JSON`: another payload, under the MAC of the first.
    SwapPayload(String),
    /// `append:TEXT`.
    Append(String),
    /// `prepend:TEXT`.
    Prepend(String),
}

/// One of the three parts of a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Payload,
    /// The third.
    Signature,
}

impl Damage {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let bad = || format!("no such damage: {text}");
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let part = |text: &str| match text {
            "header" => Ok(Part::Header),
            "payload" => Ok(Part::Payload),
            "signature" => Ok(Part::Signature),
            _ => Err(bad()),
        };
        Ok(match kind {
            "pad" => Self::Pad(part(rest)?),
            "trailing-bits" => Self::TrailingBits(part(rest)?),
            "alphabet" => Self::Alphabet(part(rest)?),
            "empty" => Self::Empty(part(rest)?),
            "insert" => {
                let (name, text) = rest.split_once(':').ok_or_else(bad)?;
                Self::Insert(part(name)?, text.to_owned())
            }
            "cut" => Self::Cut(rest.parse().map_err(|_| bad())?),
            "grow" => Self::Grow,
            "flip" => Self::Flip(rest.parse().map_err(|_| bad())?),
            "swap-payload" => Self::SwapPayload(rest.to_owned()),
            "append" => Self::Append(rest.to_owned()),
            "prepend" => Self::Prepend(rest.to_owned()),
            _ => return Err(bad()),
        })
    }

    /// Damage to the text of one part.
    pub(super) fn text(&self, part: Part, text: &mut Vec<u8>, pantry: &dyn Pantry) -> Result<(), String> {
        match self {
            Self::Pad(which) if *which == part => {
                let signs = if text.len().is_multiple_of(4) { 1 } else { 4 - text.len() % 4 };
                text.extend(std::iter::repeat_n(b'=', signs));
            }
            Self::TrailingBits(which) if *which == part => {
                const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                if text.len().is_multiple_of(4) {
                    return Err(format!("the {part:?} has no unused bits"));
                }
                let last = text.last_mut().ok_or("an empty part")?;
                let value = ALPHABET.iter().position(|at| at == last).ok_or("not base64url")?;
                *last = ALPHABET[value | 1];
            }
            Self::Alphabet(which) if *which == part => {
                let before = text.clone();
                for byte in text.iter_mut() {
                    *byte = match *byte {
                        b'-' => b'+',
                        b'_' => b'/',
                        other => other,
                    };
                }
                if *text == before {
                    return Err(format!("the {part:?} has no character that differs"));
                }
            }
            Self::Insert(which, inserted) if *which == part => {
                let middle = text.len() / 2;
                text.splice(middle..middle, pantry.expand(inserted)?);
            }
            Self::Empty(which) if *which == part => text.clear(),
            _ => {}
        }
        Ok(())
    }

    /// Damage to the bytes of the MAC.
    pub(super) fn mac(&self, mac: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => mac.truncate(*length),
            Self::Grow => mac.push(0),
            Self::Flip(bit) => mac[bit / 8] ^= 1 << (bit % 8),
            _ => {}
        }
    }
}
