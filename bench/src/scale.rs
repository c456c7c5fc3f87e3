//! What many web configs cost: memory for each, and time for a verify.

use std::error::Error;
use std::hint::black_box;
use std::thread::sleep;
use std::time::{Duration, Instant};

use voicegain_auth_core::{Policy, SecretCache, Verifier};

use crate::core_stack::{Head, verify};
use crate::generated::Generated;
use crate::heap::Growth;
use crate::sample::{Contender, Role};
use crate::tokens::{self, Sent, Tokens};

/// How many tokens are used in turn at most.
const IN_TURN: usize = 100_000;
/// How long filling a cache may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A number of web configs, and what its contenders are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) count: usize,
    /// Long-lived and short-lived, each all in turn and one alone.
    names: [&'static str; 4],
}

pub(crate) const SCALES: [Scale; 3] = [
    Scale {
        count: 100,
        names: [
            "long-lived, 100 in turn",
            "long-lived, one of 100",
            "short-lived, 100 in turn",
            "short-lived, one of 100",
        ],
    },
    Scale {
        count: 10_000,
        names: [
            "long-lived, 10,000 in turn",
            "long-lived, one of 10,000",
            "short-lived, 10,000 in turn",
            "short-lived, one of 10,000",
        ],
    },
    Scale {
        count: 1_000_000,
        names: [
            "long-lived, 100,000 of 1,000,000 in turn",
            "long-lived, one of 1,000,000",
            "short-lived, 100,000 of 1,000,000 in turn",
            "short-lived, one of 1,000,000",
        ],
    },
];

/// A filled cache, and what it took.
pub(crate) struct Filled {
    pub(crate) scale: Scale,
    verifier: Verifier,
    long_lived: Vec<Head>,
    short_lived: Vec<Head>,
    pub(crate) memory: Memory,
}

/// In bytes, all web configs together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// What the feed knows of which web configs live.
    pub(crate) known: isize,
    /// Records and the cache's entries for them.
    pub(crate) cached: isize,
    pub(crate) resident: isize,
    pub(crate) took: Duration,
}

impl Filled {
    pub(crate) fn make(scale: Scale, tokens: &Tokens) -> Result<Self, Box<dyn Error>> {
        let store = Generated::new(scale.count);
        let _entered = tokens.runtime.enter();
        let (began, growth) = (Instant::now(), Growth::begin());
        let gate = store.gate.lock().map_err(|_| "a store panicked")?;
        let builder = tokens::builder(store.clone()).capacity(scale.count as u64).preload(true);
        let cache = builder.build()?;
        wait_until(&cache, |cache| cache.status().ready)?;
        let known = growth.heap();
        drop(gate);
        wait_until(&cache, |cache| !cache.status().preloading)?;
        let status = cache.status();
        if status.cached != scale.count as u64 || status.living != scale.count {
            return Err(format!("not all of {} web configs are cached: {status:?}", scale.count).into());
        }
        let memory = Memory {
            known,
            cached: growth.heap() - known,
            resident: growth.resident(),
            took: began.elapsed(),
        };
        drop(growth);

        let verifier = Verifier::new(cache, Policy::default());
        let (mut long_lived, mut short_lived) = (Vec::new(), Vec::new());
        for turn in 0..scale.count.min(IN_TURN) {
            // All over the place, and none twice: the step has no factor in common with any of the counts.
            let index = turn * 617_993 % scale.count;
            let (id, secret) = (store.id(index), store.secret(index));
            let sign = |payload: &str| tokens::sign(secret.expose(), payload);
            long_lived.push(Head::of(&Sent { token: sign(&tokens::long_lived_payload(id)), origin: None }));
            let token = sign(&format!("{{{}}}", tokens::short_lived_members(id)));
            short_lived.push(Head::of(&Sent { token, origin: Some(tokens::ORIGIN) }));
        }
        let filled = Self { scale, verifier, long_lived, short_lived, memory };
        for head in filled.long_lived.iter().chain(&filled.short_lived) {
            verify(&filled.verifier, head)?;
        }
        Ok(filled)
    }

    pub(crate) fn contenders(&self) -> [Contender<'_>; 4] {
        let [long_lived, one_long_lived, short_lived, one_short_lived] = self.scale.names;
        [
            self.contender(long_lived, &self.long_lived),
            self.contender(one_long_lived, &self.long_lived[..1]),
            self.contender(short_lived, &self.short_lived),
            self.contender(one_short_lived, &self.short_lived[..1]),
        ]
    }

    fn contender<'a>(&'a self, name: &'static str, heads: &'a [Head]) -> Contender<'a> {
        let mut turns = heads.iter().cycle();
        Contender::new(name, Role::Ours, move || {
            let head = turns.next().expect("there are heads");
            assert!(black_box(verify(&self.verifier, head)).is_ok(), "{name}");
        })
    }
}

fn wait_until(cache: &SecretCache, is_so: impl Fn(&SecretCache) -> bool) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while !is_so(cache) {
        if began.elapsed() > PATIENCE {
            return Err(format!("the cache was not filled in time: {:?}", cache.status()).into());
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_cache_knows_all_its_web_configs_and_no_other() {
        let tokens = Tokens::make().expect("tokens");
        let filled = Filled::make(SCALES[0], &tokens).expect("it is filled");
        assert_eq!(filled.long_lived.len(), 100);
        let of_another_deployment = Head::of(&tokens.long_lived[0]);
        assert!(verify(&filled.verifier, &of_another_deployment).is_err());
    }

    #[test]
    fn no_web_config_has_two_turns() {
        for Scale { count, .. } in SCALES {
            let mut turns: Vec<usize> = (0..count.min(IN_TURN)).map(|turn| turn * 617_993 % count).collect();
            turns.sort_unstable();
            turns.dedup();
            assert_eq!(turns.len(), count.min(IN_TURN));
        }
    }
}
