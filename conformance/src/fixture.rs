//! The web configs every case may rely on, made through the stack's admin interface before the first case runs.
//!
//! Cases that change a web config make their own.

use crate::token;
use sha2::{Digest, Sha256};

/// The deployment's API URL, the `aud` of long-lived tokens (rule W2).
pub const API_URL: &str = "https://api.voicegain.ai/v1";

/// A web config as the runner knows it.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// The id, in lower case.
    pub id: String,
    /// Who pays.
    pub account: String,
    /// The workspace.
    pub context: String,
    /// What has been issued so far, the oldest first.
    pub issued: Vec<Issue>,
}

/// One generation's secret and token.
#[derive(Clone)]
pub struct Issue {
    /// The generation, 1 for the first.
    pub generation: u64,
    /// The secret, where the runner chose it.
    pub secret: Option<Vec<u8>>,
    /// The long-lived token.
    pub jwt: String,
}

impl std::fmt::Debug for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issue").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What is done to a fixture after it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It lives.
    Kept,
    /// It is deleted again.
    Deleted,
    /// It gets a second secret; both tokens are known.
    Regenerated,
    /// It never exists in the stack: the runner alone knows it.
    NeverMade,
}

/// How a fixture is made.
#[derive(Clone, Copy, Debug)]
pub struct Fixture {
    /// What cases call it.
    pub name: &'static str,
    /// Its id.
    pub id: &'static str,
    /// Its account and context.
    pub owner: (&'static str, &'static str),
    /// Its `allowedOrigins`.
    pub allowed_origins: &'static [&'static str],
    /// What becomes of it.
    pub fate: Fate,
}

/// All of them.
pub const FIXTURES: &[Fixture] = &[
    Fixture {
        name: "alpha",
        id: "5f0c7a52-9d1e-4b6a-8c3f-a1b2c3d4e5f6",
        owner: ("acct-alpha", "ctx-alpha"),
        allowed_origins: &[],
        fate: Fate::Kept,
    },
    Fixture {
        name: "beta",
        id: "0b6e1f9a-2c47-4d58-9e60-7b8c9daebfc0",
        owner: ("acct-beta", "ctx-beta"),
        allowed_origins: &[],
        fate: Fate::Kept,
    },
    Fixture {
        name: "allowed",
        id: "c81d4e2e-bcf2-41e6-aa9f-82d9f0a1b2c3",
        owner: ("acct-alpha", "ctx-allowed"),
        allowed_origins: &["https://allowed.example.com", "*.wild.example.net", "localhost:8080"],
        fate: Fate::Kept,
    },
    Fixture {
        name: "regenerated",
        id: "7d444840-9dc0-41d1-b245-5ffdce74fad2",
        owner: ("acct-gamma", "ctx-gamma"),
        allowed_origins: &[],
        fate: Fate::Regenerated,
    },
    Fixture {
        name: "deleted",
        id: "e4eaaaf2-d142-41b3-ac3b-3a1f0c6d7e88",
        owner: ("acct-delta", "ctx-delta"),
        allowed_origins: &[],
        fate: Fate::Deleted,
    },
    Fixture {
        name: "unknown",
        id: "9a7b330a-a736-41f4-8d05-f2e4a1b0c9d7",
        owner: ("acct-nobody", "ctx-nobody"),
        allowed_origins: &[],
        fate: Fate::NeverMade,
    },
];

impl Fixture {
    /// The secret it is imported with: fixed, so that a run can be repeated.
    pub fn secret(&self) -> Vec<u8> {
        Sha256::digest(format!("voicegain conformance: {}", self.name)).to_vec()
    }

    /// The web config after its creation.
    pub fn web_config(&self, api_url: &str) -> WebConfig {
        let secret = self.secret();
        let jwt = token::long_lived(self.id, api_url, &secret);
        WebConfig {
            id: self.id.to_owned(),
            account: self.owner.0.to_owned(),
            context: self.owner.1.to_owned(),
            issued: vec![Issue { generation: 1, secret: Some(secret), jwt }],
        }
    }
}

impl WebConfig {
    /// What was issued last, or the given generation.
    pub fn issue(&self, generation: Option<u64>) -> Option<&Issue> {
        match generation {
            None => self.issued.last(),
            Some(wanted) => self.issued.iter().find(|issue| issue.generation == wanted),
        }
    }
}
