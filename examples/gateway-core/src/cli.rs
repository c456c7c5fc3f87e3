//! The flags, the same for both gateways.

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use http::Uri;
use http::uri::Authority;
use voicegain_auth_core::{SecretCacheBuilder, TokenSources};
use zeroize::Zeroizing;

/// What a gateway is started with.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// Where tokens are looked for: any of header, query, protocol and cookie:NAME, separated by commas
    #[arg(long, value_name = "SOURCES", default_value = "header", value_parser = token_sources)]
    pub token_sources: TokenSources,

    /// The address the API is served on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// The address the admin API is served on; keep it where only operators reach it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081")]
    pub admin_listen: SocketAddr,

    /// The token of the admin API; other users of this machine may see a flag, so better use the environment or a file.
    /// At least 16 characters. Without any of them a new one is generated at every start, and shown once
    // A token in base64url may begin with a hyphen.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "VOICEGAIN_ADMIN_TOKEN",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub admin_token: Option<String>,

    /// A file that holds the token of the admin API
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// A further name that the admin API answers to, such as that of the machine; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = admin_host)]
    pub admin_host: Vec<String>,

    /// Where web configs and their secrets are kept: sqlite://FILE, postgres://USER:PASSWORD@HOST/DATABASE,
    /// etcd://HOST:PORT/PREFIX, or memory: to forget them at the end. ?schema=NAME behind a postgres:// URL names another
    /// schema than voicegain_auth. Other users of this machine may see a flag, so
    /// better put a URL with a password into the environment
    #[arg(
        long,
        value_name = "URL",
        env = "VOICEGAIN_STORE",
        hide_env_values = true,
        default_value = "sqlite://voicegain-gateway.db"
    )]
    pub store: String,

    /// The file with the keys that secrets are sealed under: one a line, KEY-ID:BASE64-OF-32-BYTES. The first one seals,
    /// all of them open. SIGHUP has it read again. The lines may also be in the environment variable
    /// VOICEGAIN_MASTER_KEYS, separated by line ends or commas. Without any, a key file is made beside a new SQLite file,
    /// as FILE.key
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,

    /// What VOICEGAIN_MASTER_KEYS holds.
    #[arg(skip)]
    pub master_keys: Option<Zeroizing<String>>,

    /// Keep secrets as they are, so that whoever can read the store or a backup of it can sign tokens
    #[arg(long)]
    pub plain_secrets: bool,

    /// Seal the secrets of a SQLite file that has plain ones, once, while it is opened
    #[arg(long)]
    pub seal_existing: bool,

    /// Load all web configs at the start instead of each when it is first asked for; not ready until it is done
    #[arg(long)]
    pub preload: bool,

    /// How many web configs are cached at most; the least recently used make room
    #[arg(long, value_name = "NUMBER", default_value_t = SecretCacheBuilder::CAPACITY)]
    pub max_cached: u64,

    /// The API that accepted requests are passed on to, as in http://127.0.0.1:9000. Without one, a built-in echo answers
    /// with what it would have received
    #[arg(long, value_name = "URL")]
    pub upstream: Option<Uri>,

    /// The upstream speaks HTTP/2 without TLS, from the first byte, as gRPC servers do
    #[arg(long, requires = "upstream")]
    pub upstream_http2: bool,

    /// The path that the API is below
    #[arg(long, value_name = "PATH", default_value = "/v1")]
    pub base_path: String,

    /// The API's public URL, which stands in every long-lived token
    #[arg(long, value_name = "URL", default_value = "https://api.voicegain.ai/v1")]
    pub api_url: String,

    /// How long a revoked token may still be accepted, whatever fails: 2s to 1h. A store outage longer than this is an
    /// outage of the gateway
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub max_revocation_delay: Duration,

    /// By how much clocks may differ when a token's times are judged: 0s to 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub leeway: Duration,

    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    pub max_body_bytes: u64,

    /// The program's name, for what it says about itself.
    #[arg(skip)]
    pub program: &'static str,
}

/// No flags besides.
#[derive(clap::Args)]
struct NoMore {}

/// Holds the lines of a key file.
const MASTER_KEYS: &str = "VOICEGAIN_MASTER_KEYS";

impl Args {
    /// Reads the command line of the program with this name. Does not return if it is wrong, or asks for help.
    #[must_use]
    pub fn parse(name: &'static str, version: &'static str) -> Self {
        let (args, NoMore {}) = Self::parse_with(name, version);
        args
    }

