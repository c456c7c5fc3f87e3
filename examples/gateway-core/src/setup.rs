//! From flags to everything a gateway serves.

mod error;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::uri::Scheme;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use voicegain_auth_console::{AdminApi, AdminToken, Deployment};
use voicegain_auth_core::{Issuer, MemoryStore, Policy, SecretCache, SecretCacheBuilder, Verifier};
use voicegain_auth_store::sqlite::SqliteStore;

use self::error::MIN_ADMIN_TOKEN;
pub use self::error::SetupError;
use crate::audit::{self, AuditFileError, FileLog};
use crate::cli::Args;
use crate::deployments::{self, Edges};
use crate::exchanges::EndOf;
use crate::forward::{ForwardConfig, ForwardConfigError, Forwarder};
use crate::gateway::Gateway;
use crate::master_keys::{self, KeyFile};
use crate::oidc;
use crate::open_files;
use crate::otel::{self, Tracer};
use crate::passed_sockets::PassedSockets;
use crate::private_file;
use crate::signals::{self, Reloads};
use crate::store::{self, Opened, StoreProblem};
use crate::tls::{Tls, TlsFiles};

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
    /// TLS on the main port.
    pub tls: Option<Tls>,
    /// TLS on the admin port.
    pub admin_tls: Option<Tls>,
    /// The file that the master keys come from.
    key_file: Option<KeyFile>,
    /// The token of the admin API, if it was generated: to be shown once.
    pub generated_token: Option<String>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the admin token.
        f.debug_struct("Setup").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Setup {
    /// Raises the limit on open files, opens the store, binds both ports, and puts the rest together. The store and the cache work on the current runtime
    /// from then on, which has to outlive all who use them. Over TLS the main port offers HTTP/2 if `http2` says so.
    ///
    /// # Errors
    /// Whatever keeps the gateway from starting.
    pub async fn new(args: &Args, http2: bool) -> Result<Self, SetupError> {
        open_files::raise_limit();
        Self::make(args, http2).await.map_err(|error| error.placed(args))
    }

    async fn make(args: &Args, http2: bool) -> Result<Self, SetupError> {
        // Whatever is wrong with a setting is said before anything is made.
        let Settings { policy, forwarder, deployment, edges, admin_token, generated_token, sign_in } =
            Settings::of(args)?;
        let [tls, admin_tls] = tls_files(args, http2)?.map(|files| files.map(Tls::new).transpose());
        let (tls, admin_tls) = (tls?, admin_tls?);
        let audit_log = audit_log(args)?;
        let passed = PassedSockets::take()?;
        let listener = listen("--listen", args.listen, passed.api)?;
        let admin_listener = listen("--admin-listen", args.admin_listen, passed.admin)?;

        let Opened { cache, sqlite, sealed, key_file } = store::open(args).await?;
        let mut issuer = issuer(cache.preload(args.preload), args)?;
        if let Some(log) = audit_log {
            issuer = issuer.audited(log);
        }
        let cache = issuer.cache().clone();
        let admin_address = admin_listener
            .local_addr()
            .map_err(|error| SetupError::Listen("--admin-listen", args.admin_listen, error))?;
        let mut admin = AdminApi::builder(issuer.clone(), admin_token).listen_address(admin_address);
        if admin_tls.is_some() {
            admin = admin.https();
        }
        for name in &args.admin_host {
            admin = admin.allow_host(name);
        }
        if let Some(file) = args.audit_log.clone() {
            admin = admin.changes(move |before, most| audit::latest(file.clone(), before, most));
        }
        admin = oidc::add(admin, sign_in);
        if let Some(sealed) = sealed {
            admin = admin.reseal(move || master_keys::reseal(Arc::clone(&sealed)));
        }
        let verifier = Verifier::new(cache, policy).keeping_refusals(KEPT_REFUSALS);
        let end_of = EndOf {
            revoked: !args.keep_revoked_exchanges,
            expired: args.end_expired_exchanges.then_some(args.leeway),
        };
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let tracer = Tracer::of(args)?;
        let gateway =
            Gateway::new(verifier.clone(), issuer, forwarder, args.max_body_bytes, end_of, scheme, tracer)?;
        for (port, tls) in [("api", &tls), ("admin", &admin_tls)] {
            tls.iter().try_for_each(|tls| gateway.measure_certificate(port, tls))?;
        }
        let (explains, measures) = (gateway.clone(), gateway.clone());
        admin = admin
            .explain_failures(master_keys::explain)
            .explain_decisions_of(verifier)
            .explain_requests(move |head| {
                let gateway = explains.clone();
                async move { gateway.explain(&head).await }
            })
            .metrics(move || measures.metrics())
            .deployment(deployment);
        if let Some(edges) = edges {
            admin = admin.edges(move || {
                let edges = edges.clone();
                async move { edges.ask().await }
            });
        }
        let admin_listener = TcpListener::from_std(admin_listener)
            .map_err(|error| SetupError::Listen("--admin-listen", args.admin_listen, error))?;
        let (admin, store) = (admin.build(), sqlite);
        Ok(Self {
            gateway,
            admin,
            listener,
            admin_listener,
            store,
            tls,
            admin_tls,
            key_file,
            generated_token,
        })
    }

    /// What SIGHUP is to have read again.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        let tls = [&self.tls, &self.admin_tls].into_iter().flatten().cloned().collect();
        Reloads { key_file: self.key_file.clone(), tls }
    }

    /// Says on the terminal where the gateway is, the admin token if it was generated, and the key file if it was made, and to
    /// systemd, if that waits for it, that the gateway is ready.
    ///
    /// # Errors
    /// If the ports do not say where they are.
    pub fn announce(&self) -> std::io::Result<()> {
        let scheme = |tls: &Option<Tls>| if tls.is_some() { "https" } else { "http" };
        let mut text = format!("listening on {}://{}\n", scheme(&self.tls), self.listener.local_addr()?);
        text += &format!("admin on {}://{}\n", scheme(&self.admin_tls), self.admin_listener.local_addr()?);
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
        signals::notify(NotifyState::Ready);
        Ok(())
    }
}

