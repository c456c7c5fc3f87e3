#![doc = include_str!("../README.md")]

pub mod audit;
mod base64url;
mod cache;
mod claims;
pub mod clock;
mod config_error;
mod constant_time;
mod credentials;
mod day;
mod freshness;
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod fuzzing;
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(missing_docs)]
pub mod fuzzing_timing;
mod head;
mod ids;
mod issuer;
mod json;
mod jws;
mod long_lived;
mod mac;
pub mod origin;
mod policy;
mod record;
mod rejection;
mod request_id;
#[cfg(feature = "second-opinion")]
mod second_opinion;
mod secret;
pub mod store;
mod subject;
mod verifier;
mod web_config;

pub use cache::{
    CacheStatus, ContextQuery, ContextSummary, SecretCache, SecretCacheBuilder, StoreWork, Watch,
};
pub use clock::Clock;
pub use config_error::ConfigError;
pub use credentials::{Edit, Strip, TokenSource, private_cache_control};
pub use day::Day;
pub use head::{Field, RequestHead, is_preflight, is_websocket_upgrade};
pub use ids::{AccountId, ContextId, InvalidOpaqueId, InvalidWebConfigId, WebConfigId};
pub use issuer::{CreateRequest, Inventory, IssueError, Issued, Issuer, MintError};
pub use policy::{Mode, Policy, PolicyBuilder, TokenSources};
pub use rejection::{Reason, Rejection};
pub use request_id::{InvalidRequestId, RequestId};
pub use secret::{InvalidSecret, Secret};
pub use store::{ChangeFeed, MemoryStore, SecretStore, StoreError};
pub use subject::{ApiPath, BasePath, EmptySegments, PathForm, check_path};
pub use verifier::{
    Admitted, Caller, Check, Decisions, Explanation, Identity, Outcome, Pending, Progress, RESERVED_PREFIX,
    RecentRefusal, Refused, Resumption, Step, TokenKind, Verifier, check_origin_header, is_reserved_header,
};
pub use web_config::{
    Generation, NewWebConfig, RestoredWebConfig, StoredWebConfig, WebConfig, WebConfigPatch,
};
#[cfg(test)]
mod testing;
