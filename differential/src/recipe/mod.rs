//! How a token is made: a sound one, and up to two kinds of damage done to it at their stage of the making.

mod bytes;
mod claims;
mod headers;
mod signature;
mod sound;
mod text;
mod whole;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::dice::Dice;
use crate::setup::{Hash, Owner, mac};

/// A token, and how it came to be.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The web config it was made for, whose secret the judges are handed.
    pub(crate) owner: usize,
    pub(crate) token: Vec<u8>,
    pub(crate) recipe: Vec<String>,
    /// How many kinds of damage were done.
    pub(crate) damages: usize,
}

/// When in the making a kind of damage is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// To the members of header and payload.
    Members,
    /// To the bytes of their JSON.
    Bytes,
    /// To what these are encoded to.
    Text,
    /// To the signature.
    Signature,
    /// To the token.
    Whole,
}

/// A kind of damage. `act` does it and says what it did.
struct Damage {
    stage: Stage,
    act: fn(&mut Work, &mut Dice) -> String,
}

const DAMAGES: [&[Damage]; 6] =
    [headers::DAMAGES, claims::DAMAGES, bytes::DAMAGES, text::DAMAGES, signature::DAMAGES, whole::DAMAGES];

/// A member of an object, name and value as they are written.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    value: String,
}

/// A token in the making.
#[derive(Clone)]
struct Work<'o> {
    owners: &'o [Owner],
    owner: usize,
    /// The members of header and payload.
    members: [Vec<Member>; 2],
    /// With white space wherever JSON allows it.
    spaced: bool,
    /// Header and payload as JSON, then encoded.
    parts: [Vec<u8>; 2],
    hash: Hash,
    key: Vec<u8>,
    /// The signature's bytes, then encoded.
    signature: Vec<u8>,
    token: Vec<u8>,
}

/// The number of the header and of the payload in a [`Work`].
const HEADER: usize = 0;
const PAYLOAD: usize = 1;

impl Work<'_> {
    fn set(&mut self, part: usize, name: &str, value: impl Into<String>) {
        let name = format!("\"{name}\"");
        let members = &mut self.members[part];
        match members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.value = value.into(),
            None => members.push(Member { name, value: value.into() }),
        }
    }

    fn unset(&mut self, part: usize, name: &str) {
        self.members[part].retain(|member| member.name != format!("\"{name}\""));
    }

    fn get(&self, part: usize, name: &str) -> Option<&str> {
        let name = format!("\"{name}\"");
        self.members[part].iter().find(|member| member.name == name).map(|member| member.value.as_str())
    }

    fn signing_input(&self) -> Vec<u8> {
        [&*self.parts[HEADER], b".", &*self.parts[PAYLOAD]].concat()
    }
}

fn json(members: &[Member], spaced: bool) -> Vec<u8> {
    let (outer, colon, comma) = if spaced { ("\n ", " : ", " ,\t\r\n") } else { ("", ":", ",") };
    let members: Vec<_> =
        members.iter().map(|Member { name, value }| format!("{name}{colon}{value}")).collect();
    format!("{{{outer}{}{outer}}}", members.join(comma)).into_bytes()
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    URL_SAFE_NO_PAD.encode(bytes).into_bytes()
}

/// Makes a token.
pub(crate) fn make(owners: &[Owner], dice: &mut Dice) -> Made {
    let (mut work, mut recipe) = sound::begin(owners, dice);
    let how_many = if dice.percent(50) { 0 } else { 1 + usize::from(dice.percent(40)) };
    let mut damages: Vec<&Damage> = (0..how_many)
        .map(|_| {
            let kind = *dice.pick(&DAMAGES);
            dice.pick(kind)
        })
        .collect();
    damages.sort_by_key(|damage| damage.stage);
    let resign = dice.percent(70);
    let early = damages.iter().any(|damage| damage.stage < Stage::Signature);
    let before = (!resign && early).then(|| sign(encoded(written(work.clone()))));

    let mut at_stage = |work: &mut Work<'_>, stage: Stage, dice: &mut Dice| {
        for damage in damages.iter().filter(|damage| damage.stage == stage) {
            recipe.push((damage.act)(work, dice));
        }
    };
    at_stage(&mut work, Stage::Members, dice);
    work = written(work);
    at_stage(&mut work, Stage::Bytes, dice);
    work = encoded(work);
    at_stage(&mut work, Stage::Text, dice);
    work = match &before {
        None => sign(work),
        Some(before) => Work { signature: before.signature.clone(), ..work },
    };
    at_stage(&mut work, Stage::Signature, dice);
    work.token = [&*work.signing_input(), b".", &*work.signature].concat();
    at_stage(&mut work, Stage::Whole, dice);
    if before.is_some() {
        recipe.push("with the signature from before".into());
    }
    Made { owner: work.owner, token: work.token, recipe, damages: how_many }
}

fn written(mut work: Work<'_>) -> Work<'_> {
    work.parts = [HEADER, PAYLOAD].map(|part| json(&work.members[part], work.spaced));
    work
}

fn encoded(mut work: Work<'_>) -> Work<'_> {
    work.parts = work.parts.map(|part| encode(&part));
    work
}

fn sign(mut work: Work<'_>) -> Work<'_> {
    work.signature = encode(&mac(work.hash, &work.key, &work.signing_input()));
    work
}

/// Header or payload.
fn either(dice: &mut Dice) -> (usize, &'static str) {
    *dice.pick(&[(HEADER, "header"), (PAYLOAD, "payload")])
}

/// Text that stands in a recipe as it is, but short.
fn short(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.into();
    }
    format!("{}… ({} bytes)", text.chars().take(40).collect::<String>(), text.len())
}
