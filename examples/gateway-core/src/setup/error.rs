use std::net::SocketAddr;
use std::path::PathBuf;

use voicegain_auth_console::InvalidAdminToken;
use voicegain_auth_core::ConfigError;

use crate::audit::AuditFileError;
use crate::cli::Args;
use crate::deployments::DeploymentsError;
use crate::forward::ForwardConfigError;
use crate::oidc::OidcProblem;
use crate::otel::TracingError;
use crate::passed_sockets::PassedSocketsError;
use crate::private_file::Exposure;
use crate::store::StoreProblem;
use crate::tls::TlsError;

/// The fewest characters of an admin token.
pub(super) const MIN_ADMIN_TOKEN: usize = 16;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A port cannot be had; the flag is the one that takes another.
    #[error("cannot listen on {1}: {2}; choose another address with {0}")]
    Listen(&'static str, SocketAddr, #[source] std::io::Error),
    /// Sockets were passed that cannot be used.
    #[error(transparent)]
    Passed(#[from] PassedSocketsError),
    /// The signals that end the process cannot be listened for.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreProblem),
    /// The file with the admin token cannot be read.
    #[error("--admin-token-file {0}: {1}")]
    TokenFile(PathBuf, #[source] std::io::Error),
    /// The file with the admin token is not for its owner alone.
    #[error("--admin-token-file {0}: {1}")]
    ExposedTokenFile(PathBuf, #[source] Exposure),
    /// The file with the admin token has none in it.
    #[error("--admin-token-file {0}: the file is empty; write an admin token into it")]
    EmptyTokenFile(PathBuf),
    /// The admin token can be guessed.
    #[error("{0}: an admin token has at least {MIN_ADMIN_TOKEN} characters; choose a long random one")]
    ShortAdminToken(String),
    /// The admin token is none.
    #[error("{0}: {1}")]
    AdminToken(String, #[source] InvalidAdminToken),
    /// Changes cannot be written down.
    #[error("--audit-log {0}: {1}")]
    AuditLog(PathBuf, #[source] AuditFileError),
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
    #[error("{}", of_upstream(.0))]
    Upstream(#[from] ForwardConfigError),
    /// No spans can be sent.
    #[error("--otlp-endpoint: {0}")]
    Tracing(#[from] TracingError),
    /// A port cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file for TLS is named without what belongs to it.
    #[error("{0} is of no use without {1}: name that too, or leave it out")]
    HalfTls(&'static str, &'static str),
    /// This deployment or an Edge cannot be told of.
    #[error(transparent)]
    Deployments(#[from] DeploymentsError),
    /// Nobody could sign in to the console by OpenID Connect.
    #[error(transparent)]
    Oidc(#[from] OidcProblem),
    /// One of these, and where in the config file the setting stands.
    #[error("{0}: {1}")]
    InFile(String, #[source] Box<SetupError>),
}

impl SetupError {
    /// Says where in the config file the setting stands, if it comes from there.
    pub(crate) fn placed(self, args: &Args) -> Self {
        let place = match &self {
            Self::Oidc(problem) => args.places.of(problem.flag()),
            _ => self.settings().iter().find_map(|name| args.places.of(name)),
        };
        match place.map(str::to_owned) {
            Some(place) => Self::InFile(place, Box::new(self)),
            None => self,
        }
    }

    /// The settings that it may come from.
    fn settings(&self) -> &'static [&'static str] {
        match self {
            Self::Listen("--listen", ..) => &["listen"],
            Self::Listen(..) => &["admin-listen"],
            Self::Store(StoreProblem::MasterKeys(..)) => &["master-key-file"],
            Self::Store(StoreProblem::SealExisting) => &["seal-existing"],
            Self::Store(_) => &["store"],
            Self::TokenFile(..) | Self::ExposedTokenFile(..) | Self::EmptyTokenFile(_) => {
                &["admin-token-file"]
            }
            Self::ShortAdminToken(_) | Self::AdminToken(..) => &["admin-token-file", "admin-token"],
            Self::Config(ConfigError::RevocationDelay(_)) => &["max-revocation-delay"],
            Self::Config(ConfigError::Leeway(_)) => &["leeway"],
            Self::Config(ConfigError::BasePath(_)) => &["base-path"],
            Self::Config(ConfigError::ApiUrl(_)) => &["api-url"],
            Self::Config(ConfigError::Capacity) => &["max-cached"],
            Self::Config(ConfigError::CookieName(_)) => &["token-sources"],
            Self::Upstream(ForwardConfigError::CaFile(..) | ForwardConfigError::CaWithoutTls) => {
                &["upstream-ca"]
            }
            Self::Upstream(_) => &["upstream"],
            Self::HalfTls("--tls-cert", _) => &["tls-cert"],
            Self::HalfTls("--tls-key", _) => &["tls-key"],
            Self::HalfTls("--admin-tls-cert", _) => &["admin-tls-cert"],
            Self::HalfTls("--admin-tls-key", _) => &["admin-tls-key"],
            Self::HalfTls(..) => &["admin-client-ca"],
            Self::Tls(error) => error.settings(),
            Self::AuditLog(..) => &["audit-log"],
            Self::Deployments(error) => error.settings(),
            Self::Tracing(_) => &["otlp-endpoint"],
            Self::Signals(_)
            | Self::Randomness(_)
            | Self::Passed(_)
            | Self::Metrics(_)
            | Self::Config(_)
            | Self::Oidc(_)
            | Self::InFile(..) => &[],
        }
    }
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

/// What keeps an upstream from being forwarded to, under the names that the flags have.
fn of_upstream(error: &ForwardConfigError) -> String {
    match error {
        ForwardConfigError::CaFile(..) => format!("--upstream-ca {error}"),
        ForwardConfigError::CaWithoutTls => {
            "--upstream-ca: is for an --upstream that begins with https://; leave it out, or correct --upstream".to_owned()
        }
        ForwardConfigError::NoSystemRoots(_) => format!("--upstream: {error} (--upstream-ca FILE)"),
        error => format!("--upstream: {error}"),
    }
}
