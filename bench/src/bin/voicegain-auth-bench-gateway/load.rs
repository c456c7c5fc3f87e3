//! Load by h2load, which speaks both HTTP/1.1 and HTTP/2 and writes down how long every single request took.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::proxies::Proxy;
use crate::tokens::{PATH, Sent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// Without TLS, by prior knowledge.
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Http1, Self::Http2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// So many requests over so many connections, one at a time on each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) protocol: Protocol,
    pub(crate) connections: u32,
    pub(crate) requests: u32,
}

/// How one request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exchange {
    /// In microseconds.
    began: u64,
    /// -1 if there was no answer.
    status: i32,
    /// In microseconds.
    took: u64,
}

/// How a load went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Served {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Latencies in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Sends loads, and keeps h2load's log in a folder.
pub(crate) struct Loader {
    program: PathBuf,
    log: PathBuf,
}

impl Loader {
    pub(crate) fn new(program: PathBuf, folder: &Path) -> Self {
        Self { program, log: folder.join("h2load.log") }
    }

    /// Sends the load, and demands that all of it is let in.
    pub(crate) fn send(&self, load: Load, to: &Proxy, sent: &Sent) -> Result<Served, Box<dyn Error>> {
        let exchanges = self.run(load, to, sent)?;
        if exchanges.len() != load.requests as usize {
            return Err(format!(
                "{}: {} of {} requests were answered",
                to.name,
                exchanges.len(),
                load.requests
            )
            .into());
        }
        if let Some(other) = exchanges.iter().find(|exchange| exchange.status != 200) {
            return Err(format!("{} answers a good request with {}", to.name, other.status).into());
        }
        served(&exchanges).ok_or_else(|| "nothing was measured".into())
    }

    /// The status that one request is answered with.
    pub(crate) fn status(&self, protocol: Protocol, to: &Proxy, sent: &Sent) -> Result<i32, Box<dyn Error>> {
        match self.run(Load { protocol, connections: 1, requests: 1 }, to, sent)?.as_slice() {
            [one] => Ok(one.status),
            _ => Err(format!("{} does not answer", to.name).into()),
        }
    }

    fn run(&self, load: Load, to: &Proxy, sent: &Sent) -> Result<Vec<Exchange>, Box<dyn Error>> {
        // It would be added to.
        let _ = fs::remove_file(&self.log);
        let mut command = Command::new(&self.program);
        command.args(["--threads=1", "--max-concurrent-streams=1"]);
        command.arg(format!("--clients={}", load.connections));
        command.arg(format!("--requests={}", load.requests));
        command.arg(format!("--log-file={}", self.log.display()));
        command.args(["--header", &format!("authorization: Bearer {}", sent.token)]);
        if let Some(origin) = sent.origin {
            command.args(["--header", &format!("origin: {origin}")]);
        }
        let address = match load.protocol {
            Protocol::Http1 => to.http1,
            Protocol::Http2 => to.http2,
        };
        if load.protocol == Protocol::Http1 {
            command.arg("--h1");
        }
        command.arg(format!("http://{address}{PATH}"));
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("h2load has failed ({status})").into());
        }
        let log = fs::read_to_string(&self.log)?;
        log.lines().map(exchange).collect::<Option<_>>().ok_or_else(|| "h2load's log is unclear".into())
    }
}

/// A line of h2load's log.
fn exchange(line: &str) -> Option<Exchange> {
    let mut columns = line.split('\t');
    Some(Exchange {
        began: columns.next()?.parse().ok()?,
        status: columns.next()?.parse().ok()?,
        took: columns.next()?.parse().ok()?,
    })
}

fn served(exchanges: &[Exchange]) -> Option<Served> {
    let began = exchanges.iter().map(|exchange| exchange.began).min()?;
    let ended = exchanges.iter().map(|exchange| exchange.began + exchange.took).max()?;
    let mut took: Vec<u64> = exchanges.iter().map(|exchange| exchange.took).collect();
    took.sort_unstable();
    // The smallest that so many of a hundred do not exceed.
    let percentile = |percent: usize| took.get((took.len() * percent).div_ceil(100) - 1).copied();
    Some(Served {
        rate: exchanges.len() as f64 / (ended - began).max(1) as f64 * 1e6,
        p50: percentile(50)? as f64,
        p99: percentile(99)? as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log() {
        let read = exchange("1764263931000123\t200\t345");
        assert_eq!(read, Some(Exchange { began: 1_764_263_931_000_123, status: 200, took: 345 }));
        assert_eq!(exchange("1764263931000123\t-1\t345\tmore").map(|read| read.status), Some(-1));
        assert_eq!(exchange("1764263931000123\t200"), None);
        assert_eq!(exchange(""), None);
    }

    #[test]
    fn rate_and_percentiles() {
        // One after another, a request every millisecond; the latencies are 1 to 200 microseconds.
        let exchanges: Vec<_> = (0..200)
            .map(|at| Exchange { began: 5_000_000 + at * 1_000, status: 200, took: 200 - at })
            .collect();
        let served = served(&exchanges).expect("something");
        assert_eq!((served.p50, served.p99), (100.0, 198.0));
        let span = 199.0 * 1_000.0 + 1.0;
        assert!((served.rate - 200.0 / span * 1e6).abs() < 1e-6, "{}", served.rate);
        assert_eq!(super::served(&[]), None);
    }
}
