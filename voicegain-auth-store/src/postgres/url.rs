//! The URL that names the database.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::options::Schema;

/// What is wrong with a database URL. It shows no part of the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// It does not begin as one.
    #[error("it must begin with postgres:// or postgresql://")]
    Scheme,
    /// There is a second `@`.
    #[error(
        "it has more than one @: write %40 for those that are part of the user name, the password or a \
             parameter"
    )]
    At,
    /// It cannot be read.
    #[error(
        "it must have the form postgres://user:password@host:port/database?parameter=value, with %-escapes \
             for special characters"
    )]
    Form(#[source] tokio_postgres::Error),
    /// There is no host.
    #[error("it names no host")]
    NoHost,
    /// A parameter is not known here.
    #[error("it has a parameter that is not known here; known are {}", KNOWN.join(", "))]
    Parameter,
    /// `sslmode=prefer` or `allow`.
    #[error(
        "sslmode=prefer and sslmode=allow are refused, since whoever sits on the way can switch the encryption \
             off: leave sslmode out (encrypted and verified), or say sslmode=disable"
    )]
    SslPrefer,
    /// `sslmode=verify-ca`.
    #[error(
        "sslmode=verify-ca is refused, since the host name is always verified: leave sslmode out, or say \
             sslmode=verify-full"
    )]
    SslVerifyCa,
    /// Another `sslmode`.
    #[error("sslmode must be require, verify-full or disable")]
    SslMode,
    /// `schema` is not the name of one.
    #[error(
        "schema must be 1 to 63 of the characters a-z 0-9 _, must not begin with a digit, and may be there once"
    )]
    Schema,
    /// Another `target_session_attrs`.
    #[error("target_session_attrs must be read-write, if it is there at all: a standby is never used")]
    TargetSession,
}

const KNOWN: &[&str] = &[
    "application_name",
    "channel_binding",
    "dbname",
    "host",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "options",
    "password",
    "port",
    "schema",
    "sslmode",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// What the URL names.
pub(super) struct Target {
    /// One for each host, in the URL's order, named for messages.
    pub(super) servers: Vec<(String, Config)>,
    /// Whether any of them is to be spoken to over TLS.
    pub(super) tls: bool,
    pub(super) root_certificates: Option<PathBuf>,
    pub(super) schema: Option<Schema>,
}

impl Target {
    pub(super) fn parse(url: &str, application_name: &str) -> Result<Self, UrlProblem> {
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or(UrlProblem::Scheme)?;
        // The client would take the host to begin after the first one, and a part of the password to be the host.
        if rest.matches('@').count() > 1 {
            return Err(UrlProblem::At);
        }
        let (credentials, place) = rest.split_once('@').map_or(("", rest), |(before, after)| (before, after));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));

        let (mut kept, mut tls, mut root_certificates, mut schema) = (Vec::new(), true, None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').ok_or(UrlProblem::Parameter)?;
            let decoded = || percent_decode_str(value).decode_utf8_lossy();
            match key {
                "sslmode" => tls = encrypted(value)?,
                "sslrootcert" if value == "system" => root_certificates = None,
                "sslrootcert" => root_certificates = Some(PathBuf::from(&*decoded())),
                "schema" if schema.is_none() => schema = Some(schema_named(value)?),
                "schema" => return Err(UrlProblem::Schema),
                "target_session_attrs" if value == "read-write" => {}
                "target_session_attrs" => return Err(UrlProblem::TargetSession),
                key if KNOWN.contains(&key) => kept.push(parameter),
                _ => return Err(UrlProblem::Parameter),
            }
        }

        let separator = if credentials.is_empty() { "" } else { "@" };
        let plain = format!("postgres://{credentials}{separator}{place}?{}", kept.join("&"));
        let config: Config = plain.parse().map_err(UrlProblem::Form)?;
        let servers = each_host(&config, tls, application_name)?;
        let tls = servers.iter().any(|(_, config)| config.get_ssl_mode() == SslMode::Require);
        Ok(Self { servers, tls, root_certificates, schema })
    }
}

fn encrypted(mode: &str) -> Result<bool, UrlProblem> {
    match mode {
        "require" | "verify-full" => Ok(true),
        "disable" => Ok(false),
        "prefer" | "allow" => Err(UrlProblem::SslPrefer),
        "verify-ca" => Err(UrlProblem::SslVerifyCa),
        _ => Err(UrlProblem::SslMode),
    }
}

/// A name that needs no quotes and that nothing is changed in: two URLs that differ name two schemas.
fn schema_named(name: &str) -> Result<Schema, UrlProblem> {
    let of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if begins_well && name.len() <= 63 && name.bytes().all(of_a_name) {
        Ok(Schema(name.to_owned()))
    } else {
        Err(UrlProblem::Schema)
    }
}

