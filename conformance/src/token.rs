//! Tokens by recipe: the ones the rules describe, and those no library would make.
//!
//! A recipe's header and payload are texts, taken as they stand, so that duplicate members, wrong types, odd white
//! space and bytes that are no UTF-8 can be written down. Damage to the header or the payload is done before the
//! MAC is computed: such a token is refused for its form alone, its signature holds.

mod damage;

pub use self::damage::{Damage, Part};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::{Sha256, Sha384, Sha512};

/// The header of rule W2.
pub const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// How a token is made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The web config whose id and secret are used; `alpha` when absent.
    pub of: Option<String>,
    /// Which generation's secret; the newest when absent.
    pub generation: Option<u64>,
    /// The long-lived token as the stack issued it.
    pub issued: bool,
    /// The whole token, as it stands.
    pub raw: Option<String>,
    /// A short-lived token for this `aud`, good for five minutes.
    pub short: Option<String>,
    /// The `aud`, a string.
    pub aud: Option<String>,
    /// The `aud`, as JSON.
    pub aud_json: Option<String>,
    /// The `sub`, instead of the web config's id.
    pub sub: Option<String>,
    /// Limits the `sub` to this API path.
    pub api: Option<String>,
    /// The `exp`, as JSON.
    pub exp: Option<String>,
    /// The `nbf`, as JSON.
    pub nbf: Option<String>,
    /// Further members of the payload, as JSON, the comma between them included.
    pub more: Option<String>,
    /// The whole header.
    pub header: Option<String>,
    /// The whole payload.
    pub payload: Option<String>,
    /// What signs: `own` (the default), `empty`, `own-text` (the secret's base64url text), `text:…`, or the name of
    /// another web config.
    pub key: Option<String>,
    /// `HS256` (the default), `HS384` or `HS512`, whatever the header says.
    pub mac: Option<String>,
    /// The third part, as it stands.
    pub signature: Option<String>,
    /// Fills the payload up until the token has this many bytes.
    pub fill_to: Option<usize>,
    /// What is broken, in this order: see [`Damage`].
    pub damage: Vec<String>,
}

/// What a recipe needs to know.
pub trait Pantry {
    /// Expands `${…}`.
    ///
    /// # Errors
    /// As [`crate::template::expand`].
    fn expand(&self, text: &str) -> Result<Vec<u8>, String>;

    /// The id of a web config.
    ///
    /// # Errors
    /// If nobody knows that name.
    fn id(&self, config: &str) -> Result<String, String>;

    /// The secret of a web config.
    ///
    /// # Errors
    /// If nobody knows that name, or the runner did not choose that secret.
    fn secret(&self, config: &str, generation: Option<u64>) -> Result<Vec<u8>, String>;

    /// The long-lived token of a web config, as issued.
    ///
    /// # Errors
    /// If nobody knows that name.
    fn issued(&self, config: &str, generation: Option<u64>) -> Result<String, String>;
}

