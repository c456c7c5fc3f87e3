//! Changes, by the admin API of any of the gateways.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use simulation::history::{Change, Event, Kind, Outcome, SecretName, Target, Token};
use tokio::time::sleep;
use voicegain_auth_core::WebConfigId;

use super::World;
use super::configs::{Config, Held};
use crate::dice::Dice;
use crate::http::{Reply, detail, reason};

/// The origins that come and go. What is sent with a request is one of them.
pub const ORIGINS: [&str; 3] = ["https://a.example", "https://b.example", "https://c.example"];

/// Makes changes until the run is over.
pub async fn make(world: Arc<World>, seed: u64, pause: Duration) {
    let mut dice = Dice::new(seed);
    while !world.is_over() {
        sleep(pause.mul_f64(dice.between(5, 15) as f64 / 10.0)).await;
        match dice.below(100) {
            0..60 => regenerate(&world, &mut dice).await,
            60..80 => set_origins(&world, &mut dice).await,
            80..88 => delete(&world, &mut dice).await,
            88..97 => revive(&world, &mut dice).await,
            97..99 => end_context(&world, &mut dice).await,
            _ => drop(create(&world, &mut dice).await),
        }
    }
}

/// What an answer says about a change.
pub fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Ok((200 | 201 | 204, _)) => Outcome::Done,
        Ok((503, body)) if detail(body).contains("nknown") => Outcome::Unknown,
        Ok((503, body)) if reason(body) == "temporarily_unavailable" => Outcome::Failed,
        Ok((status, _)) if *status < 500 => Outcome::Failed,
        // Nothing was heard of it, or nothing that can be understood.
        _ => Outcome::Unknown,
    }
}

struct Asked {
    kind: Kind,
    target: Target,
    asked: u64,
}

impl World {
    async fn change(&self, dice: &mut Dice, method: Method, path: &str, body: Option<Value>) -> Reply {
        let gateway = &self.gateways[dice.below(self.gateways.len())];
        gateway.administer(method, path, body).await
    }

    fn record(&self, asked: Asked, reply: &Reply) -> Outcome {
        let outcome = outcome(reply);
        let Asked { mut kind, target, asked } = asked;
        let answered = reply.as_ref().ok().and_then(|(_, body)| body.get("generation")?.as_u64());
        if let Kind::Create { generation, .. } | Kind::Regenerate { generation, .. } = &mut kind {
            *generation = answered;
        }
        let id = self.recorder.number();
        let returned = Some(self.recorder.now());
        self.recorder.push(Event::Change(Change {
            id,
            target,
            kind,
            asked,
            returned,
            outcome,
            revision: None,
        }));
        outcome
    }

    fn held(&self, reply: &Reply, web_config: WebConfigId, secret: SecretName) -> Option<Held> {
        let jwt = reply.as_ref().ok()?.1.get("jwt")?.as_str()?.to_owned();
        Some(Held { jwt, token: Token { web_config, secret, minted: false } })
    }
}

/// Creates one more, if the outcome is known.
pub async fn create(world: &World, dice: &mut Dice) -> Option<()> {
    let (account, context) = (format!("account-{}", dice.below(3)), format!("context-{}", dice.below(4)));
    let secret = world.recorder.number();
    let origins = vec![ORIGINS[0].to_owned()];
    let body =
        json!({"accountId": account, "contextId": context, "name": "chaos", "allowedOrigins": origins});
    let asked = world.recorder.now();
    let reply = world.change(dice, Method::POST, "/api/web-configs", Some(body)).await;
    // One whose id is not known cannot be asked about, and so needs no place in the history.
    let id: WebConfigId = reply.as_ref().ok()?.1.get("id")?.as_str()?.parse().ok()?;
    let held = world.held(&reply, id, secret)?;
    let kind = Kind::Create {
        account: account.clone(),
        context: context.clone(),
        secret,
        generation: None,
        origins,
    };
    world.record(Asked { kind, target: Target::WebConfig(id), asked }, &reply);
    world.configs.lock().push(Config {
        id,
        account,
        context,
        current: Some(held),
        older: Vec::new(),
        minted: Vec::new(),
        busy: false,
        ended: false,
    });
    Some(())
}

async fn regenerate(world: &World, dice: &mut Dice) {
    let Some(index) = world.configs.take(dice, |config| !config.ended) else { return };
    let id = world.configs.lock()[index].id;
    let secret = world.recorder.number();
    let asked = world.recorder.now();
    let reply = world.change(dice, Method::POST, &format!("/api/web-configs/{id}/regenerate"), None).await;
    let kind = Kind::Regenerate { secret, generation: None };
    let outcome = world.record(Asked { kind, target: Target::WebConfig(id), asked }, &reply);
    let mut configs = world.configs.lock();
    configs[index].busy = false;
    match outcome {
        // A bulk end may have come after it, or before.
        Outcome::Done if !configs[index].ended => configs[index].renew(world.held(&reply, id, secret)),
        Outcome::Done | Outcome::Unknown => configs[index].renew(None),
        Outcome::Failed => {}
    }
}