/// The client tries all hosts within one call, and a host that takes connections but says nothing would keep it from
/// the next one. So it gets them one by one.
fn each_host(all: &Config, tls: bool, application_name: &str) -> Result<Vec<(String, Config)>, UrlProblem> {
    let mut servers = Vec::new();
    for (number, host) in all.get_hosts().iter().enumerate() {
        let ports = all.get_ports();
        let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
        let mut config = Config::new();
        config.port(port).application_name(all.get_application_name().unwrap_or(application_name));
        let name = match host {
            Host::Tcp(host) => {
                config.host(host).ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
                if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
            }
            #[cfg(unix)]
            Host::Unix(path) => {
                config.host_path(path).ssl_mode(SslMode::Disable);
                format!("{}/.s.PGSQL.{port}", path.display())
            }
        };
        if let Some(user) = all.get_user() {
            config.user(user);
        }
        if let Some(password) = all.get_password() {
            config.password(password);
        }
        if let Some(database) = all.get_dbname() {
            config.dbname(database);
        }
        if let Some(options) = all.get_options() {
            config.options(options);
        }
        config.channel_binding(all.get_channel_binding());
        keep_alive(&mut config, all);
        servers.push((name, config));
    }
    if servers.is_empty() { Err(UrlProblem::NoHost) } else { Ok(servers) }
}

/// What notices a connection whose other end is gone, while nothing is asked on it. Requests have limits of their own.
fn keep_alive(config: &mut Config, all: &Config) {
    /// The client's own default, which is what a URL without the parameter gives.
    const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);
    let idle = Some(all.get_keepalives_idle()).filter(|idle| *idle != TWO_HOURS);
    config
        .keepalives(all.get_keepalives())
        .keepalives_idle(idle.unwrap_or(Duration::from_secs(5)))
        .keepalives_interval(all.get_keepalives_interval().unwrap_or(Duration::from_secs(2)))
        .keepalives_retries(all.get_keepalives_retries().unwrap_or(3))
        .tcp_user_timeout(all.get_tcp_user_timeout().copied().unwrap_or(Duration::from_secs(10)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, UrlProblem> {
        Target::parse(url, "test")
    }

    fn modes(url: &str) -> Vec<(String, SslMode)> {
        let servers = parse(url).unwrap().servers;
        servers.into_iter().map(|(name, config)| (name, config.get_ssl_mode())).collect()
    }

    #[test]
    fn encryption_is_left_out_only_when_that_is_said() {
        let name = || "db.example:5432".to_owned();
        for query in ["", "?sslmode=require", "?sslmode=verify-full", "?application_name=x"] {
            let url = format!("postgres://user:secret@db.example/base{query}");
            assert_eq!(modes(&url), [(name(), SslMode::Require)], "{url}");
        }
        assert_eq!(modes("postgres://u@db.example/base?sslmode=disable"), [(name(), SslMode::Disable)]);
        assert!(matches!(parse("postgres://h/b?sslmode=prefer"), Err(UrlProblem::SslPrefer)));
        assert!(matches!(parse("postgres://h/b?sslmode=allow"), Err(UrlProblem::SslPrefer)));
        assert!(matches!(parse("postgres://h/b?sslmode=verify-ca"), Err(UrlProblem::SslVerifyCa)));
        assert!(matches!(parse("postgres://h/b?sslmode=Disable"), Err(UrlProblem::SslMode)));
        #[cfg(unix)]
        assert_eq!(
            modes("postgres://u@%2Frun%2Fpg:5433/base"),
            [("/run/pg/.s.PGSQL.5433".to_owned(), SslMode::Disable)]
        );
    }

    #[test]
    fn each_host_is_a_server_of_its_own() {
        let target = parse("postgresql://u:p%40q@a:1,b,[::1]:3/base?sslrootcert=%2Fetc%2Fca.pem").unwrap();
        let names: Vec<_> = target.servers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a:1", "b:5432", "[::1]:3"]);
        for (_, config) in &target.servers {
            assert_eq!(config.get_password(), Some(&b"p@q"[..]));
            assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("base")));
            assert_eq!(config.get_hosts().len(), 1);
            assert_eq!(config.get_application_name(), Some("test"));
            assert_eq!(config.get_keepalives_idle(), Duration::from_secs(5));
        }
        assert_eq!(target.root_certificates, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn a_schema_is_named_as_it_is() {
        let schema = |url: &str| parse(url).unwrap().schema.map(|Schema(name)| name);
        assert_eq!(schema("postgres://u@h/b"), None);
        assert_eq!(schema("postgres://u@h/b?sslmode=disable&schema=share_1"), Some("share_1".to_owned()));
        let longest = "x".repeat(63);
        assert_eq!(schema(&format!("postgres://u@h/b?schema={longest}")), Some(longest.clone()));
        for bad in ["", "Share", "share-1", "1share", "a%62", "a\"b", &(longest + "x"), "a&schema=a"] {
            let url = format!("postgres://u@h/b?schema={bad}");
            assert!(matches!(parse(&url), Err(UrlProblem::Schema)), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for url in [
            "mysql://u:hunter2@h/b",
            "postgres://u:hunter2@unter2@h/b",
            "postgres://u:hunter2?hunter2=1@h/b?x@y",
            "postgres://u:hunter2@h:port/b",
            "postgres://u:hunter2@h/b?hunter2=x",
            "postgres://u:hunter2@h/b?hunter2",
            "postgres://u:hunter2@h/b?target_session_attrs=any",
            "postgres://u:secret@h/b?schema=Hunter2",
            "postgres://u:hunter2@h/b?keepalives=hunter2",
            "postgres://u:hunter2@/b",
        ] {
            let problem = parse(url).err().unwrap();
            let shown = format!("{problem} {problem:?}");
            assert!(!shown.contains("unter2"), "{shown}");
        }
    }
}
