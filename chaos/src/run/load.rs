//! Requests, good and bad, on every gateway.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use simulation::history::{Answer, Decision, Event, Token};
use tokio::time::sleep;
use voicegain_auth_core::WebConfigId;

use super::World;
use super::changes::ORIGINS;
use super::configs::{Config, FORGED, Held};
use crate::dice::Dice;
use crate::http::{Http, Reply, detail, reason};

/// A path that every upstream of a run answers.
pub const PATH: &str = "/v1/anything";

/// Sends requests to one gateway until the run is over.
pub async fn send(world: Arc<World>, gateway: usize, seed: u64, pause: Duration) {
    let mut dice = Dice::new(seed);
    let http = Http::default();
    while !world.is_over() {
        sleep(pause).await;
        if dice.percent(2) {
            mint(&world, gateway, &http, &mut dice).await;
        } else if let Some((held, origin)) = choose(&world, &mut dice) {
            drop(ask(&world, gateway, &http, &held, origin, PATH).await);
        }
    }
}

fn choose(world: &World, dice: &mut Dice) -> Option<(Held, Option<&'static str>)> {
    let configs = world.configs.lock();
    let config = dice.pick(&configs)?;
    let current = || config.current.clone();
    Some(match dice.below(100) {
        0..50 => (current()?, None),
        50..70 => (dice.pick(&config.older)?.clone(), None),
        70..82 => (current()?, dice.pick(&ORIGINS).copied()),
        82..90 => (dice.pick(&config.minted)?.clone(), None),
        90..95 => (forged(config)?, None),
        _ => (made_up(config)?, None),
    })
}

/// The token of a web config with another signature.
fn forged(config: &Config) -> Option<Held> {
    let held = config.current.as_ref().or(config.older.last())?;
    let (signed, _) = held.jwt.rsplit_once('.')?;
    let jwt = format!("{signed}.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    Some(Held { jwt, token: Token { secret: FORGED, ..held.token } })
}

/// A token of a web config that there is not.
fn made_up(config: &Config) -> Option<Held> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let held = config.current.as_ref().or(config.older.last())?;
    let id = WebConfigId::generate().ok()?;
    let mut parts = held.jwt.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let payload =
        URL_SAFE_NO_PAD.encode(payload.replace(&held.token.web_config.to_string(), &id.to_string()));
    let jwt = format!("{header}.{payload}.{signature}");
    Some(Held { jwt, token: Token { web_config: id, secret: FORGED, minted: false } })
}

/// What an answer says about the promise.
pub fn answer(reply: &Reply) -> Answer {
    match reply {
        Ok((200, _)) => Answer::Accepted,
        Ok((401, body)) if reason(body) == "invalid_token" => Answer::InvalidToken,
        Ok((403, body)) if reason(body) == "origin_not_allowed" => Answer::OriginNotAllowed,
        // It had been let in, and was ended on the way because its token was (rule C8): no word about the decision.
        Ok((503, body)) if detail(body).contains("can no longer be confirmed") => Answer::Other,
        Ok((503, body)) if reason(body) == "temporarily_unavailable" => Answer::Unavailable,
        _ => Answer::Other,
    }
}

async fn ask(
    world: &World,
    gateway: usize,
    http: &Http,
    held: &Held,
    origin: Option<&'static str>,
    path: &str,
) -> Reply {
    let (reply, decision) = put(world, gateway, http, held, origin, path).await;
    world.recorder.push(Event::Decision(decision));
    reply
}

/// Asks one gateway; what it answered, and what that means.
pub async fn put(
    world: &World,
    gateway: usize,
    http: &Http,
    held: &Held,
    origin: Option<&'static str>,
    path: &str,
) -> (Reply, Decision) {
    let asked = &world.gateways[gateway];
    let (process, sent) = (asked.life(), world.recorder.now());
    let reply = asked.call(http, path, &held.jwt, origin).await;
    let decided = world.recorder.now();
    // A gateway that was killed and started meanwhile may have answered in either life.
    let answer = if asked.life() == process { answer(&reply) } else { Answer::Other };
    let origin = origin.map(Cow::Borrowed);
    (reply, Decision { process, sent, decided, token: held.token, origin, answer })
}

/// A short-lived token, with the newest one, or with one that was superseded just now.
async fn mint(world: &World, gateway: usize, http: &Http, dice: &mut Dice) {
    let chosen = {
        let configs = world.configs.lock();
        let config = dice.pick(&configs);
        let current = config.and_then(|config| config.current.clone());
        let older = config.and_then(|config| config.older.last().cloned());
        if dice.percent(60) { current } else { older }
    };
    let Some(held) = chosen else { return };
    let reply = ask(world, gateway, http, &held, None, "/v1/security/jwt?aud=*&expInSec=3600").await;
    let Ok((200, body)) = reply else { return };
    let Some(jwt) = body.as_str().map(str::to_owned) else { return };
    let minted = Held { jwt, token: Token { minted: true, ..held.token } };
    let mut configs = world.configs.lock();
    if let Some(config) = configs.iter_mut().find(|config| config.id == held.token.web_config) {
        config.minted.push(minted);
        if config.minted.len() > 4 {
            config.minted.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_counts_only_for_what_it_says() {
        let refusal = |status, reason: &str| Ok((status, json!({"error": {"reason": reason}})));
        assert_eq!(answer(&refusal(401, "invalid_token")), Answer::InvalidToken);
        assert_eq!(answer(&refusal(401, "token_expired")), Answer::Other);
        assert_eq!(answer(&refusal(503, "temporarily_unavailable")), Answer::Unavailable);
        assert_eq!(answer(&refusal(503, "something")), Answer::Other);
        assert_eq!(answer(&Err("reset".to_owned())), Answer::Other);
    }
}
