//! Which names this port answers to. A web page can have a name of its own resolve to any address (DNS rebinding), but
//! it cannot choose what the browser then sends as `Host`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use http::header::HOST;

/// The name part of an authority. The port does not matter: whoever reaches the port may do so through another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Address(IpAddr),
    Domain(String),
}

impl Name {
    fn of(authority: &str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                return port_fits(port).then_some(Self::Address(IpAddr::V6(address.parse().ok()?)));
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        if host.is_empty() || !port_fits(port) {
            return None;
        }
        let address = host.parse().map(|address| Self::Address(IpAddr::V4(address)));
        Some(address.unwrap_or_else(|_| Self::Domain(host.to_ascii_lowercase())))
    }
}

/// Nothing, or a colon and digits.
fn port_fits(port: &str) -> bool {
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The names that are answered to.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Vec<Name>);

impl Default for Hosts {
    fn default() -> Self {
        Self(vec![
            Name::Domain("localhost".to_owned()),
            Name::Address(Ipv4Addr::LOCALHOST.into()),
            Name::Address(Ipv6Addr::LOCALHOST.into()),
        ])
    }
}

impl Hosts {
    pub(crate) fn allow_address(&mut self, address: IpAddr) {
        self.0.push(Name::Address(address));
    }

    /// A name that is none is never met in a request.
    pub(crate) fn allow(&mut self, host: &str) {
        self.0.extend(Name::of(host));
    }

    /// Whether a request names this port: by its target's authority, by one `Host`, or by both.
    pub(crate) fn admit(&self, request: &Request) -> bool {
        let target = request.uri().authority().map(|authority| authority.as_str());
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() || (host.is_none() && target.is_none()) {
            return false;
        }
        let is_ours = |authority: &str| Name::of(authority).is_some_and(|name| self.0.contains(&name));
        target.is_none_or(is_ours) && host.is_none_or(|host| host.to_str().is_ok_and(is_ours))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(uri: &str, hosts: &[&str]) -> Request {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn only_its_own_names_are_answered_to() {
        let mut hosts = Hosts::default();
        hosts.allow_address("192.0.2.7".parse().unwrap());
        hosts.allow("Admin.Example:8081");
        for good in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8081",
            "[::1]",
            "[0:0:0:0:0:0:0:1]:8081",
            "192.0.2.7:80",
            "admin.example",
        ] {
            assert!(hosts.admit(&request("/healthz", &[good])), "{good}");
        }
        for bad in [
            "",
            ":8081",
            "evil.test",
            "localhost.evil.test",
            "localhost@evil.test",
            "user@localhost",
            "127.0.0.1.evil.test",
            "127.0.0.2",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]evil",
            "::1",
            "localhost:8081:1",
            "localhost, evil.test",
        ] {
            assert!(!hosts.admit(&request("/healthz", &[bad])), "{bad}");
        }
    }

    #[test]
    fn a_request_names_its_port_once() {
        let hosts = Hosts::default();
        assert!(!hosts.admit(&request("/healthz", &[])));
        assert!(!hosts.admit(&request("/healthz", &["localhost", "localhost"])));
        assert!(!hosts.admit(&request("http://evil.test/healthz", &["localhost"])));
        assert!(!hosts.admit(&request("http://localhost/healthz", &["evil.test"])));
        assert!(hosts.admit(&request("http://localhost/healthz", &[])));
    }
}