    /// Likewise, for a program with flags of its own.
    #[must_use]
    pub fn parse_with<Own: clap::Args>(name: &'static str, version: &'static str) -> (Self, Own) {
        let command =
            || Self::describe(Own::augment_args(Self::augment_args(Command::new(name).version(version))));
        let matches = command().get_matches();
        let parsed = Self::from_matches(&matches, std::env::var_os(MASTER_KEYS))
            .and_then(|args| Ok((args, Own::from_arg_matches(&matches)?)));
        let (args, own) = parsed.unwrap_or_else(|error| error.format(&mut command()).exit());
        (Self { program: name, ..args }, own)
    }

    fn from_matches(matches: &ArgMatches, master_keys: Option<OsString>) -> Result<Self, clap::Error> {
        let mut args = Self::from_arg_matches(matches)?;
        args.master_keys = match master_keys.map(OsString::into_string).transpose() {
            Ok(keys) => keys.map(Zeroizing::new).filter(|keys| !keys.is_empty()),
            Err(_) => {
                let what = format!("the environment variable {MASTER_KEYS} is no text");
                return Err(clap::Error::raw(ErrorKind::InvalidUtf8, what));
            }
        };
        let from_variable = matches.value_source("admin_token") == Some(ValueSource::EnvVariable);
        // An empty variable is how one is unset in many places.
        args.admin_token = args.admin_token.filter(|token| !(from_variable && token.is_empty()));
        if args.admin_token.is_some() && args.admin_token_file.is_some() {
            let which = "there are two admin tokens: leave out --admin-token (or the environment variable \
                         VOICEGAIN_ADMIN_TOKEN), or --admin-token-file (or VOICEGAIN_ADMIN_TOKEN_FILE)";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, which));
        }
        let in_file = args.master_key_file.is_some();
        let which = if in_file && args.master_keys.is_some() {
            "there are two sets of master keys: leave out --master-key-file (or the environment variable \
             VOICEGAIN_MASTER_KEY_FILE), or VOICEGAIN_MASTER_KEYS"
        } else if args.plain_secrets && (in_file || args.master_keys.is_some()) {
            "secrets are plain or sealed: leave out --plain-secrets, or the master keys (--master-key-file and the \
             environment variables VOICEGAIN_MASTER_KEY_FILE and VOICEGAIN_MASTER_KEYS)"
        } else if args.plain_secrets && args.seal_existing {
            "secrets are plain or sealed: leave out --plain-secrets, or --seal-existing"
        } else {
            return Ok(args);
        };
        Err(clap::Error::raw(ErrorKind::ArgumentConflict, which))
    }

    /// The description comes last: that of a struct of flags would take its place.
    fn describe(command: Command) -> Command {
        command
            .about("Puts Voicegain's tokens in front of an API: accepts, refuses, mints, and revokes")
            .long_about(None)
            .after_help(
                "Durations are written as 500ms, 30s, 5m or 1h; a bare number is seconds. RUST_LOG says how much is \
                 logged, as in RUST_LOG=debug. SIGHUP has the master key file read again.",
            )
    }
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token and whatever a store's URL holds.
        f.debug_struct("Args").field("listen", &self.listen).finish_non_exhaustive()
    }
}

fn token_sources(text: &str) -> Result<TokenSources, String> {
    let mut sources = TokenSources::none();
    for source in text.split(',') {
        let twice = match source.split_once(':') {
            None if source == "header" => std::mem::replace(&mut sources.header, true),
            None if source == "query" => std::mem::replace(&mut sources.query, true),
            None if source == "protocol" => std::mem::replace(&mut sources.protocol, true),
            Some(("cookie", name)) if !name.is_empty() => sources.cookie.replace(name.to_owned()).is_some(),
            _ => return Err(format!("`{source}` is no source: use header, query, protocol or cookie:NAME")),
        };
        if twice {
            return Err(format!("`{source}` is there twice"));
        }
    }
    Ok(sources)
}

