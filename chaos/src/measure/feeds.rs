use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use voicegain_auth_core::{CreateRequest, Issuer, SecretCache};
use voicegain_auth_store::etcd::EtcdStore;
use voicegain_auth_store::postgres::{PostgresOptions, PostgresStore};
use voicegain_auth_store::sealing::Sealing;

use super::{percentile, text};
use crate::store::{Servers, StoreKind};

/// Many caches in this process, each with a store of its own, on one server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which store
    #[arg(long)]
    store: StoreKind,
    /// How many of them
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// The `max_revocation_delay` of each, in seconds
    #[arg(long, default_value_t = 2)]
    bound: u64,
    /// For how many seconds to watch them
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

/// Processor time of all processes of this name, in seconds.
fn processor_time(name: &str) -> f64 {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        if before.split_once('(').is_some_and(|(_, own)| own == name) {
            let field = |number: usize| {
                after.split_whitespace().nth(number).and_then(|text| text.parse::<u64>().ok())
            };
            ticks += field(11).unwrap_or(0) + field(12).unwrap_or(0);
        }
    }
    // Linux counts in hundredths of a second for everybody who asks.
    ticks as f64 / 100.0
}

/// The ports of this machine that lead to the server, as many as there are connections.
fn connections(ports: &BTreeSet<u16>) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let leads_there = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        let port = fields.next().and_then(|remote| u16::from_str_radix(remote.rsplit_once(':')?.1, 16).ok());
        // 01 is an established connection.
        port.is_some_and(|port| ports.contains(&port)) && fields.next() == Some("01")
    };
    table.lines().filter(leads_there).count()
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    let servers = block_in_place(|| Servers::start(args.store, false)).map_err(text)?;
    let road = servers.road().map_err(text)?;
    let mut caches = Vec::new();
    for _ in 0..args.clients {
        let bound = Duration::from_secs(args.bound);
        let cache = match args.store {
            StoreKind::Postgres => {
                let options = PostgresOptions::new().connections(2);
                let store: PostgresStore = options.open(&road.url, Sealing::Plain).await.map_err(text)?;
                SecretCache::builder(store)
            }
            StoreKind::Etcd => {
                SecretCache::builder(EtcdStore::open(&road.url, Sealing::Plain).await.map_err(text)?)
            }
        };
        caches.push(cache.max_revocation_delay(bound).build().map_err(text)?);
    }
    for cache in &caches {
        if !cache.ready().await {
            return Err("a cache did not become ready".to_owned());
        }
    }
    sleep(Duration::from_secs(3)).await;

    let server = if args.store == StoreKind::Postgres { "postgres" } else { "etcd" };
    let bytes = || road.proxies.iter().map(|proxy| proxy.bytes()).sum::<u64>();
    let (before, time, begun) = (bytes(), processor_time(server), Instant::now());
    sleep(Duration::from_secs(args.seconds)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let rate = (bytes() - before) as f64 / seconds;
    let load = (processor_time(server) - time) / seconds;
    let ports: BTreeSet<u16> = road.proxies.iter().map(|proxy| proxy.address().port()).collect();
    let open = connections(&ports);

    // Until the last of them has heard of a change.
    let issuer = Issuer::new(caches[0].clone(), "https://api.voicegain.ai/v1").map_err(text)?;
    let mut delays = Vec::new();
    for number in 0..50 {
        let name = format!("web config {number}");
        let request =
            CreateRequest::new("account".parse().map_err(text)?, "context".parse().map_err(text)?, name);
        let revision = issuer.create(request).await.map_err(text)?.config.revision;
        let returned = Instant::now();
        while caches.iter().any(|cache| cache.status().revision < revision) {
            sleep(Duration::from_millis(1)).await;
        }
        delays.push(returned.elapsed());
    }
    delays.sort_unstable();
    let per_client = args.clients as f64;
    println!(
        "{:?}, {} processes that follow it, bound {} s, at rest for {seconds:.0} s\n",
        args.store, args.clients, args.bound
    );
    println!("| | in all | for each |\n| --- | --- | --- |");
    println!("| connections | {open} | {:.1} |", open as f64 / per_client);
    println!("| bytes a second, both ways | {rate:.0} | {:.0} |", rate / per_client);
    println!("| the servers' processor time, cores | {load:.3} | {:.5} |", load / per_client);
    let figure = |share| percentile(&delays, share).as_secs_f64() * 1e3;
    println!("| a change is heard of by the last, ms | p50 {:.1}, max {:.1} | |", figure(0.5), figure(1.0));
    Ok(())
}
