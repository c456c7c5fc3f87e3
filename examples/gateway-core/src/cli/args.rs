//! The flags, the same for both gateways. The first paragraph of each is what `-h` says of it.

#![allow(rustdoc::bare_urls, reason = "what is written of a flag is what --help prints")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use voicegain_auth_core::{SecretCacheBuilder, TokenSources};
use zeroize::Zeroizing;

use super::config_file::Places;
use super::values::{admin_host, duration, ratio, token_sources};
use crate::logging::LogFormat;

const TOKENS: &str = "Tokens";
const PORTS: &str = "Ports";
const ADMIN: &str = "Admin API and console";
const STORE: &str = "Store";
const UPSTREAM: &str = "Upstream";
const AUDIT: &str = "Audit log";
const OBSERVING: &str = "Observing";
const DEPLOYMENTS: &str = "Deployments";
const OIDC: &str = "Sign-in to the console by OpenID Connect";

/// What a gateway is started with.
#[derive(Clone, clap::Args)]
pub struct Args {
    /// A TOML file with settings: the long flags' names and values
    ///
    /// As in `listen = "0.0.0.0:8080"`, `preload = true` or `admin-host = ["a.example", "b.example"]`. Flags and the
    /// environment win over it. If it holds an admin token or a store's password, nobody but its owner may read it.
    /// Paths in it are those of the working directory, as everywhere.
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_CONFIG")]
    pub config: Option<PathBuf>,

