//! What is under test.

use serde::Deserialize;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// A future in a box.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The settings a stack is started with. All of them leave what they do not name at its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Tokens from the header alone, base path `/v1`, no leeway.
    Default,
    /// Tokens from header, query, protocol and the cookie `vg`.
    Sources,
    /// As `Sources`, and without a token a request is anonymous.
    Optional,
    /// An Edge: base path `/ascalon-web-api`, API URL [`EDGE_API_URL`].
    Edge,
    /// A leeway of 60 seconds.
    Leeway,
    /// Rule O8 relaxed: a long-lived token may come from any page.
    Relaxed,
    /// As `Sources`, in front of the runner's upstream: gateways only.
    Upstream,
}

/// The API URL of the variant `edge`.
pub const EDGE_API_URL: &str = "https://edge.example.org/ascalon-web-api";

impl Variant {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::Sources,
        Self::Optional,
        Self::Edge,
        Self::Leeway,
        Self::Relaxed,
        Self::Upstream,
    ];

    /// The base path (rule P1).
    pub fn base(self) -> &'static str {
        match self {
            Self::Edge => "/ascalon-web-api",
            _ => "/v1",
        }
    }

    /// The `aud` of long-lived tokens (rule W2).
    pub fn api_url(self) -> &'static str {
        match self {
            Self::Edge => EDGE_API_URL,
            _ => crate::fixture::API_URL,
        }
    }

    /// The token sources, as the gateways' flag has them.
    pub fn token_sources(self) -> &'static str {
        match self {
            Self::Sources | Self::Optional | Self::Upstream => "header,query,protocol,cookie:vg",
            _ => "header",
        }
    }

    /// The name that cases and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Sources => "sources",
            Self::Optional => "optional",
            Self::Edge => "edge",
            Self::Leeway => "leeway",
            Self::Relaxed => "relaxed",
            Self::Upstream => "upstream",
        }
    }
}

/// The two kinds of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A layer or middleware in an application, whose handler is the echo.
    Layer,
    /// A gateway, in front of an echo.
    Gateway,
}

/// Something that can be started and judged.
pub trait Stack: Send + Sync {
    /// What reports and `not_for` call it.
    fn name(&self) -> &str;

    /// Its kind.
    fn kind(&self) -> Kind;

    /// Whether the main port takes HTTP/2 with prior knowledge.
    fn http2(&self) -> bool;

    /// Why it cannot be started with these settings; nothing, if it can.
    fn lacks(&self, variant: Variant) -> Option<&'static str>;

    /// Starts it, with an empty store.
    fn start(&self, variant: Variant) -> BoxFuture<'_, Result<Running, String>>;
}

/// A stack that has been started. It ends when dropped.
pub struct Running {
    /// The main port.
    pub addr: SocketAddr,
    /// Changes of web configs.
    pub admin: Box<dyn Admin>,
    /// The admin port and its token, where there is one.
    pub admin_port: Option<(SocketAddr, String)>,
    /// The upstream it was put in front of.
    pub upstream: Option<crate::upstream::Upstream>,
    /// Whatever keeps it running.
    pub guard: Box<dyn Guard>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

/// Keeps a stack running, and knows what it has written.
pub trait Guard: Send + Sync {
    /// Ends the stack and gives everything it has written so far: its log, its standard output.
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>>;
}

/// A web config to be made.
#[derive(Clone, Default)]
pub struct NewWebConfig {
    /// Its id, if it is imported.
    pub id: Option<String>,
    /// Its secret, if it is imported.
    pub secret: Option<Vec<u8>>,
    /// Who pays.
    pub account_id: String,
    /// The workspace.
    pub context_id: String,
    /// A name for people.
    pub name: String,
    /// The `allowedOrigins`.
    pub allowed_origins: Vec<String>,
    /// Brings a deleted id back.
    pub revive: bool,
}

/// What a creation or a Regenerate answers.
#[derive(Clone)]
pub struct Issued {
    /// The web config id.
    pub id: String,
    /// The generation of the token.
    pub generation: u64,
    /// The long-lived token.
    pub jwt: String,
    /// Regenerate: the ids of the context's other web configs.
    pub others: Vec<String>,
}

/// Why a change was not made.
#[derive(Clone, Debug)]
pub enum AdminError {
    /// The stack says it may not be.
    Denied(String),
    /// The stack failed, or answered what is no answer.
    Failed(String),
}

/// Changes of web configs, through whatever interface the stack has for them.
pub trait Admin: Send + Sync {
    /// Creates or imports a web config.
    fn create(&self, config: NewWebConfig) -> BoxFuture<'_, Result<Issued, AdminError>>;

    /// Regenerate (rule M1).
    fn regenerate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Issued, AdminError>>;

    /// Replaces the `allowedOrigins`.
    fn allow<'a>(&'a self, id: &'a str, origins: Vec<String>) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Deletes a web config.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), AdminError>>;
}
