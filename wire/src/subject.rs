//! What is attacked: a port, the tokens that are good there, and perhaps a process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use conformance::fixture::{API_URL, FIXTURES, Fixture};
use conformance::stack::{Admin, NewWebConfig};
use conformance::token;

use crate::judge::{Judge, Owner};
use crate::process::Process;
use crate::upstream::Upstream;

/// Tokens of the two web configs.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The good client's, long-lived.
    pub good_long: String,
    /// The good client's, short-lived.
    pub good_short: String,
    /// The attacker's, long-lived.
    pub long: String,
    /// The attacker's, short-lived and for any page.
    pub short: String,
    /// The attacker's, short-lived and good for `/data-prep` alone.
    pub limited: String,
}

/// What is attacked.
#[derive(Debug)]
pub struct Subject {
    /// What reports call it.
    pub name: String,
    /// Its port.
    pub addr: SocketAddr,
    /// The tokens it accepts.
    pub tokens: Tokens,
    /// What it is in front of.
    pub upstream: Upstream,
    /// Its process, if it is one.
    pub process: Option<Process>,
}

impl Subject {
    /// Starts a gateway, with arguments of its own, and with the two web configs in it.
    ///
    /// # Errors
    /// If it does not start, or refuses them.
    pub async fn start(binary: &Path, arguments: &[&str]) -> Result<Self, String> {
        let upstream = Upstream::start(judge).await.map_err(|error| error.to_string())?;
        let process = Process::start(binary, arguments, upstream.addr).await?;
        for fixture in [good(), attacker()] {
            let config = NewWebConfig {
                id: Some(fixture.id.to_owned()),
                secret: Some(fixture.secret()),
                account_id: fixture.owner.0.to_owned(),
                context_id: fixture.owner.1.to_owned(),
                name: fixture.name.to_owned(),
                ..NewWebConfig::default()
            };
            process.admin().create(config).await.map_err(|error| format!("{error:?}"))?;
        }
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let name = [&[&*name], arguments].concat().join(" ");
        Ok(Self { name, addr: process.addr, tokens: Tokens::new(), upstream, process: Some(process) })
    }

    /// Its process id, while it has a process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::pid)
    }
}

impl Tokens {
    /// Good for an hour.
    #[must_use]
    pub fn new() -> Self {
        let long = |it: &Fixture| token::long_lived(it.id, API_URL, &it.secret());
        let (good, attacker) = (good(), attacker());
        Self {
            good_long: long(good),
            good_short: short_lived(good, good.id),
            long: long(attacker),
            short: short_lived(attacker, attacker.id),
            limited: short_lived(attacker, &format!("api:/data-prep:{}", attacker.id)),
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        [&self.good_long, &self.good_short, &self.long, &self.short, &self.limited].map(Clone::clone).into()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

/// The judge of an upstream with this authority.
#[must_use]
pub fn judge(authority: String) -> Judge {
    let owner = |it: &Fixture| Owner {
        account: it.owner.0.to_owned(),
        context: it.owner.1.to_owned(),
        web_config: it.id.to_owned(),
    };
    Judge {
        authority,
        base: "/v1".to_owned(),
        good: owner(good()),
        attacker: owner(attacker()),
        tokens: Tokens::new().all(),
    }
}

fn good() -> &'static Fixture {
    &FIXTURES[1]
}

fn attacker() -> &'static Fixture {
    &FIXTURES[0]
}

fn short_lived(fixture: &Fixture, sub: &str) -> String {
    // The same for a whole day, so that whoever makes them twice makes the same.
    const DAY: u64 = 24 * 3600;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let payload = format!(r#"{{"aud":"*","sub":"{sub}","exp":{}}}"#, (now / DAY + 2) * DAY);
    token::sign(token::HEADER.as_bytes(), payload.as_bytes(), &fixture.secret())
}
