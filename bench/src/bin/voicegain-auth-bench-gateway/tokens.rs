//! The tokens that are sent to all, made by the gateway under a secret that HAProxy knows too.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// Where requests go, below the gateway's base path.
pub(crate) const PATH: &str = "/v1/asr/transcribe";
/// Text, since that is what HAProxy's configuration takes.
pub(crate) const SECRET: &str = "a-secret-that-was-made-for-measuring-and-for-nothing-else";
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-for-measuring";
/// The page that the short-lived token is for.
const ORIGIN: &str = "https://app.example.com";

/// What a client sends.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) origin: Option<&'static str>,
}

impl Sent {
    /// The same with another signature.
    pub(crate) fn forged(&self) -> Self {
        let mut token = self.token.clone();
        let signature = token.rfind('.').map_or(0, |dot| dot + 1);
        let other = if token[signature..].starts_with('A') { "B" } else { "A" };
        token.replace_range(signature..=signature, other);
        Self { token, ..self.clone() }
    }
}

pub(crate) struct Tokens {
    pub(crate) long_lived: Sent,
    pub(crate) short_lived: Sent,
    pub(crate) expired: Sent,
}

impl Tokens {
    /// Imports the secret into the gateway that has its admin port there, and has it mint.
    pub(crate) fn make(api: SocketAddr, admin: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let new = json!({
            "accountId": "account", "contextId": "context", "name": "measured",
            "secret": URL_SAFE_NO_PAD.encode(SECRET),
        });
        let created = ask(admin, "POST", "/api/web-configs", ADMIN_TOKEN, &new.to_string())?;
        let created: Value = serde_json::from_str(&created)?;
        let text = |name: &str| created[name].as_str().ok_or(format!("the admin API answers without {name}"));
        let (id, long_lived) = (text("id")?, text("jwt")?);

        let mint = format!("/v1/security/jwt?aud={ORIGIN}&expInSec=3600");
        let short_lived = ask(api, "GET", &mint, long_lived, "")?;

        let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3_600;
        let expired = sign(&format!(r#"{{"aud":"{ORIGIN}","sub":"{id}","exp":{hour_ago}}}"#))?;
        Ok(Self {
            long_lived: Sent { token: long_lived.to_owned(), origin: None },
            short_lived: Sent { token: short_lived, origin: Some(ORIGIN) },
            expired: Sent { token: expired, origin: Some(ORIGIN) },
        })
    }
}

/// A compact JWS with HS256.
fn sign(payload: &str) -> Result<String, Box<dyn Error>> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signing_input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?.chain_update(&signing_input).finalize();
    Ok(format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes())))
}

/// The body of a good answer.
fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    bearer: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {bearer}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the gateway breaks off")?;
    if head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.1 201 ") {
        Ok(body.to_owned())
    } else {
        let status = head.lines().next().unwrap_or_default();
        Err(format!("the gateway answers {method} {target} with {status}: {body}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_differs_in_its_signature_alone() {
        let good = Sent { token: sign("{}").expect("a token"), origin: None };
        let forged = good.forged();
        let [good, forged] = [&good, &forged].map(|sent| sent.token.rsplit_once('.').expect("three parts"));
        assert_eq!(good.0, forged.0);
        assert_ne!(good.1, forged.1);
        assert_eq!(good.1.len(), forged.1.len());
    }
}
