//! What its tokens cost the gateway, beside what they cost HAProxy, and how fast it passes requests on, beside HAProxy
//! and nginx: all on one machine, in turn.
//!
//! ```text
//! cargo xtask bench-gateway
//! ```
//!
//! The crate's README says how to read what it prints, and what is and is not counted.

#![deny(unsafe_code)]

#[allow(dead_code, reason = "the other bench uses all of it")]
#[path = "../../cpu.rs"]
mod cpu;
mod load;
mod measure;
mod process;
mod proxies;
#[allow(dead_code, reason = "the other bench uses all of it")]
#[path = "../../sample.rs"]
mod sample;
mod tables;
mod tokens;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use crate::load::{Loader, Protocol};
use crate::measure::{Cell, CostPlan, SpeedPlan};
use crate::process::program;
use crate::proxies::{
    BARE, GATE, GATEWAY, Ground, HAPROXY, HAPROXY_EXP, HAPROXY_JWT, NGINX, Proxy, prove, upstream,
};

/// Measures what the gateway's tokens cost it, and how fast it passes requests on, beside HAProxy and nginx; prints
/// Markdown tables.
#[derive(Debug, Parser)]
struct Options {
    /// A run of seconds, to see that everything works; its figures are rough.
    #[arg(long)]
    quick: bool,
    /// Also writes every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The gateway, as it is released.
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_GATEWAY_BIN")]
    gateway: PathBuf,
    /// The gateway's example `bare-proxy`, built along with it.
    #[arg(long, value_name = "FILE", env = "VOICEGAIN_BARE_PROXY_BIN")]
    bare_proxy: PathBuf,
}

const CONNECTIONS: [u32; 3] = [1, 16, 256];

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let (costs, speeds) = plans(options.quick);
    let folder = tempfile::Builder::new().prefix("voicegain-auth-bench-").tempdir()?;
    let folder = folder.path();
    let loader = Loader::new(program("h2load")?, folder);
    let threads = cpu::cores().len().max(1);

    let (_upstream, upstream) = upstream(folder)?;
    let ground =
        Ground { folder, upstream, threads, gateway: &options.gateway, bare_proxy: &options.bare_proxy };
    let (proxies, tokens) = ground.contenders()?;
    prove(&proxies, &tokens, &loader)?;

    let conditions = format!(
        "{}, {threads} cores, shared by the proxies ({threads} threads each), the upstream and the load; {} and {}; \
         processor time in {} rounds of {} requests over {} connections, speed in {} rounds of {:?}; intervals of 95 %.",
        cpu::model(),
        version("haproxy", "-v", "HAProxy version ")?,
        version("nginx", "-v", "nginx version: ")?,
        costs.rounds,
        costs.requests,
        costs.connections,
        speeds.rounds,
        speeds.span,
    );
    println!("{conditions}\n");

    let of = |names: &[&str]| -> Vec<&Proxy> {
        proxies.iter().filter(|proxy| names.contains(&proxy.name)).collect()
    };
    let mut raw: Vec<Value> = Vec::new();
    let cases = [
        ("one long-lived token", &tokens.long_lived, of(&[BARE, GATE, GATEWAY, HAPROXY, HAPROXY_JWT])),
        (
            "one short-lived token, with `Origin`",
            &tokens.short_lived,
            of(&[BARE, GATE, GATEWAY, HAPROXY, HAPROXY_JWT, HAPROXY_EXP]),
        ),
    ];
    for (title, sent, contenders) in cases {
        let samples = measure::costs(costs, &loader, &contenders, sent)?;
        println!("{}", tables::costs(title, &samples));
        raw.push(tables::raw_costs(title, &samples));
    }

    let contenders = of(&[BARE, GATEWAY, HAPROXY, HAPROXY_JWT, NGINX]);
    for protocol in Protocol::ALL {
        let cells = CONNECTIONS.map(|connections| {
            let of = Cell { protocol, connections };
            measure::speeds(speeds, &loader, &contenders, &tokens.long_lived, of)
                .map(|speeds| (connections, speeds))
        });
        let cells = cells.into_iter().collect::<Result<Vec<_>, _>>()?;
        println!("{}", tables::speeds(protocol, &cells));
        raw.push(tables::raw_speeds(protocol, &cells));
    }
    if let Some(file) = &options.json {
        fs::write(file, json!({ "conditions": conditions, "measurements": raw }).to_string())?;
    }
    Ok(())
}

fn plans(quick: bool) -> (CostPlan, SpeedPlan) {
    if quick {
        (
            CostPlan { rounds: 6, requests: 400, connections: 16 },
            SpeedPlan { rounds: 2, span: Duration::from_millis(80) },
        )
    } else {
        (
            CostPlan { rounds: 60, requests: 2_000, connections: 16 },
            SpeedPlan { rounds: 7, span: Duration::from_millis(500) },
        )
    }
}

/// What a program says its version is, up to the next space.
fn version(name: &str, flag: &str, before: &str) -> Result<String, Box<dyn Error>> {
    let output = std::process::Command::new(program(name)?).arg(flag).output()?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let version = said.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
    let version = version.ok_or_else(|| format!("{name} does not tell its version"))?;
    Ok(if version.contains('/') { version.to_owned() } else { format!("{name}/{version}") })
}
