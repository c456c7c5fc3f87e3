//! What goes wrong, as the dice say.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use simulation::history::{Event, Fault as Recorded};
use test_servers::{EtcdCluster, Fault, Postgres, ServerError, Shutdown};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::World;
use crate::dice::Dice;
use crate::store::Servers;

/// One thing after another goes wrong, with rests between, until the run is over. What it began it also ends.
///
/// # Errors
/// If a server or a gateway does not come back.
pub async fn happen(world: Arc<World>, seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    rest(&world, Duration::from_secs(5)).await;
    while !world.is_over() {
        match dice.below(100) {
            0..40 => network(&world, &mut dice).await,
            40..55 => stopped_gateway(&world, &mut dice).await,
            55..65 => killed_gateway(&world, &mut dice).await?,
            _ => server(&world, &mut dice).await?,
        }
        // Some rests are long enough for everything to have recovered, so that a 503 then has no excuse.
        let pause = if dice.percent(40) { dice.between(9_000, 14_000) } else { dice.between(300, 3_000) };
        rest(&world, Duration::from_millis(pause)).await;
    }
    Ok(())
}

async fn rest(world: &World, pause: Duration) {
    for _ in 0..pause.as_millis() / 100 {
        if world.is_over() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn length(dice: &mut Dice) -> Duration {
    Duration::from_millis(if dice.percent(30) {
        dice.between(2_500, 6_000)
    } else {
        dice.between(200, 2_000)
    })
}

impl World {
    fn fault(&self, process: Option<u32>, from: u64, what: impl Into<Cow<'static, str>>, stopped: bool) {
        let to = self.recorder.now();
        self.recorder.push(Event::Fault(Recorded { process, from, to, what: what.into(), stopped }));
    }
}

async fn network(world: &World, dice: &mut Dice) {
    let faults = [
        (Fault::Refuse, "the store refuses connections"),
        (Fault::Reset, "connections to the store are reset"),
        (Fault::Stall, "connections to the store stall"),
        (Fault::BlackholeToServer, "what is sent to the store is lost"),
        (Fault::BlackholeToClient, "what the store sends is lost"),
        (Fault::Delay(Duration::from_millis(dice.between(20, 400))), "the network is slow"),
    ];
    let (fault, what) = faults[dice.below(faults.len())];
    let one = (!dice.percent(25)).then(|| dice.below(world.gateways.len()));
    let from = world.recorder.now();
    let roads = world.roads.iter().enumerate().filter(|(number, _)| one.is_none_or(|one| one == *number));
    let roads: Vec<_> = roads.map(|(_, road)| road).collect();
    for road in &roads {
        road.set(fault);
    }
    sleep(length(dice)).await;
    for road in &roads {
        road.set(Fault::None);
    }
    world.fault(one.map(|one| world.gateways[one].life()), from, what, false);
}

async fn stopped_gateway(world: &World, dice: &mut Dice) {
    let gateway = &world.gateways[dice.below(world.gateways.len())];
    let from = world.recorder.now();
    gateway.pause();
    sleep(Duration::from_millis(dice.between(500, 6_000))).await;
    gateway.resume();
    world.fault(Some(gateway.life()), from, "a gateway is stopped and goes on", true);
}

async fn killed_gateway(world: &World, dice: &mut Dice) -> Result<(), String> {
    let gateway = &world.gateways[dice.below(world.gateways.len())];
    let (from, before) = (world.recorder.now(), gateway.life());
    gateway.kill();
    sleep(Duration::from_millis(dice.between(0, 2_000))).await;
    gateway.start().await?;
    world.fault(Some(before), from, "a gateway is killed", false);
    world.fault(Some(gateway.life()), from, "a gateway is started", false);
    Ok(())
}

async fn server(world: &World, dice: &mut Dice) -> Result<(), String> {
    let length = length(dice);
    let from = world.recorder.now();
    let what = match &world.servers {
        Servers::Postgres { primary, standby, small_disk } => {
            let what = postgres(primary, standby.as_deref(), *small_disk, length, dice).await;
            let follows = standby
                .as_deref()
                .map_or(Ok(()), |standby| block_in_place(|| standby_follows(primary, standby)));
            follows.and(what)
        }
        Servers::Etcd(cluster) => etcd(cluster, length, dice).await,
    };
    let what = what.map_err(|error| error.to_string())?;
    world.fault(None, from, what, false);
    Ok(())
}

/// Waits until the standby follows again, without which nothing can be committed. One that cannot, as after a crash of the
/// primary that it had more of, is made asynchronous: nothing fails over in a run.
fn standby_follows(primary: &Postgres, standby: &Postgres) -> Result<(), ServerError> {
    const FOLLOWS: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    if primary.execute("SHOW synchronous_standby_names")?.is_empty() {
        return Ok(());
    }
    for attempt in 0..2 {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if primary.execute(FOLLOWS).is_ok_and(|count| count == "1") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if attempt == 0 {
            standby.kill()?;
            standby.start_again()?;
        } else {
            println!("the standby cannot follow any more: from here on without");
            primary.set("synchronous_standby_names", "")?;
        }
    }
    Ok(())
}

async fn postgres(
    primary: &Postgres,
    standby: Option<&Postgres>,
    small_disk: bool,
    length: Duration,
    dice: &mut Dice,
) -> Result<&'static str, ServerError> {
    match dice.below(if small_disk { 6 } else { 5 }) {
        0 => {
            block_in_place(|| primary.kill())?;
            sleep(length).await;
            block_in_place(|| primary.start_again())?;
            Ok("the server is killed and started again")
        }
        1 => {
            block_in_place(|| primary.pause())?;
            sleep(length).await;
            block_in_place(|| primary.resume())?;
            Ok("the server is stopped where it is and goes on")
        }
        2 => {
            block_in_place(|| primary.stop(Shutdown::Fast))?;
            sleep(length).await;
            block_in_place(|| primary.start_again())?;
            Ok("the server is shut down and started again")
        }
        3 | 4 => {
            let Some(standby) = standby else { return Ok("nothing") };
            block_in_place(|| standby.pause())?;
            sleep(length).await;
            block_in_place(|| standby.resume())?;
            Ok("the synchronous standby is away")
        }
        _ => {
            // Out of space to write ahead, the server ends itself.
            block_in_place(|| primary.fill_disk())?;
            sleep(length).await;
            block_in_place(|| {
                primary.free_disk()?;
                primary.kill()?;
                primary.start_again()
            })?;
            Ok("the server's disk is full")
        }
    }
}

async fn etcd(cluster: &EtcdCluster, length: Duration, dice: &mut Dice) -> Result<&'static str, ServerError> {
    let leader = block_in_place(|| cluster.leader())?;
    let any = dice.below(cluster.addresses().len());
    let what = match dice.below(6) {
        0 => {
            block_in_place(|| cluster.kill(leader))?;
            sleep(length).await;
            block_in_place(|| cluster.start_again(leader))?;
            "etcd's leader is killed and started again"
        }
        1 => {
            block_in_place(|| cluster.pause(leader))?;
            sleep(length).await;
            block_in_place(|| cluster.resume(leader))?;
            "etcd's leader is stopped where it is and goes on"
        }
        2 => {
            block_in_place(|| cluster.isolate(leader))?;
            sleep(length).await;
            block_in_place(|| cluster.rejoin(leader))?;
            "etcd's leader is cut off from the others"
        }
        3 => {
            block_in_place(|| cluster.isolate(any))?;
            sleep(length).await;
            block_in_place(|| cluster.rejoin(any))?;
            "a member of etcd is cut off from the others"
        }
        4 => {
            let (one, other) = (any, (any + 1) % cluster.addresses().len());
            block_in_place(|| cluster.kill(one).and_then(|()| cluster.kill(other)))?;
            sleep(length).await;
            block_in_place(|| cluster.start_again(one).and_then(|()| cluster.start_again(other)))?;
            "etcd loses its majority and gets it back"
        }
        _ => {
            block_in_place(|| cluster.compact())?;
            "etcd's history is compacted"
        }
    };
    Ok(what)
}
