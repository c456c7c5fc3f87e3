//! What a gateway says of itself, and what the system says of its process.

use std::fs;

use http::Method;

use super::super::text;
use crate::gateway::Gateway;

/// What a gateway says of itself.
pub(super) struct Metrics {
    pub(super) living: u64,
    pub(super) cached: u64,
}

impl Metrics {
    pub(super) async fn of(gateway: &Gateway) -> Result<Self, String> {
        let (_, body) = gateway.administer(Method::GET, "/metrics", None).await?;
        Self::parse(body.as_str().unwrap_or_default()).ok_or_else(|| "no metrics".to_owned())
    }

    fn parse(exposition: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = exposition.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            line.parse().ok()
        };
        Some(Self {
            living: value("voicegain_auth_living_web_configs")?,
            cached: value("voicegain_auth_cached_web_configs")?,
        })
    }
}

/// What a process has taken up to now.
#[derive(Debug, PartialEq)]
pub(super) struct Usage {
    /// In seconds, its own and the system's for it.
    pub(super) processor: f64,
    /// In bytes.
    pub(super) resident: u64,
    /// The most that ever was resident.
    pub(super) peak: u64,
}

impl Usage {
    pub(super) fn of(gateway: &Gateway) -> Result<Self, String> {
        let pid = gateway.pid().ok_or("the gateway has ended")?;
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).map_err(text);
        Self::parse(&read("stat")?, &read("status")?)
            .ok_or_else(|| "nothing is said of the process".to_owned())
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (own, system): (u64, u64) = (ticks.next()?.parse().ok()?, ticks.next()?.parse().ok()?);
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kib * 1024)
        };
        // Linux counts in hundredths of a second for everybody who asks.
        let processor = (own + system) as f64 / 100.0;
        Some(Self { processor, resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_takes_is_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 31 5 6 20 0 4 0 100 9 9";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage, Usage { processor: 2.81, resident: 1 << 20, peak: 2 << 20 });
        assert_eq!(Usage::parse(stat, "VmRSS:\t 1 kB"), None);
    }

    #[test]
    fn metrics_are_read_by_their_whole_names() {
        let text = "# HELP voicegain_auth_living_web_configs How many.\nvoicegain_auth_living_web_configs_old 9\n\
                    voicegain_auth_living_web_configs 7\nvoicegain_auth_cached_web_configs 3\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!((metrics.living, metrics.cached), (7, 3));
        assert!(Metrics::parse("voicegain_auth_living_web_configs 7").is_none());
    }
}