    /// Where tokens are looked for: any of header, query, protocol and cookie:NAME, separated by commas
    #[arg(
        long,
        value_name = "SOURCES",
        default_value = "header",
        value_parser = token_sources,
        help_heading = TOKENS
    )]
    pub token_sources: TokenSources,

    /// The path that the API is below
    #[arg(long, value_name = "PATH", default_value = "/v1", help_heading = TOKENS)]
    pub base_path: String,

    /// The API's public URL, which stands in every long-lived token
    #[arg(long, value_name = "URL", default_value = "https://api.voicegain.ai/v1", help_heading = TOKENS)]
    pub api_url: String,

    /// How long a revoked token may still be accepted, whatever fails: 2s to 1h
    ///
    /// A store outage longer than this is an outage of the gateway.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration,
        help_heading = TOKENS
    )]
    pub max_revocation_delay: Duration,

    /// By how much clocks may differ when a token's times are judged: 0s to 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, help_heading = TOKENS)]
    pub leeway: Duration,

    /// Let WebSockets, streams and uploads go on whose token is revoked while they are under way
    ///
    /// By default they end as soon as the gateway hears of it, and where it cannot hear of it any more, within
    /// --max-revocation-delay.
    #[arg(long, help_heading = TOKENS)]
    pub keep_revoked_exchanges: bool,

    /// End WebSockets, streams and uploads when their short-lived token expires
    ///
    /// By default its `exp` is looked at when they begin, and not again.
    #[arg(long, help_heading = TOKENS)]
    pub end_expired_exchanges: bool,

    /// The address the API is served on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", help_heading = PORTS)]
    pub listen: SocketAddr,

    /// The address the admin API is served on; keep it where only operators reach it
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8081", help_heading = PORTS)]
    pub admin_listen: SocketAddr,

    /// The certificate for TLS on the API's port (PEM), and behind it those between it and its authority
    ///
    /// Without it that port speaks plain HTTP, for a proxy that ends TLS in front of it. The files are read again when they
    /// change, and on SIGHUP.
    #[arg(long, value_name = "FILE", help_heading = PORTS)]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert (PEM), which nobody but its owner may read
    #[arg(long, value_name = "FILE", help_heading = PORTS)]
    pub tls_key: Option<PathBuf>,

    /// The certificate for TLS on the admin port (PEM), and behind it those between it and its authority
    #[arg(long, value_name = "FILE", help_heading = PORTS)]
    pub admin_tls_cert: Option<PathBuf>,

    /// The private key of --admin-tls-cert (PEM), which nobody but its owner may read
    #[arg(long, value_name = "FILE", help_heading = PORTS)]
    pub admin_tls_key: Option<PathBuf>,

    /// The authority (PEM) that must have signed the certificate of whoever comes to the admin port, probes included
    #[arg(long, value_name = "FILE", help_heading = PORTS)]
    pub admin_client_ca: Option<PathBuf>,

    /// The token of the admin API, of at least 16 characters; better in a file or the environment
    ///
    /// Other users of this machine may see a flag. Without any of them a new one is generated at every start, and shown
    /// once.
    // A token in base64url may begin with a hyphen.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "VOICEGAIN_ADMIN_TOKEN",
        hide_env_values = true,
        allow_hyphen_values = true,
        help_heading = ADMIN
    )]
    pub admin_token: Option<String>,

    /// A file that holds the token of the admin API, which nobody but its owner may read
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_ADMIN_TOKEN_FILE", help_heading = ADMIN)]
    pub admin_token_file: Option<PathBuf>,

    /// A further name that the admin API answers to, such as that of the machine; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = admin_host, help_heading = ADMIN)]
    pub admin_host: Vec<String>,

    /// Where web configs and their secrets are kept: sqlite://…, postgres://…, etcd://… or memory:
    ///
    /// That is sqlite://FILE, postgres://USER:PASSWORD@HOST/DATABASE, etcd://HOST:PORT/PREFIX, or memory: to forget them
    /// at the end. ?schema=NAME behind a postgres:// URL names another schema than voicegain_auth. Other users of this
    /// machine may see a flag, so better put a URL with a password into the environment.
    #[arg(
        long,
        value_name = "URL",
        env = "VOICEGAIN_STORE",
        hide_env_values = true,
        default_value = "sqlite://voicegain-gateway.db",
        help_heading = STORE
    )]
    pub store: String,

    /// The file with the keys that secrets are sealed under: one a line, KEY-ID:BASE64-OF-32-BYTES
    ///
    /// The first one seals, all of them open. SIGHUP has it read again. The lines may also be in the environment variable
    /// VOICEGAIN_MASTER_KEYS, separated by line ends or commas. Without any, a key file is made beside a new SQLite file,
    /// as FILE.key.
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_MASTER_KEY_FILE", help_heading = STORE)]
    pub master_key_file: Option<PathBuf>,

    /// What VOICEGAIN_MASTER_KEYS holds.
    #[arg(skip)]
    pub master_keys: Option<Zeroizing<String>>,

    /// Keep secrets as they are, so that whoever can read the store or a backup of it can sign tokens
    #[arg(long, help_heading = STORE)]
    pub plain_secrets: bool,

    /// Seal the secrets of a SQLite file that has plain ones, once, while it is opened
    #[arg(long, help_heading = STORE)]
    pub seal_existing: bool,

    /// Load all web configs at the start instead of each when it is first asked for; not ready until it is done
    #[arg(long, help_heading = STORE)]
    pub preload: bool,

    /// How many web configs are cached at most; the least recently used make room
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = SecretCacheBuilder::CAPACITY,
        help_heading = STORE
    )]
    pub max_cached: u64,

    /// The API that accepted requests are passed on to, as in http://127.0.0.1:9000 or https://api.example
    ///
    /// Without one, a built-in echo answers with what it would have received. The certificate of an https:// upstream has
    /// to be valid for the URL's host.
    #[arg(long, value_name = "URL", help_heading = UPSTREAM)]
    pub upstream: Option<Uri>,

    /// The upstream speaks HTTP/2, as gRPC servers do
    ///
    /// Without TLS from the first byte; over TLS, where it then has to agree to it, by ALPN.
    #[arg(long, help_heading = UPSTREAM)]
    pub upstream_http2: bool,

    /// A file with the certificates (PEM) that an https:// upstream is verified by, instead of the system's
    #[arg(long, value_name = "FILE", help_heading = UPSTREAM)]
    pub upstream_ca: Option<PathBuf>,

    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, help_heading = UPSTREAM)]
    pub max_body_bytes: u64,

    /// A file that every change of a web config is written to: who, when and what
    ///
    /// It is made if it is not there, and only its owner may read it. What cannot be written down is not done. Give it to
    /// every gateway and command line on the store; those on one machine may share the file.
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_AUDIT_LOG", help_heading = AUDIT)]
    pub audit_log: Option<PathBuf>,

    /// How lines of the log are written: for people, or as one JSON object each
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        env = "VOICEGAIN_LOG_FORMAT",
        default_value_t,
        help_heading = OBSERVING
    )]
    pub log_format: LogFormat,

    /// The collector that spans of requests are sent to, by OTLP over HTTP, as in http://127.0.0.1:4318
    ///
    /// Behind a URL without a path comes /v1/traces. The client's W3C Trace Context is continued, and the upstream gets the
    /// gateway's. Without a collector the client's headers are passed on as they are. It takes a gateway that is built with
    /// the feature `opentelemetry`.
    #[arg(long, value_name = "URL", help_heading = OBSERVING)]
    pub otlp_endpoint: Option<String>,

    /// Which part of the traces that begin here is sampled, from 0 to 1; a client's trace is sampled as it says
    #[arg(
        long,
        value_name = "RATIO",
        default_value = "1",
        value_parser = ratio,
        help_heading = OBSERVING
    )]
    pub trace_sample_ratio: f64,

    /// What this deployment is called in its status document, GET /deployment of the admin port
    ///
    /// Up to 64 characters, the same for all of its processes. By default it is called as the host of the API URL.
    #[arg(long, value_name = "NAME", help_heading = DEPLOYMENTS)]
    pub deployment_name: Option<String>,

    /// Where browsers find this console, as in https://console.example/console; the status document says it
    #[arg(long, value_name = "URL", help_heading = DEPLOYMENTS)]
    pub console_url: Option<String>,

    /// An Edge that the console lists, with the URL of its admin port; may be given more than once
    ///
    /// As in berlin=https://edge.example:8081. It is asked for its status document alone, without credentials, each time the
    /// page is looked at. By https:// it needs a certificate of an authority that this system knows, or that SSL_CERT_FILE
    /// names.
    #[arg(long, value_name = "NAME=URL", help_heading = DEPLOYMENTS)]
    pub edge: Vec<String>,

    /// Sign-in to the console by OpenID Connect.
    #[command(flatten)]
    pub oidc: OidcArgs,

    /// The program's name, for what it says about itself.
    #[arg(skip)]
    pub program: &'static str,

    /// Where the config file says what comes from it.
    #[arg(skip)]
    pub(crate) places: Places,
}