/// A name, or an address, as it stands in a `Host` header.
fn admin_host(text: &str) -> Result<String, String> {
    let fits = text.parse::<Authority>().is_ok_and(|authority| {
        let host = authority.host();
        let whole = match authority.port() {
            Some(port) => text == format!("{host}:{port}"),
            None => text == host,
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        whole
            && match bracketed {
                Some(address) => address.parse::<Ipv6Addr>().is_ok(),
                None => !host.is_empty() && host.bytes().all(plain),
            }
    });
    if fits {
        Ok(text.to_owned())
    } else {
        Err("write a host name or an IP address, as in gateway.example or [2001:db8::1]".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || "write a whole number and a unit, as in 500ms, 30s, 5m or 1h".to_owned();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
    .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        parse_with("", args)
    }

    fn parse_with(master_keys: &str, args: &[&str]) -> Result<Args, clap::Error> {
        let args = std::iter::once("gateway").chain(args.iter().copied());
        Args::describe(Args::augment_args(Command::new("gateway").version("0")))
            .try_get_matches_from(args)
            .and_then(|matches| Args::from_matches(&matches, Some(master_keys.into())))
    }

    #[test]
    fn the_defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.token_sources, TokenSources::default());
        assert_eq!(
            (args.listen.to_string(), args.admin_listen.to_string()),
            ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
        );
        assert_eq!(args.store, "sqlite://voicegain-gateway.db");
        assert_eq!((args.base_path.as_str(), args.api_url.as_str()), ("/v1", "https://api.voicegain.ai/v1"));
        assert_eq!((args.max_revocation_delay, args.leeway), (Duration::from_secs(30), Duration::ZERO));
        assert!(args.upstream.is_none() && !args.upstream_http2 && args.admin_token_file.is_none());
        assert!(args.master_key_file.is_none() && args.master_keys.is_none());
        assert!(!args.plain_secrets && !args.seal_existing && !args.preload);
        assert_eq!(args.max_cached, 100_000);
    }

    #[test]
    fn an_admin_token_may_begin_with_a_hyphen() {
        let args = parse(&["--admin-token", "-_x", "--leeway", "1s"]).unwrap();
        assert_eq!(args.admin_token.as_deref(), Some("-_x"));
        assert_eq!(args.leeway, Duration::from_secs(1));
    }

    #[test]
    fn v1_token_sources() {
        let sources = parse(&["--token-sources", "header,query,protocol,cookie:vg"]).unwrap().token_sources;
        assert_eq!(
            (sources.header, sources.query, sources.protocol, sources.cookie.as_deref()),
            (true, true, true, Some("vg"))
        );
        let sources = parse(&["--token-sources", "cookie:vg"]).unwrap().token_sources;
        assert!(!sources.header && sources.cookie.is_some());
        for bad in ["", "head", "header,", "header,header", "cookie", "cookie:", "query:x", "header, query"] {
            assert!(parse(&["--token-sources", bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("7", 7.0)] {
            assert_eq!(duration(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for bad in ["", "s", "-1s", "1.5s", "1d", "1 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_an_upstream_speaks_http2() {
        let upstream = ["--upstream", "http://127.0.0.1:9000", "--upstream-http2"];
        assert!(parse(&upstream).unwrap().upstream_http2);
        assert!(parse(&upstream[2..]).is_err());
    }

    #[test]
    fn debug_shows_no_token() {
        let args = parse(&["--admin-token", "hush"]).unwrap();
        assert!(!format!("{args:?}").contains("hush"));
    }

    #[test]
    fn the_help_begins_with_what_the_program_does() {
        for help in ["-h", "--help"] {
            let text = parse(&[help]).unwrap_err().to_string();
            assert!(text.starts_with("Puts Voicegain's tokens in front of an API"), "{text}");
            assert!(text.contains("<IP:PORT>") && text.contains("a bare number is seconds"), "{text}");
        }
    }

    #[test]
    fn two_admin_tokens_are_refused() {
        let error = parse(&["--admin-token", "hush", "--admin-token-file", "f"]).unwrap_err().to_string();
        assert!(error.contains("VOICEGAIN_ADMIN_TOKEN)") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn secrets_are_sealed_in_one_way() {
        let file = ["--master-key-file", "f"];
        for (keys, args, said) in [
            ("k:hush", file.as_slice(), "VOICEGAIN_MASTER_KEY_FILE), or VOICEGAIN_MASTER_KEYS"),
            ("k:hush", &["--plain-secrets"], "leave out --plain-secrets, or the master keys"),
            (
                "",
                &["--plain-secrets", "--master-key-file", "f"],
                "leave out --plain-secrets, or the master keys",
            ),
            ("", &["--plain-secrets", "--seal-existing"], "--seal-existing"),
        ] {
            let error = parse_with(keys, args).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{args:?}: {error}");
        }
        assert_eq!(parse_with("k:hush", &[]).unwrap().master_keys.unwrap().as_str(), "k:hush");
        assert!(!format!("{:?}", parse_with("k:hush", &[]).unwrap()).contains("hush"));
        assert!(parse_with("", &file).unwrap().master_keys.is_none(), "an empty variable is none");
        assert!(parse(&["--plain-secrets"]).unwrap().plain_secrets);
    }

    #[test]
    fn admin_hosts() {
        for good in ["gateway", "gw.example", "gw_1.example:8081", "192.0.2.7", "[2001:db8::1]", "[::1]:8081"]
        {
            assert_eq!(parse(&["--admin-host", good]).unwrap().admin_host, [good]);
        }
        for bad in [
            "",
            "bad host!",
            "bad!",
            ":8081",
            "gw:x",
            "gw:",
            "u@gw",
            "gw/x",
            "http://gw",
            "::1",
            "[gw]",
            "*.example",
        ] {
            assert!(parse(&["--admin-host", bad]).is_err(), "{bad:?}");
        }
    }
}
