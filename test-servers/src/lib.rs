//! Real servers for tests, and a faulty network in front of them.
//!
//! The servers come from the system's packages (on Debian `postgresql`, `etcd-server` and `etcd-client`;
//! `cargo xtask servers` installs them). They listen on free ports of 127.0.0.1, keep their data in temporary
//! folders, and never run as root: a test that does hands them to the package's own user. They end, and their
//! folders go, when they are dropped and also when the process that started them ends in any other way,
//! `SIGKILL` included.
//!
//! | type | is |
//! | --- | --- |
//! | [`Postgres`] | one PostgreSQL server: crash, pause, backup and restore, streaming standbys, TLS, a full disk |
//! | [`EtcdCluster`] | one or three etcd members: crash, pause, isolation, compaction, snapshot and restore, TLS, users |
//! | [`Proxy`] | a TCP proxy with faults: refused, stalled, one-way, slow, reset and half-open connections |
//!
//! Every call blocks until what it asks for is in force. None needs a runtime: the proxy has a thread of its
//! own and goes on while a test's runtime is blocked.
//!
//! ```no_run
//! # fn main() -> Result<(), test_servers::ServerError> {
//! use test_servers::{Fault, Postgres, Proxy};
//!
//! let server = Postgres::start()?;
//! let proxy = Proxy::start(server.address())?;
//! let url = server.url_through("postgres", proxy.address());
//! // … open the store at `url`, then:
//! proxy.set(Fault::Stall);
//! server.kill()?;
//! server.start_again()?;
//! proxy.set(Fault::None);
//! # Ok(())
//! # }
//! ```
//!
//! | environment | is |
//! | --- | --- |
//! | `VOICEGAIN_TEST_POSTGRES_BIN` | the folder of PostgreSQL's programs, instead of `PATH` and `/usr/lib/postgresql/*/bin` |
//! | `VOICEGAIN_TEST_ETCD` | the path of etcd, instead of `PATH`; `etcdctl` beside it counts before that in `PATH` |

#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub)]

mod error;
mod etcd;
mod folder;
mod port;
mod postgres;
mod process;
mod proxy;
mod system;
mod tls;

pub use error::ServerError;
pub use etcd::{EtcdBuilder, EtcdCluster, EtcdSnapshot};
pub use port::free_port;
pub use postgres::{Postgres, PostgresBackup, PostgresBuilder, Shutdown};
pub use proxy::{Fault, Proxy};

pub(crate) type Result<T> = std::result::Result<T, ServerError>;
