//! The store's servers, and a proxy for each gateway before each of them.

use std::net::SocketAddr;

use clap::ValueEnum;
use test_servers::{EtcdCluster, Fault, Postgres, Proxy, ServerError};

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// PostgreSQL.
    Postgres,
    /// A three-node etcd.
    Etcd,
}

/// The servers of a store.
#[derive(Debug)]
pub enum Servers {
    /// A primary and its synchronous standby, if it has one.
    Postgres {
        /// The primary.
        primary: Postgres,
        /// The standby.
        standby: Option<Box<Postgres>>,
        /// Whether the primary's disk can be filled.
        small_disk: bool,
    },
    /// A cluster.
    Etcd(EtcdCluster),
}

/// How a gateway gets to the store.
#[derive(Debug)]
pub struct Road {
    /// One for each server.
    pub proxies: Vec<Proxy>,
    /// The store's URL by way of them.
    pub url: String,
}

impl Road {
    /// Does this to all of it.
    pub fn set(&self, fault: Fault) {
        for proxy in &self.proxies {
            proxy.set(fault);
        }
    }
}

/// Enough for the server and a while of changes.
const DISK: u64 = 700 << 20;

impl Servers {
    /// Starts them; with everything that makes a run of faults interesting, or plainly.
    ///
    /// # Errors
    /// If they do not start.
    pub fn start(kind: StoreKind, for_faults: bool) -> Result<Self, ServerError> {
        match kind {
            StoreKind::Postgres if for_faults => {
                let builder = || {
                    Postgres::builder()
                        .setting("wal_receiver_timeout", "2s")
                        .setting("wal_sender_timeout", "2s")
                };
                // A disk of its own can be had by root alone.
                let (primary, small_disk) = match builder().disk_size(DISK).start() {
                    Ok(primary) => (primary, true),
                    Err(_) => (builder().start()?, false),
                };
                let standby = primary.standby("one")?;
                primary.set("synchronous_standby_names", "one")?;
                Ok(Self::Postgres { primary, standby: Some(Box::new(standby)), small_disk })
            }
            StoreKind::Postgres => {
                let primary = Postgres::builder().max_connections(1_000).start()?;
                Ok(Self::Postgres { primary, standby: None, small_disk: false })
            }
            StoreKind::Etcd => Ok(Self::Etcd(EtcdCluster::start(3)?)),
        }
    }

    /// A road of its own for one gateway.
    ///
    /// # Errors
    /// If there are no ports.
    pub fn road(&self) -> Result<Road, ServerError> {
        match self {
            Self::Postgres { primary, .. } => {
                let proxy = Proxy::start(primary.address())?;
                let url = format!("{}?sslmode=disable", primary.url_through("postgres", proxy.address()));
                Ok(Road { proxies: vec![proxy], url })
            }
            Self::Etcd(cluster) => {
                let proxies =
                    cluster.addresses().into_iter().map(Proxy::start).collect::<Result<Vec<_>, _>>()?;
                let hosts: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
                Ok(Road { url: format!("etcd://{}/chaos", hosts.join(",")), proxies })
            }
        }
    }

    /// The store's URL without anything between.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Postgres { primary, .. } => format!("{}?sslmode=disable", primary.url("postgres")),
            Self::Etcd(cluster) => {
                let hosts: Vec<_> = cluster.addresses().iter().map(SocketAddr::to_string).collect();
                format!("etcd://{}/chaos", hosts.join(","))
            }
        }
    }
}