/// What the flags come to without anything having been opened or made.
struct Settings {
    policy: Policy,
    forwarder: Option<Forwarder>,
    deployment: Deployment,
    edges: Option<Edges>,
    admin_token: AdminToken,
    /// Its text, if it was generated.
    generated_token: Option<String>,
    /// How operators sign in to the console besides.
    sign_in: Option<oidc::SignIn>,
}

impl Settings {
    /// Has to be called on a runtime.
    fn of(args: &Args) -> Result<Self, SetupError> {
        let (policy, forwarder) = (policy(args)?, forwarder(args)?);
        let (deployment, edges) = (deployments::own(args)?, Edges::of(args)?);
        let (admin_token, generated_token) = admin_token(args)?;
        promise(args)?;
        let sign_in = oidc::sign_in(args)?;
        otel::check(args)?;
        Ok(Self { policy, forwarder, deployment, edges, admin_token, generated_token, sign_in })
    }
}

/// Everything that is wrong with the settings, as far as can be told without opening or making anything. Has to be called
/// on a runtime.
pub(crate) fn problems(args: &Args) -> Vec<SetupError> {
    let audit_log = args.audit_log.as_deref().and_then(|file| FileLog::look(file).err().map(in_file(file)));
    let problems = [
        policy(args).err(),
        forwarder(args).err(),
        deployments::own(args).err().map(SetupError::from),
        Edges::of(args).err().map(SetupError::from),
        admin_token(args).err(),
        promise(args).err(),
        tls(args).err(),
        otel::check(args).err().map(SetupError::from),
        audit_log,
        oidc::sign_in(args).err().map(SetupError::from),
    ];
    problems.into_iter().flatten().map(|problem| problem.placed(args)).collect()
}

/// Where changes are written down, if the flags say so. The file is made if there is none.
pub(crate) fn audit_log(args: &Args) -> Result<Option<FileLog>, SetupError> {
    let Some(file) = &args.audit_log else { return Ok(None) };
    FileLog::open(file).map(Some).map_err(in_file(file))
}

fn in_file(file: &Path) -> impl FnOnce(AuditFileError) -> SetupError {
    move |error| SetupError::AuditLog(file.to_owned(), error)
}

/// Whether there can be a cache and an issuer as the flags want them. The real ones come with the store, for which a file
/// may have to be made.
fn promise(args: &Args) -> Result<(), SetupError> {
    let store = MemoryStore::new().map_err(StoreProblem::Memory)?;
    issuer(SecretCache::builder(store), args).map(drop)
}

