//! The rounds: every contender has one turn in each, in an order that changes with the round.

use std::error::Error;
use std::time::Duration;

use crate::load::{Load, Loader, Protocol, Served};
use crate::proxies::{BARE, HAPROXY, Proxy, Verifies};
use crate::sample::{Role, Samples};
use crate::tokens::Sent;

/// How processor time is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CostPlan {
    pub(crate) rounds: usize,
    /// In each round, of each contender.
    pub(crate) requests: u32,
    pub(crate) connections: u32,
}

/// How speed is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpeedPlan {
    pub(crate) rounds: usize,
    /// About how long a contender has in each round.
    pub(crate) span: Duration,
}

/// Processor time per request over HTTP/1.1, in nanoseconds.
pub(crate) fn costs(
    plan: CostPlan,
    loader: &Loader,
    contenders: &[&Proxy],
    sent: &Sent,
) -> Result<Samples, Box<dyn Error>> {
    let load = Load { protocol: Protocol::Http1, connections: plan.connections, requests: plan.requests };
    let turn = |proxy: &&Proxy| -> Result<f64, Box<dyn Error>> {
        let (_, nanoseconds) = send(loader, load, proxy, sent)?;
        Ok(nanoseconds)
    };
    // The first turns warm up.
    contenders.iter().try_for_each(|proxy| turn(proxy).map(drop))?;
    Ok(Samples {
        rounds: rounds(plan.rounds, contenders, turn)?,
        contenders: contenders.iter().map(|proxy| (proxy.name, role(proxy))).collect(),
    })
}

/// What is compared with what.
fn role(proxy: &Proxy) -> Role {
    match proxy.name {
        BARE | HAPROXY => Role::Bare,
        name if name.starts_with(HAPROXY) => Role::Peer,
        _ if proxy.verifies == Verifies::Nothing => Role::Presence,
        _ => Role::Ours,
    }
}

/// Which load is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) protocol: Protocol,
    pub(crate) connections: u32,
}

/// A contender's rounds.
pub(crate) struct Speed {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<Turn>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) served: Served,
    /// Processor time per request, in nanoseconds.
    pub(crate) cost: f64,
}

/// Requests per second and latencies.
pub(crate) fn speeds(
    plan: SpeedPlan,
    loader: &Loader,
    contenders: &[&Proxy],
    sent: &Sent,
    Cell { protocol, connections }: Cell,
) -> Result<Vec<Speed>, Box<dyn Error>> {
    let fewest = connections * 10;
    let mut loads = Vec::new();
    for proxy in contenders {
        let load = Load { protocol, connections, requests: fewest.max(200) };
        // A warm-up in which a connection was late says little.
        let rates = [loader.send(load, proxy, sent)?.rate, loader.send(load, proxy, sent)?.rate];
        let rate = rates[0].max(rates[1]);
        let requests = ((rate * plan.span.as_secs_f64()) as u32).max(fewest);
        loads.push((*proxy, Load { requests, ..load }));
    }
    let turn = |(proxy, load): &(&Proxy, Load)| {
        send(loader, *load, proxy, sent).map(|(served, cost)| Turn { served, cost })
    };
    let rounds = rounds(plan.rounds, &loads, turn)?;
    let of = |(who, proxy): (usize, &&Proxy)| Speed {
        name: proxy.name,
        rounds: rounds.iter().map(|round| round[who]).collect(),
    };
    Ok(contenders.iter().enumerate().map(of).collect())
}

/// Sends a load, and says what it cost the proxy per request, in nanoseconds of processor time.
fn send(loader: &Loader, load: Load, proxy: &Proxy, sent: &Sent) -> Result<(Served, f64), Box<dyn Error>> {
    let before = proxy.process.spent()?;
    let served = loader.send(load, proxy, sent)?;
    let spent = proxy.process.spent()?.saturating_sub(before);
    Ok((served, spent.as_secs_f64() * 1e9 / f64::from(load.requests)))
}

/// Gives everybody a turn in each round, and what came of it in the order of the contenders.
fn rounds<C, T: Copy>(
    count: usize,
    contenders: &[C],
    mut turn: impl FnMut(&C) -> Result<T, Box<dyn Error>>,
) -> Result<Vec<Vec<T>>, Box<dyn Error>> {
    let mut rounds = Vec::new();
    for round in 0..count {
        let mut turns = vec![None; contenders.len()];
        for who in order(round, contenders.len()) {
            turns[who] = Some(turn(&contenders[who])?);
        }
        rounds.push(turns.into_iter().flatten().collect());
    }
    Ok(rounds)
}

/// Everybody once, each round from another place on, every other round backwards.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| {
        let turn = if round.is_multiple_of(2) { step } else { count - 1 - step };
        (turn + round / 2) % count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn_in_each_round_and_keeps_their_place() {
        let mut turns = Vec::new();
        let rounds = rounds(6, &[10, 20, 30], |who| {
            turns.push(*who);
            Ok(*who)
        });
        assert_eq!(rounds.expect("rounds"), vec![vec![10, 20, 30]; 6]);
        let firsts: Vec<_> = turns.chunks(3).map(|round| round[0]).collect();
        assert!([10, 20, 30].iter().all(|who| firsts.contains(who)), "{firsts:?}");
        let failed = super::rounds(1, &[1], |_| Err::<(), _>("it fails".into()));
        assert!(failed.is_err(), "a turn that fails ends it all");
    }
}
