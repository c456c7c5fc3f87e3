//! A web config, its tokens, and raw requests.

use std::net::SocketAddr;
use std::time::SystemTime;

use conformance::http1::{Answer, Response, exchange};
use conformance::stack::Variant;
use conformance::stacks::in_process;
use conformance::token;
use voicegain_auth_core::{CreateRequest, Issuer, Secret, Verifier};

/// The page that the long-lived token may be used from.
pub const PAGE: &str = "https://page.example.com";

pub struct World {
    pub verifier: Verifier,
    #[allow(dead_code, reason = "not every test needs it")]
    pub issuer: Issuer,
    pub token: String,
    id: String,
}

const SECRET: [u8; 32] = [7; 32];

pub async fn world(variant: Variant) -> World {
    let (verifier, issuer) = in_process::verifier(variant).unwrap();
    over(verifier, issuer).await
}

/// The world of this verifier and issuer.
pub async fn over(verifier: Verifier, issuer: Issuer) -> World {
    let mut request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
    request.id = Some("bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729".parse().unwrap());
    request.secret = Some(Secret::from_bytes(&SECRET).unwrap());
    request.allowed_origins = vec![PAGE.to_owned()];
    let issued = issuer.create(request).await.unwrap();
    World { verifier, issuer, token: issued.jwt, id: issued.config.id.to_string() }
}

impl World {
    /// Replaces the secret, and returns the new token.
    #[allow(dead_code, reason = "not every test needs it")]
    pub async fn regenerate(&self) -> String {
        self.issuer.regenerate(self.id.parse().unwrap()).await.unwrap().jwt
    }

    /// A token that is good for this API path and what is below it.
    #[allow(dead_code, reason = "not every test needs one")]
    pub fn limited(&self, path: &str) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let payload = format!(r#"{{"sub":"api:{path}:{}","exp":{}}}"#, self.id, now + 300);
        token::sign(br#"{"alg":"HS256","typ":"JWT"}"#, payload.as_bytes(), &SECRET)
    }
}

/// A request with these lines.
pub fn request(addr: SocketAddr, lines: &[&str], body: &[u8]) -> Vec<u8> {
    let mut request = lines.join("\r\n").into_bytes();
    request.extend(format!("\r\nHost: {addr}\r\n").bytes());
    if !body.is_empty() {
        request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    request
}

/// Sends a request with these lines, and `after` once a 101 has come.
pub async fn ask(addr: SocketAddr, lines: &[&str], body: &[u8], after: &[u8]) -> Response {
    let request = request(addr, lines, body);
    let method = lines[0].split(' ').next().unwrap();
    match exchange(addr, &request, method, after).await.unwrap() {
        Answer::Response(response) => response,
        Answer::Closed(why) => panic!("{why}"),
    }
}