/// How operators sign in to the console by OpenID Connect: nobody does unless there is an issuer.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OidcArgs {
    /// The provider that signs operators in to the console, beside the admin token: its issuer URL
    ///
    /// As in https://id.example/realms/ops, to the letter as the provider itself writes it. Takes --oidc-client-id,
    /// --oidc-redirect-url and --oidc-allow too.
    #[arg(long, value_name = "URL", help_heading = OIDC)]
    pub oidc_issuer: Option<String>,

    /// What the provider knows the console by
    #[arg(long, value_name = "ID", help_heading = OIDC)]
    pub oidc_client_id: Option<String>,

    /// A file that holds the client's secret, which nobody but its owner may read
    ///
    /// Without one the console is a public client, by PKCE alone.
    #[arg(long, value_name = "FILE", help_heading = OIDC)]
    pub oidc_client_secret_file: Option<PathBuf>,

    /// Where the provider sends browsers back to: the console's public URL, with /console/oidc/callback
    ///
    /// As in https://gateway.example/console/oidc/callback. It is https, or http on loopback. The admin port answers to this
    /// host as if it were given with --admin-host.
    #[arg(long, value_name = "URL", help_heading = OIDC)]
    pub oidc_redirect_url: Option<String>,

    /// Who may sign in: sub:ID, email:ADDRESS, domain:NAME or group:NAME; may be given more than once
    ///
    /// One rule is enough. E-mail addresses count only if the provider says that they are verified. Groups are those of the
    /// claim `groups`.
    #[arg(long, value_name = "RULE", help_heading = OIDC)]
    pub oidc_allow: Vec<String>,

    /// A scope to ask for besides openid, instead of email; may be given more than once
    #[arg(long, value_name = "SCOPE", help_heading = OIDC)]
    pub oidc_scope: Vec<String>,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token and whatever a store's URL holds.
        f.debug_struct("Args").field("listen", &self.listen).finish_non_exhaustive()
    }
}