/// The long-lived token of rule W2.
pub fn long_lived(id: &str, api_url: &str, secret: &[u8]) -> String {
    let payload = format!(r#"{{"aud":"{api_url}","sub":"{id}"}}"#);
    sign(HEADER.as_bytes(), payload.as_bytes(), secret)
}

/// A compact JWS with HS256.
pub fn sign(header: &[u8], payload: &[u8], secret: &[u8]) -> String {
    let input = format!("{}.{}", encode(header), encode(payload));
    let mac = hs256(secret, input.as_bytes());
    format!("{input}.{}", encode(&mac))
}

/// base64url without padding.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64url without padding.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// HMAC with SHA-256.
pub fn hs256(key: &[u8], input: &[u8]) -> Vec<u8> {
    mac::<Hmac<Sha256>>(key, input)
}

fn mac<M: Mac + KeyInit>(key: &[u8], input: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(input);
    mac.finalize().into_bytes().to_vec()
}

impl Recipe {
    /// The long-lived token of a web config, as issued; `name@2` asks for a generation.
    ///
    /// # Errors
    /// If what follows the `@` is no number.
    pub fn issued(text: &str) -> Result<Self, String> {
        let (name, generation) = match text.split_once('@') {
            Some((name, number)) => {
                (name, Some(number.parse().map_err(|_| format!("no generation: {text}"))?))
            }
            None => (text, None),
        };
        Ok(Self { of: Some(name.to_owned()), generation, issued: true, ..Self::default() })
    }

    /// The token.
    ///
    /// # Errors
    /// A recipe that cannot be followed, as a sentence.
    pub fn make(&self, pantry: &dyn Pantry) -> Result<Vec<u8>, String> {
        let of = self.of.as_deref().unwrap_or("alpha");
        if let Some(raw) = &self.raw {
            return pantry.expand(raw);
        }
        if self.issued {
            return Ok(pantry.issued(of, self.generation)?.into_bytes());
        }
        let damage = self.damage.iter().map(|text| Damage::read(text)).collect::<Result<Vec<_>, _>>()?;
        let header = pantry.expand(self.header.as_deref().unwrap_or(HEADER))?;
        let mut payload = self.payload(of, pantry)?;
        if let Some(length) = self.fill_to {
            fill(&header, &mut payload, length)?;
        }
        let mut header = encode(&header).into_bytes();
        let mut payload = encode(&payload).into_bytes();
        for damage in &damage {
            damage.text(Part::Header, &mut header, pantry)?;
            damage.text(Part::Payload, &mut payload, pantry)?;
        }

        let input = [&header[..], b".", &payload[..]].concat();
        let key = self.key(of, pantry)?;
        let mut mac = match self.mac.as_deref().unwrap_or("HS256") {
            "HS256" => hs256(&key, &input),
            "HS384" => mac::<Hmac<Sha384>>(&key, &input),
            "HS512" => mac::<Hmac<Sha512>>(&key, &input),
            other => return Err(format!("no such MAC: {other}")),
        };
        for damage in &damage {
            damage.mac(&mut mac);
        }
        let mut signature = match &self.signature {
            Some(text) => pantry.expand(text)?,
            None => encode(&mac).into_bytes(),
        };
        for damage in &damage {
            damage.text(Part::Signature, &mut signature, pantry)?;
            if let Damage::SwapPayload(json) = damage {
                payload = encode(&pantry.expand(json)?).into_bytes();
            }
        }
        let mut token = [&header[..], &payload[..], &signature[..]].join(&b'.');
        for damage in &damage {
            match damage {
                Damage::Append(text) => token.extend(pantry.expand(text)?),
                Damage::Prepend(text) => {
                    token.splice(0..0, pantry.expand(text)?);
                }
                _ => {}
            }
        }
        Ok(token)
    }

    fn payload(&self, of: &str, pantry: &dyn Pantry) -> Result<Vec<u8>, String> {
        if let Some(payload) = &self.payload {
            return pantry.expand(payload);
        }
        let text = |text: &str| -> Result<Vec<u8>, String> {
            let text = String::from_utf8(pantry.expand(text)?).map_err(|_| "a claim that is no text")?;
            serde_json::to_vec(&text).map_err(|err| err.to_string())
        };
        let mut members = Vec::new();
        let mut member = |name: &str, value: Vec<u8>| {
            members.push([format!("\"{name}\":").as_bytes(), &value].concat());
        };
        if let Some(aud) = self.short.as_ref().or(self.aud.as_ref()) {
            member("aud", text(aud)?);
        }
        if let Some(json) = &self.aud_json {
            member("aud", pantry.expand(json)?);
        }
        let sub = match (&self.sub, &self.api) {
            (Some(sub), _) => text(sub)?,
            (None, Some(api)) => text(&format!("api:{api}:{}", pantry.id(of)?))?,
            (None, None) => text(&pantry.id(of)?)?,
        };
        member("sub", sub);
        if let Some(json) = self.exp.as_deref().or(self.short.as_ref().map(|_| "${now+300}")) {
            member("exp", pantry.expand(json)?);
        }
        if let Some(json) = &self.nbf {
            member("nbf", pantry.expand(json)?);
        }
        if let Some(more) = &self.more {
            members.push(pantry.expand(more)?);
        }
        Ok([b"{".as_slice(), &members.join(&b','), b"}"].concat())
    }

    fn key(&self, of: &str, pantry: &dyn Pantry) -> Result<Vec<u8>, String> {
        match self.key.as_deref().unwrap_or("own") {
            "own" => pantry.secret(of, self.generation),
            "own-text" => Ok(encode(&pantry.secret(of, self.generation)?).into_bytes()),
            "empty" => Ok(Vec::new()),
            other => match other.strip_prefix("text:") {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => pantry.secret(other, None),
            },
        }
    }
}

/// Adds a member to the payload so that the token comes out at `length` bytes.
fn fill(header: &[u8], payload: &mut Vec<u8>, length: usize) -> Result<(), String> {
    const SIGNATURE: usize = 43;
    let rest = length.checked_sub(encode(header).len() + SIGNATURE + 2);
    let bytes = rest.filter(|rest| rest % 4 != 1).map(|rest| rest / 4 * 3 + (rest % 4).saturating_sub(1));
    let member = br#","fill":"""#;
    let fill = bytes.and_then(|bytes| bytes.checked_sub(payload.len() + member.len()));
    let fill = fill.ok_or_else(|| format!("no token of {length} bytes can be made"))?;
    payload.pop();
    payload.extend(br#","fill":""#);
    payload.extend(std::iter::repeat_n(b'f', fill));
    payload.extend(br#""}"#);
    Ok(())
}

/// What a token says about its bearer, if it is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The web config id, in lower case.
    pub id: String,
    /// The API path, as the token has it.
    pub api: Option<String>,
    /// Whether there is an `exp`.
    pub short_lived: bool,
    /// The `exp`, if it is a whole number.
    pub exp: Option<u64>,
}

impl Claims {
    /// Reads them without judging; nothing, if there is nothing to read.
    pub fn read(token: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(token).ok()?;
        let payload: serde_json::Value = serde_json::from_slice(&decode(text.split('.').nth(1)?)?).ok()?;
        let sub = payload.get("sub")?.as_str()?;
        let (api, id) = match sub.strip_prefix("api:").and_then(|rest| rest.rsplit_once(':')) {
            Some((api, id)) => (Some(api.to_owned()), id),
            None => (None, sub),
        };
        let exp = payload.get("exp");
        Some(Self {
            id: id.to_ascii_lowercase(),
            api,
            short_lived: exp.is_some(),
            exp: exp.and_then(serde_json::Value::as_u64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shelf;

    impl Pantry for Shelf {
        fn expand(&self, text: &str) -> Result<Vec<u8>, String> {
            crate::template::expand(text, &|_| None)
        }
        fn id(&self, _: &str) -> Result<String, String> {
            Ok("bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729".to_owned())
        }
        fn secret(&self, _: &str, _: Option<u64>) -> Result<Vec<u8>, String> {
            Ok(b"0123456789abcdef0123456789abcdef".to_vec())
        }
        fn issued(&self, _: &str, _: Option<u64>) -> Result<String, String> {
            Ok("issued".to_owned())
        }
    }

    fn make(recipe: &Recipe) -> String {
        String::from_utf8(recipe.make(&Shelf).unwrap()).unwrap()
    }

    fn damaged(damage: &str) -> String {
        make(&Recipe { damage: vec![damage.to_owned()], ..Recipe::default() })
    }

    // RFC 7515, appendix A.1: an oracle that is not this crate's.
    #[test]
    fn the_mac_is_that_of_rfc_7515() {
        let key =
            decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogIm\
                     h0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let mac = hs256(&key.unwrap(), input.as_bytes());
        assert_eq!(encode(&mac), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn a_long_lived_token_is_that_of_rule_w2() {
        let token =
            long_lived("bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729", "https://api.voicegain.ai/v1", b"secret");
        let parts: Vec<_> = token.split('.').map(|part| decode(part).unwrap()).collect();
        assert_eq!(parts[0], HEADER.as_bytes());
        assert_eq!(
            parts[1],
            br#"{"aud":"https://api.voicegain.ai/v1","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729"}"#
        );
    }

    #[test]
    fn members_come_in_the_order_of_rule_w3() {
        let recipe = Recipe { aud: Some("a\"b".to_owned()), exp: Some("5".to_owned()), ..Recipe::default() };
        let payload = decode(make(&recipe).split('.').nth(1).unwrap()).unwrap();
        assert_eq!(payload, br#"{"aud":"a\"b","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":5}"#);
    }

    #[test]
    fn damage_is_what_it_says() {
        let sound = make(&Recipe::default());
        assert_eq!(damaged("append:x"), format!("{sound}x"));
        assert_eq!(damaged("prepend:x"), format!("x{sound}"));
        assert_eq!(damaged("pad:signature"), format!("{sound}="));
        assert!(damaged("empty:signature").ends_with('.'));
        let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
        assert_eq!(decode(&signature(&damaged("cut:16"))).unwrap().len(), 16);
        assert_eq!(decode(&signature(&damaged("grow"))).unwrap().len(), 33);
        assert_ne!(signature(&damaged("flip:0")), signature(&sound));
        let trailing = signature(&damaged("trailing-bits:signature"));
        assert_ne!(trailing, signature(&sound));
        assert_eq!(trailing[..42], signature(&sound)[..42]);
        assert!(decode(&trailing).is_none(), "not canonical");
    }

    #[test]
    fn damage_to_the_payload_is_under_the_mac() {
        let token = damaged("insert:payload:%");
        let (input, signature) = token.rsplit_once('.').unwrap();
        let secret = Shelf.secret("alpha", None).unwrap();
        assert_eq!(encode(&hs256(&secret, input.as_bytes())), signature);
        assert!(input.contains('%'));
    }

    #[test]
    fn fills_to_the_byte() {
        for length in [8192, 8193] {
            assert_eq!(make(&Recipe { fill_to: Some(length), ..Recipe::default() }).len(), length);
        }
    }

    #[test]
    fn claims_are_read_as_they_stand() {
        let recipe = Recipe { api: Some("/a:b".to_owned()), exp: Some("77".to_owned()), ..Recipe::default() };
        let claims = Claims::read(make(&recipe).as_bytes()).unwrap();
        assert_eq!(claims.api.as_deref(), Some("/a:b"));
        assert_eq!(claims.exp, Some(77));
        assert!(Claims::read(b"nothing").is_none());
    }
}