async fn set_origins(world: &World, dice: &mut Dice) {
    let Some(index) = world.configs.take(dice, |config| !config.ended) else { return };
    let id = world.configs.lock()[index].id;
    let origins: Vec<_> =
        ORIGINS.iter().filter(|_| dice.percent(50)).map(|origin| (*origin).to_owned()).collect();
    let body = json!({"allowedOrigins": origins});
    let asked = world.recorder.now();
    let reply = world.change(dice, Method::PATCH, &format!("/api/web-configs/{id}"), Some(body)).await;
    world.record(Asked { kind: Kind::SetOrigins { origins }, target: Target::WebConfig(id), asked }, &reply);
    world.configs.lock()[index].busy = false;
}

async fn delete(world: &World, dice: &mut Dice) {
    let Some(index) = world.configs.take(dice, |config| !config.ended) else { return };
    let id = world.configs.lock()[index].id;
    let asked = world.recorder.now();
    let reply = world.change(dice, Method::DELETE, &format!("/api/web-configs/{id}"), None).await;
    let outcome = world.record(Asked { kind: Kind::Delete, target: Target::WebConfig(id), asked }, &reply);
    let mut configs = world.configs.lock();
    configs[index].busy = false;
    if outcome != Outcome::Failed {
        configs[index].renew(None);
        configs[index].ended = true;
    }
}

/// Brings back one that was deleted or ended, with a secret from elsewhere.
async fn revive(world: &World, dice: &mut Dice) {
    let Some(index) = world.configs.take(dice, |config| config.ended) else { return };
    let (id, account, context) = {
        let config = &world.configs.lock()[index];
        (config.id, config.account.clone(), config.context.clone())
    };
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&dice.throw().to_be_bytes());
    }
    let secret = world.recorder.number();
    let origins = vec![ORIGINS[0].to_owned()];
    let body = json!({
        "accountId": account, "contextId": context, "name": "chaos", "allowedOrigins": origins,
        "secret": URL_SAFE_NO_PAD.encode(bytes), "id": id.to_string(), "revive": true,
    });
    let asked = world.recorder.now();
    let reply = world.change(dice, Method::POST, "/api/web-configs", Some(body)).await;
    let kind = Kind::Create { account, context, secret, generation: None, origins };
    let outcome = world.record(Asked { kind, target: Target::WebConfig(id), asked }, &reply);
    let mut configs = world.configs.lock();
    let config = &mut configs[index];
    config.busy = false;
    // It lives already if what was thought to have ended it never happened; a Regenerate then gives it a token again.
    let lives = matches!(&reply, Ok((409, _)));
    match outcome {
        Outcome::Done => {
            config.renew(world.held(&reply, id, secret));
            config.ended = false;
        }
        Outcome::Unknown => config.ended = false,
        Outcome::Failed if lives => config.ended = false,
        Outcome::Failed => {}
    }
}

async fn end_context(world: &World, dice: &mut Dice) {
    let (account, context) = (format!("account-{}", dice.below(3)), format!("context-{}", dice.below(4)));
    let of_it = |config: &Config| config.account == account && config.context == context;
    let asked = world.recorder.now();
    let reply =
        world.change(dice, Method::POST, &format!("/api/contexts/{account}/{context}/end"), None).await;
    let target = Target::Context(account.clone(), context.clone());
    let outcome = world.record(Asked { kind: Kind::End, target, asked }, &reply);
    if outcome != Outcome::Failed {
        for config in world.configs.lock().iter_mut().filter(|config| of_it(config)) {
            config.renew(None);
            config.ended = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_says_so_means_that_nothing_happened() {
        let refusal = |status, detail: &str| {
            Ok((status, json!({"error": {"reason": "temporarily_unavailable", "detail": detail}})))
        };
        assert_eq!(outcome(&Ok((204, Value::Null))), Outcome::Done);
        assert_eq!(outcome(&refusal(503, "Outcome unknown, look at the generation.")), Outcome::Unknown);
        assert_eq!(outcome(&refusal(503, "The store is not available.")), Outcome::Failed);
        assert_eq!(outcome(&Ok((404, Value::Null))), Outcome::Failed);
        assert_eq!(outcome(&Ok((500, Value::Null))), Outcome::Unknown);
        assert_eq!(outcome(&Err("no answer in time".to_owned())), Outcome::Unknown);
    }
}
