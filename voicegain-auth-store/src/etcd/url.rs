//! The URL of a store. Written here because URLs have one host, and these have several.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::error::InvalidUrl;

const PORT: u16 = 2379;

/// Who comes to the servers.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The files that TLS needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub(super) authorities: Option<PathBuf>,
    /// Certificate and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// What a URL says.
#[derive(Debug, Clone)]
pub(super) struct Location {
    /// Each as a URL for the client.
    pub(super) endpoints: Vec<String>,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Option<TlsFiles>,
    /// Begins with a slash and ends without one.
    pub(super) prefix: String,
}

impl Location {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let (secure, rest) = match (url.strip_prefix("etcd://"), url.strip_prefix("etcds://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(InvalidUrl::Scheme),
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest.split_once('/').ok_or(InvalidUrl::NoPrefix)?;
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(parse_credentials(credentials)?), hosts),
            None => (None, authority),
        };
        let files = parse_files(query.unwrap_or_default())?;
        if !secure && files != TlsFiles::default() {
            return Err(InvalidUrl::NotTls);
        }
        let scheme = if secure { "https" } else { "http" };
        let endpoint = |host: &str| Ok(format!("{scheme}://{}", parse_host(host)?));
        Ok(Self {
            endpoints: hosts.split(',').map(endpoint).collect::<Result<_, _>>()?,
            credentials,
            tls: secure.then_some(files),
            prefix: parse_prefix(path)?,
        })
    }
}

fn parse_credentials(text: &str) -> Result<Credentials, InvalidUrl> {
    let (user, password) = text.split_once(':').ok_or(InvalidUrl::Credentials)?;
    let decode = |text: &str| {
        percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| InvalidUrl::Credentials)
    };
    let (user, password) = (decode(user)?, Zeroizing::new(decode(password)?));
    if user.is_empty() || password.is_empty() {
        return Err(InvalidUrl::Credentials);
    }
    Ok(Credentials { user, password })
}

/// Host and port as the client takes them.
fn parse_host(text: &str) -> Result<String, InvalidUrl> {
    let invalid = InvalidUrl::Endpoint;
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(InvalidUrl::Endpoint)?;
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| InvalidUrl::Endpoint)?;
            let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(invalid)?) };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if host.is_empty() || !host.bytes().all(of_a_name) {
                return Err(invalid);
            }
            (host.to_owned(), port)
        }
    };
    let port = match port {
        None => PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| InvalidUrl::Endpoint)?
        }
        Some(_) => return Err(InvalidUrl::Endpoint),
    };
    if port == 0 { Err(InvalidUrl::Endpoint) } else { Ok(format!("{host}:{port}")) }
}

fn parse_prefix(path: &str) -> Result<String, InvalidUrl> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Err(InvalidUrl::NoPrefix);
    }
    let of_a_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(of_a_part);
    if path.split('/').all(is_part) { Ok(format!("/{path}")) } else { Err(InvalidUrl::Prefix) }
}

fn parse_files(query: &str) -> Result<TlsFiles, InvalidUrl> {
    let (mut authorities, mut certificate, mut key) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match name.as_ref() {
            "cacert" => &mut authorities,
            "cert" => &mut certificate,
            "key" => &mut key,
            _ => return Err(InvalidUrl::Parameter),
        };
        if value.is_empty() || place.replace(PathBuf::from(value.into_owned())).is_some() {
            return Err(InvalidUrl::Parameter);
        }
    }
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(InvalidUrl::HalfIdentity),
    };
    Ok(TlsFiles { authorities, identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where() {
        let location = Location::parse("etcd://one:1234,two,[::1]:5/voice/gain.1/").unwrap();
        assert_eq!(location.endpoints, ["http://one:1234", "http://two:2379", "http://[::1]:5"]);
        assert_eq!(location.prefix, "/voice/gain.1");
        assert!(location.tls.is_none() && location.credentials.is_none());
    }

    #[test]
    fn a_url_says_who() {
        let location = Location::parse("etcd://me:p%40ss%2Fw%3Ard@one/p").unwrap();
        let credentials = location.credentials.as_ref().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("me", "p@ss/w:rd"));
        assert!(!format!("{location:?}").contains("p@ss"), "{location:?}");
    }

    #[test]
    fn a_url_says_how() {
        let location = Location::parse("etcds://one/p?cacert=/a%20b.pem&key=k&cert=c").unwrap();
        assert_eq!(location.endpoints, ["https://one:2379"]);
        let expected =
            TlsFiles { authorities: Some("/a b.pem".into()), identity: Some(("c".into(), "k".into())) };
        assert_eq!(location.tls, Some(expected));
        assert_eq!(Location::parse("etcds://one/p").unwrap().tls, Some(TlsFiles::default()));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_showing_it() {
        use InvalidUrl::*;
        let cases = [
            ("", Scheme),
            ("http://one/p", Scheme),
            ("etcd:one/p", Scheme),
            ("etcd://one", NoPrefix),
            ("etcd://one/", NoPrefix),
            ("etcd://one?cacert=x", NoPrefix),
            ("etcd://one//", NoPrefix),
            ("etcd://one//p", Prefix),
            ("etcd://one/a//b", Prefix),
            ("etcd://one/a/../b", Prefix),
            ("etcd://one/a%2Fb", Prefix),
            ("etcd://one/a b", Prefix),
            ("etcd:///p", Endpoint),
            ("etcd://one,/p", Endpoint),
            ("etcd://one:/p", Endpoint),
            ("etcd://one:0/p", Endpoint),
            ("etcd://one:65536/p", Endpoint),
            ("etcd://one:+1/p", Endpoint),
            ("etcd://::1/p", Endpoint),
            ("etcd://[::1/p", Endpoint),
            ("etcd://[::1]5/p", Endpoint),
            ("etcd://o ne/p", Endpoint),
            ("etcd://me@one/p", Credentials),
            ("etcd://me:@one/p", Credentials),
            ("etcd://:pw@one/p", Credentials),
            ("etcd://me:%ff@one/p", Credentials),
            ("etcds://one/p?tls=on", Parameter),
            ("etcds://one/p?cacert=", Parameter),
            ("etcds://one/p?cacert=a&cacert=b", Parameter),
            ("etcds://one/p?cert=a", HalfIdentity),
            ("etcd://one/p?cacert=a", NotTls),
        ];
        for (url, expected) in cases {
            assert_eq!(Location::parse(url).unwrap_err(), expected, "{url}");
        }
    }
}
