//! From flags to everything a gateway serves.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use voicegain_auth_console::{AdminApi, AdminToken, InvalidAdminToken};
use voicegain_auth_core::{ConfigError, Issuer, Policy, Verifier};
use voicegain_auth_store::sqlite::SqliteStore;

use crate::cli::Args;
use crate::forward::{ForwardConfig, ForwardConfigError, Forwarder};
use crate::gateway::Gateway;
use crate::master_keys::{self, KeyFile};
use crate::open_files;
use crate::store::{self, Opened, StoreProblem};

/// The fewest characters of an admin token.
const MIN_ADMIN_TOKEN: usize = 16;

/// How many refusals the console can tell of.
const KEPT_REFUSALS: usize = 200;

/// Everything a gateway serves, and where.
pub struct Setup {
    /// For the main port.
    pub gateway: Gateway,
    /// For the admin port.
    pub admin: Router,
    /// Listens on the main port.
    pub listener: std::net::TcpListener,
    /// Listens on the admin port.
    pub admin_listener: TcpListener,
    /// The store, if it is in a file: for a program whose threads outlive `main`, to close at its end.
    pub store: Option<SqliteStore>,
    /// The file that the master keys come from, to be read again on demand.
    pub key_file: Option<KeyFile>,
    /// The token of the admin API, if it was generated: to be shown once.
    pub generated_token: Option<String>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the admin token.
        f.debug_struct("Setup").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A port cannot be had; the flag is the one that takes another.
    #[error("cannot listen on {1}: {2}; choose another address with {0}")]
    Listen(&'static str, SocketAddr, #[source] std::io::Error),
    /// The signals that end the process cannot be listened for.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreProblem),
    /// The file with the admin token cannot be read.
    #[error("--admin-token-file {0}: {1}")]
    TokenFile(PathBuf, #[source] std::io::Error),
    /// The file with the admin token has none in it.
    #[error("--admin-token-file {0}: the file is empty; write an admin token into it")]
    EmptyTokenFile(PathBuf),
    /// The admin token can be guessed.
    #[error("{0}: an admin token has at least {MIN_ADMIN_TOKEN} characters; choose a long random one")]
    ShortAdminToken(String),
    /// The admin token is none.
    #[error("{0}: {1}")]
    AdminToken(String, #[source] InvalidAdminToken),
    /// There is no randomness for an admin token.
    #[error("no admin token can be generated: {0}")]
    Randomness(getrandom::Error),
    /// A setting cannot work.
    #[error("{}", in_flags(.0))]
    Config(#[from] ConfigError),
    /// The metrics cannot be kept.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The upstream cannot be forwarded to.
    #[error("--upstream: {0}")]
    Upstream(#[from] ForwardConfigError),
}

impl Setup {
    /// Raises the limit on open files, opens the store, binds both ports, and puts the rest together. The store and the cache work on the current runtime
    /// from then on, which has to outlive all who use them.
    ///
    /// # Errors
    /// Whatever keeps the gateway from starting.
    pub async fn new(args: &Args) -> Result<Self, SetupError> {
        open_files::raise_limit();
        let policy = Policy::builder()
            .token_sources(args.token_sources.clone())
            .leeway(args.leeway)
            .base_path(args.base_path.as_str())
            .build()?;
        let forwarder = args.upstream.clone().map(|upstream| {
            let mut config = ForwardConfig::new(upstream);
            config.max_body_bytes = Some(args.max_body_bytes);
            config.via = Some("voicegain-gateway".to_owned());
            config.http2 = args.upstream_http2;
            // Each may take a connection, and those of one client over HTTP/2 are many.
            config.max_exchanges = Some(open_files::max_connections());
            Forwarder::new(config)
        });
        let forwarder = forwarder.transpose()?;
        let (admin_token, generated_token) = admin_token(args)?;
        let listener = listen("--listen", args.listen)?;
        let admin_listener = listen("--admin-listen", args.admin_listen)?;

        let Opened { cache, sqlite, sealed, key_file } = store::open(args).await?;
        let cache = cache
            .max_revocation_delay(args.max_revocation_delay)
            .capacity(args.max_cached)
            .preload(args.preload)
            .api_url(args.api_url.as_str())
            .build()?;
        let issuer = Issuer::new(cache.clone(), args.api_url.as_str())?;
        let mut admin = AdminApi::builder(issuer.clone(), admin_token).listen_address(args.admin_listen);
        for name in &args.admin_host {
            admin = admin.allow_host(name);
        }
        if let Some(sealed) = sealed {
            admin = admin.reseal(move || master_keys::reseal(Arc::clone(&sealed)));
        }
        let verifier = Verifier::new(cache, policy).keeping_refusals(KEPT_REFUSALS);
        let gateway = Gateway::new(verifier.clone(), issuer, forwarder, args.max_body_bytes)?;
        let (explains, measures) = (gateway.clone(), gateway.clone());
        admin = admin
            .explain_failures(master_keys::explain)
            .explain_decisions_of(verifier)
            .explain_requests(move |head| {
                let gateway = explains.clone();
                async move { gateway.explain(&head).await }
            })
            .metrics(move || measures.metrics());
        let admin_listener = TcpListener::from_std(admin_listener)
            .map_err(|error| SetupError::Listen("--admin-listen", args.admin_listen, error))?;
        let (admin, store) = (admin.build(), sqlite);
        Ok(Self { gateway, admin, listener, admin_listener, store, key_file, generated_token })
    }

    /// Says on the terminal where the gateway is, the admin token if it was generated, and the key file if it was made.
    ///
    /// # Errors
    /// If the ports do not say where they are.
    pub fn announce(&self) -> std::io::Result<()> {
        let mut text = format!("listening on http://{}\n", self.listener.local_addr()?);
        text += &format!("admin on http://{}\n", self.admin_listener.local_addr()?);
        if let Some(token) = &self.generated_token {
            text += &format!("admin token (generated, shown only now): {token}\n");
            text +=
                "There is a new one at every start; VOICEGAIN_ADMIN_TOKEN or --admin-token-file keeps one.\n";
        }
        if let Some(key_file) = self.key_file.as_ref().filter(|key_file| key_file.is_new()) {
            text += &format!("master key made in {}: keep a copy of it, ", key_file.path().display());
            text += "without it the secrets cannot be read\n";
        }
        // Whoever reads this may have gone away already, which is no reason not to serve.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(())
    }
}

/// How many connections may wait to be accepted. The system has a limit of its own.
const BACKLOG: i32 = 1_024;

/// A listener that does not block, for whichever runtime.
fn listen(flag: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, SetupError> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        // The standard library asks for 128, which a few hundred clients that connect at once overflow: the system then
        // drops some, and they come a second late.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    listener.map_err(|error| SetupError::Listen(flag, address, error))
}

/// The admin token, and its text if it was generated.
fn admin_token(args: &Args) -> Result<(AdminToken, Option<String>), SetupError> {
    if let Some(file) = &args.admin_token_file {
        let text =
            std::fs::read_to_string(file).map_err(|error| SetupError::TokenFile(file.clone(), error))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(SetupError::EmptyTokenFile(file.clone()));
        }
        return Ok((given_token(text, &format!("--admin-token-file {}", file.display()))?, None));
    }
    if let Some(text) = &args.admin_token {
        return Ok((given_token(text, "--admin-token or VOICEGAIN_ADMIN_TOKEN")?, None));
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SetupError::Randomness)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    Ok((given_token(&text, "the generated token")?, Some(text)))
}

/// The admin token with this text, which was given there.
fn given_token(text: &str, source: &str) -> Result<AdminToken, SetupError> {
    if text.chars().count() < MIN_ADMIN_TOKEN {
        return Err(SetupError::ShortAdminToken(source.to_owned()));
    }
    AdminToken::new(text).map_err(|error| SetupError::AdminToken(source.to_owned(), error))
}

/// What is wrong with a setting, under the name that its flag has.
fn in_flags(error: &ConfigError) -> String {
    match error {
        ConfigError::RevocationDelay(delay) => {
            format!("--max-revocation-delay must be 2s to 1h, not {delay:?}")
        }
        ConfigError::Leeway(leeway) => format!("--leeway must be 0s to 5m, not {leeway:?}"),
        ConfigError::BasePath(_) => format!("--base-path: {error}"),
        ConfigError::ApiUrl(_) => format!("--api-url: {error}"),
        ConfigError::Capacity => "--max-cached must be at least 1".to_owned(),
        ConfigError::CookieName(_) => format!("--token-sources: {error}"),
        error => error.to_string(),
    }
}
