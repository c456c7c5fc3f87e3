use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, sleep};

use super::{percentile, text};
use crate::gateway::Gateway;
use crate::http::Http;
use crate::store::{Servers, StoreKind};

/// Three gateways, load on each, one change after another.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// On which store
    #[arg(long)]
    store: StoreKind,
    /// How many changes
    #[arg(long, default_value_t = 2_000)]
    changes: usize,
    /// How long after the last refusal the next change is made, in milliseconds. Below the 100 between two proofs, a refusal
    /// waits for what is left of them
    #[arg(long, default_value_t = 150)]
    pause: u64,
    /// With a third of the load forged, so that proofs are asked for as often as they may be
    #[arg(long)]
    forged: bool,
}

struct Issued {
    id: String,
    jwt: String,
}

async fn create(gateway: &Gateway) -> Result<Issued, String> {
    let body = json!({"accountId": "account", "contextId": "context", "name": "delay"});
    let (_, body) = gateway.administer(Method::POST, "/api/web-configs", Some(body)).await?;
    let member = |name: &str| body.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    match (member("id"), member("jwt")) {
        (Some(id), Some(jwt)) => Ok(Issued { id, jwt }),
        _ => Err(format!("no web config was created: {body}")),
    }
}

/// When the last request was sent that was let in, and when the first refusal was there.
async fn poll(gateway: Arc<Gateway>, jwt: String) -> Result<(Instant, Instant), String> {
    let http = Http::default();
    let mut accepted = Instant::now();
    loop {
        let sent = Instant::now();
        match gateway.call(&http, "/v1/anything", &jwt, None).await? {
            (200, _) => accepted = sent,
            (401, _) => return Ok((accepted, Instant::now())),
            (status, body) => return Err(format!("an answer that is neither: {status} {body}")),
        }
        // As a client that is busy, and not one that takes the whole machine.
        sleep(Duration::from_micros(500)).await;
    }
}

pub(super) async fn run(args: Args) -> Result<(), String> {
    let servers = block_in_place(|| Servers::start(args.store, false)).map_err(text)?;
    let folder = tempfile::tempdir().map_err(text)?;
    let mut gateways = Vec::new();
    for number in 0..3 {
        let name = format!("gateway-{number}");
        gateways.push(Arc::new(Gateway::new(&name, &servers.url(), &[], folder.path())?));
    }
    for gateway in &gateways {
        gateway.start().await?;
    }
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut load = JoinSet::new();
    for gateway in &gateways {
        let good = create(gateway).await?;
        let signed = good.jwt.rsplit_once('.').unwrap_or_default().0;
        let forged = format!("{signed}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let third = if args.forged { forged } else { good.jwt.clone() };
        for jwt in [good.jwt.clone(), good.jwt, third] {
            let (gateway, over, sent) = (Arc::clone(gateway), Arc::clone(&over), Arc::clone(&sent));
            load.spawn(async move {
                let http = Http::default();
                while !over.load(Ordering::Relaxed) {
                    let _ = gateway.call(&http, "/v1/anything", &jwt, None).await;
                    sent.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(5)).await;
                }
            });
        }
    }

    let (mut accepts, mut refusals) = (Vec::new(), Vec::new());
    let mut issued = create(&gateways[0]).await?;
    let begun = Instant::now();
    for number in 0..args.changes {
        let polls: Vec<_> = gateways
            .iter()
            .map(|gateway| tokio::spawn(poll(Arc::clone(gateway), issued.jwt.clone())))
            .collect();
        sleep(Duration::from_millis(args.pause)).await;
        let path = format!("/api/web-configs/{}/regenerate", issued.id);
        let (status, body) = gateways[number % gateways.len()].administer(Method::POST, &path, None).await?;
        let returned = Instant::now();
        let jwt = body.get("jwt").and_then(|jwt| jwt.as_str());
        issued.jwt = jwt.ok_or_else(|| format!("Regenerate answered {status}: {body}"))?.to_owned();
        let (mut accept, mut refusal) = (Duration::ZERO, Duration::ZERO);
        for poll in polls {
            let (accepted, refused) = poll.await.map_err(text)??;
            accept = accept.max(accepted.saturating_duration_since(returned));
            refusal = refusal.max(refused.saturating_duration_since(returned));
        }
        accepts.push(accept);
        refusals.push(refusal);
    }
    over.store(true, Ordering::Relaxed);
    while load.join_next().await.is_some() {}
    accepts.sort_unstable();
    refusals.sort_unstable();
    let requests = sent.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{:?}, {} changes, beside them {requests:.0} requests a second, {} of them forged, {} ms between changes; \
         milliseconds after Regenerate has returned\n",
        args.store,
        args.changes,
        if args.forged { "a third" } else { "none" },
        args.pause
    );
    println!("| on the last of three gateways | p50 | p99 | max |\n| --- | --- | --- | --- |");
    for (name, delays) in
        [("the last request let in was sent", accepts), ("the first refusal was there", refusals)]
    {
        let figure = |share| percentile(&delays, share).as_secs_f64() * 1e3;
        println!("| {name} | {:.1} | {:.1} | {:.1} |", figure(0.5), figure(0.99), figure(1.0));
    }
    Ok(())
}
