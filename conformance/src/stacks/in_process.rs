//! What the libraries in this process share: the verifier of a variant, changes through the issuer, and the end.

use super::log;
use crate::stack::{Admin, AdminError, BoxFuture, Guard, Issued, NewWebConfig, Running, Variant};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use voicegain_auth_core::{
    CreateRequest, IssueError, Issuer, MemoryStore, Mode, Policy, Secret, SecretCache, StoreError,
    TokenSources, Verifier, WebConfigId, WebConfigPatch,
};

/// A verifier with a variant's settings over an empty store, and the issuer to fill it.
///
/// # Errors
/// What is wrong with the settings, as a sentence.
pub fn verifier(variant: Variant) -> Result<(Verifier, Issuer), String> {
    let mut sources = TokenSources::default();
    if variant.token_sources() != "header" {
        (sources.query, sources.protocol, sources.cookie) = (true, true, Some("vg".to_owned()));
    }
    let mut policy = Policy::builder().base_path(variant.base()).token_sources(sources);
    policy = match variant {
        Variant::Optional => policy.mode(Mode::Optional),
        Variant::Leeway => policy.leeway(Duration::from_secs(60)),
        Variant::Relaxed => policy.dangerously_allow_long_lived_tokens_from_any_origin(true),
        _ => policy,
    };
    let store = MemoryStore::new().map_err(|error| error.to_string())?;
    let cache = SecretCache::builder(store).build().map_err(|error| error.to_string())?;
    let issuer = Issuer::new(cache.clone(), variant.api_url()).map_err(|error| error.to_string())?;
    let policy = policy.build().map_err(|error| error.to_string())?;
    Ok((Verifier::new(cache, policy), issuer))
}

/// An application that a task serves, there.
pub fn running(addr: SocketAddr, issuer: Issuer, server: JoinHandle<()>) -> Running {
    let (admin, guard) = (Box::new(IssuerAdmin(issuer)), Box::new(Server(server)));
    Running { addr, admin, admin_port: None, upstream: None, guard }
}

struct Server(JoinHandle<()>);

impl Guard for Server {
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        self.0.abort();
        Box::pin(async { log::take() })
    }
}

/// Changes web configs through the library's issuer.
pub(super) struct IssuerAdmin(pub(super) Issuer);

fn refused(error: IssueError) -> AdminError {
    match error {
        IssueError::Invalid { .. }
        | IssueError::Store(StoreError::NotFound | StoreError::AlreadyExists | StoreError::Deleted) => {
            AdminError::Denied(error.to_string())
        }
        other => AdminError::Failed(other.to_string()),
    }
}

fn denied(error: impl std::fmt::Display) -> AdminError {
    AdminError::Denied(error.to_string())
}

fn issued(issued: voicegain_auth_core::Issued) -> Issued {
    Issued {
        id: issued.config.id.to_string(),
        generation: issued.config.generation.get(),
        jwt: issued.jwt,
        others: issued.others.iter().map(|config| config.id.to_string()).collect(),
    }
}

impl Admin for IssuerAdmin {
    fn create(&self, config: NewWebConfig) -> BoxFuture<'_, Result<Issued, AdminError>> {
        Box::pin(async move {
            let account_id = config.account_id.parse().map_err(denied)?;
            let context_id = config.context_id.parse().map_err(denied)?;
            let mut request = CreateRequest::new(account_id, context_id, config.name);
            request.allowed_origins = config.allowed_origins;
            request.id = config.id.map(|id| id.parse::<WebConfigId>()).transpose().map_err(denied)?;
            request.secret =
                config.secret.map(|bytes| Secret::from_bytes(&bytes)).transpose().map_err(denied)?;
            request.revive = config.revive;
            self.0.create(request).await.map(issued).map_err(refused)
        })
    }

    fn regenerate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Issued, AdminError>> {
        Box::pin(async move {
            let id = id.parse().map_err(denied)?;
            self.0.regenerate(id).await.map(issued).map_err(refused)
        })
    }

    fn allow<'a>(&'a self, id: &'a str, origins: Vec<String>) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let id = id.parse().map_err(denied)?;
            let patch = WebConfigPatch { allowed_origins: Some(origins), ..WebConfigPatch::default() };
            self.0.update(id, patch).await.map(drop).map_err(refused)
        })
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let id = id.parse().map_err(denied)?;
            self.0.delete(id).await.map_err(refused)
        })
    }
}
