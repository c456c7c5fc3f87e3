//! A store in an etcd cluster, for those who need consensus.
//!
//! Building it needs `protoc`, the compiler of protocol buffers, which is why the feature `etcd` is off unless
//! asked for. It works with etcd 3.4 and later.
//!
//! # Where it is
//!
//! `etcd://[user:password@]host:port[,host:port]/prefix`, or `etcds://…` for TLS:
//!
//! - **Endpoints**: the first that answers is used, and the next one as soon as that no longer does. Without a
//!   port it is 2379.
//! - **Prefix**: all keys are below it. It must not be empty; letters, digits, `.`, `_`, `-` and `/` are allowed.
//! - **User and password** are percent-encoded; [`EtcdOptions::user`] keeps them out of the URL. The role needs
//!   no more than `etcdctl role grant-permission ROLE readwrite PREFIX/ --prefix=true`, the prefix with the slash
//!   before it.
//! - **TLS**: the server's certificate must be good for the host's name, and come from an authority that the
//!   system trusts or that `?cacert=FILE` holds. `cert=FILE` and `key=FILE` name a client's certificate.
//!   All files are PEM, and are read when the store is opened.
//!
//! # What it promises, and what for that is needed
//!
//! Every change is one transaction, so that it has happened whole once it is answered, on a majority of the
//! members. A change whose answer does not come is asked about for 5 more seconds before its outcome is
//! called unknown (rule M1).
//!
//! A proof of freshness (rule C4) is a transaction that goes through the members' log, as a change does, and
//! changes nothing: it needs the majority, and leaves no revision behind. A linearizable read would be cheaper,
//! but before etcd 3.4.42, 3.5.28 and 3.6.9 it can answer from the past after a member was paused (etcd issue
//! 20418). Watches are hints here, and their progress notifications are not used.
//!
//! Without a majority nothing is answered, changes and look-ups alike. A new leader takes as long as the members'
//! `--election-timeout` allows, 1 to 3 seconds by default, and longer than that should be the maximum revocation
//! delay, if an election is not to make a process answer 503. One member that hangs is left after half a second.
//!
//! etcd keeps old revisions until it is told not to: run it with `--auto-compaction-retention`, or its quota
//! will be used up and changes are refused. Compaction is otherwise of no consequence for this store.
//!
//! A cluster that was restored from a snapshot is noticed by the random ids of its log entries, and every
//! process then reads everything anew. **Shut the old cluster down first**: a process that still reaches a
//! majority of it cannot know that there is another one.

mod attempt;
mod changes;
mod commit;
mod connection;
mod ends;
mod error;
mod feed;
mod keys;
mod listing;
mod markers;
mod meta;
mod open;
mod options;
mod reads;
mod record;
mod reseal;
mod store;
mod tls;
mod url;
mod uses;
mod values;
mod view;

pub use error::{InvalidUrl, OpenError};
pub use options::EtcdOptions;
pub use store::EtcdStore;