fn forwarder(args: &Args) -> Result<Option<Forwarder>, SetupError> {
    if args.upstream.is_none() && args.upstream_ca.is_some() {
        return Err(ForwardConfigError::CaWithoutTls.into());
    }
    let forwarder = args.upstream.clone().map(|upstream| {
        let mut config = ForwardConfig::new(upstream);
        config.max_body_bytes = Some(args.max_body_bytes);
        config.via = Some("voicegain-gateway".to_owned());
        config.http2 = args.upstream_http2;
        config.ca_file.clone_from(&args.upstream_ca);
        // Each may take a connection, and those of one client over HTTP/2 are many.
        config.max_exchanges = Some(open_files::max_connections());
        Forwarder::new(config)
    });
    Ok(forwarder.transpose()?)
}

/// Whether what the flags name for TLS can be used.
fn tls(args: &Args) -> Result<(), SetupError> {
    let files = tls_files(args, true)?;
    Ok(files.iter().flatten().try_for_each(|files| files.check().map(drop))?)
}

/// Until when the certificates are good that can be used.
pub(crate) fn certificates(args: &Args) -> Vec<String> {
    let files = tls_files(args, true).unwrap_or_default();
    files.iter().flatten().filter_map(|files| files.check().ok()).collect()
}

/// What TLS is made of on the main port and on the admin port.
fn tls_files(args: &Args, http2: bool) -> Result<[Option<TlsFiles>; 2], SetupError> {
    let api = pair(["--tls-cert", "--tls-key"], &args.tls_cert, &args.tls_key)?;
    let admin = pair(["--admin-tls-cert", "--admin-tls-key"], &args.admin_tls_cert, &args.admin_tls_key)?;
    if admin.is_none() && args.admin_client_ca.is_some() {
        return Err(SetupError::HalfTls("--admin-client-ca", "--admin-tls-cert and --admin-tls-key"));
    }
    let files = |(cert, key): (PathBuf, PathBuf), flags, client_ca, http2| {
        let [cert_flag, key_flag] = flags;
        TlsFiles { cert, key, client_ca, flags: [cert_flag, key_flag, "--admin-client-ca"], http2 }
    };
    Ok([
        api.map(|pair| files(pair, ["--tls-cert", "--tls-key"], None, http2)),
        admin.map(|pair| {
            files(pair, ["--admin-tls-cert", "--admin-tls-key"], args.admin_client_ca.clone(), true)
        }),
    ])
}

/// A certificate and its key.
fn pair(
    [cert_flag, key_flag]: [&'static str; 2],
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<(PathBuf, PathBuf)>, SetupError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some((cert.clone(), key.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(SetupError::HalfTls(cert_flag, key_flag)),
        (None, Some(_)) => Err(SetupError::HalfTls(key_flag, cert_flag)),
    }
}

/// How requests are decided.
pub(crate) fn policy(args: &Args) -> Result<Policy, SetupError> {
    let policy = Policy::builder()
        .token_sources(args.token_sources.clone())
        .leeway(args.leeway)
        .base_path(args.base_path.as_str());
    Ok(policy.build()?)
}

/// What changes web configs, over a cache that keeps the promise of the flags.
pub(crate) fn issuer(cache: SecretCacheBuilder, args: &Args) -> Result<Issuer, SetupError> {
    let cache = cache
        .max_revocation_delay(args.max_revocation_delay)
        .capacity(args.max_cached)
        .api_url(args.api_url.as_str());
    Ok(Issuer::new(cache.build()?, args.api_url.as_str())?)
}

/// How many connections may wait to be accepted. The system has a limit of its own.
const BACKLOG: i32 = 1_024;

/// A listener that does not block, for whichever runtime: the one that was passed, which listens already, or a new one.
fn listen(
    flag: &'static str,
    address: SocketAddr,
    passed: Option<std::net::TcpListener>,
) -> Result<std::net::TcpListener, SetupError> {
    if let Some(passed) = passed {
        return Ok(passed);
    }
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
        let (text, privacy) =
            private_file::read(file).map_err(|error| SetupError::TokenFile(file.clone(), error))?;
        privacy.map_err(|exposure| SetupError::ExposedTokenFile(file.clone(), exposure))?;
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
