//! The faults: each one place of core, changed as it must not be.

/// What a fault must be found with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The freshness machine in virtual time.
    Machine,
    /// The cache, the feed client and the verifier.
    Cache,
    /// The cache under real threads.
    Race,
    /// All orders of events of small worlds.
    Interleavings,
}

/// A fault to plant.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// In core's `src`.
    pub(crate) file: &'static str,
    /// Found there exactly once.
    pub(crate) original: &'static str,
    pub(crate) replacement: &'static str,
}

/// The file of the freshness machine.
pub(crate) const MACHINE: &str = "freshness.rs";

const fn machine(name: &'static str, original: &'static str, replacement: &'static str) -> Fault {
    Fault { name, level: Level::Machine, file: MACHINE, original, replacement }
}

const fn cache(
    name: &'static str,
    file: &'static str,
    original: &'static str,
    replacement: &'static str,
) -> Fault {
    Fault { name, level: Level::Cache, file, original, replacement }
}

pub(crate) const FAULTS: &[Fault] = &[
    machine("a lower generation is trusted", "        record.generation < self.highest\n", "        false\n"),
    machine(
        "another secret of the same generation is trusted",
        "(self.ended || self.fingerprint.is_some_and(|seen| seen != record.fingerprint))",
        "self.ended",
    ),
    machine(
        "the end of a generation is not remembered",
        "self.ended |= generation == self.highest;",
        "self.ended |= false;",
    ),
    machine(
        "a wall clock that jumps ahead is ignored",
        "age <= bound && wall <= age.saturating_add(WALL_CLOCK_SLACK)",
        "age <= bound",
    ),
    machine("a proof never runs out", "age <= bound && wall", "wall"),
    machine(
        "what was known in an earlier epoch counts",
        "self.known.get(&id).filter(|known| known.epoch == self.epoch)",
        "self.known.get(&id)",
    ),
    machine(
        "a record ahead of the feed is kept",
        "if revision > applied { Verdict::Again { after: head } } else",
        "if revision > applied { Verdict::Keep { epoch: self.epoch } } else",
    ),
    machine(
        "any record that is there is kept",
        "living.is_some_and(|known| known.position == record.position)",
        "revision <= head",
    ),
    machine(
        "a tombstone is forgotten",
        "std::mem::replace(&mut known.living, false)",
        "std::mem::replace(&mut known.living, true)",
    ),
    machine(
        "a bulk end forgets the cached records",
        "                self.living = self.living.saturating_sub(1);\n                changed.push(*id);",
        "                self.living = self.living.saturating_sub(1);",
    ),
    machine(
        "a bulk end ends one context of an account only",
        "covered.map(|(_, owner)| *owner).collect()",
        "covered.map(|(_, owner)| *owner).take(1).collect()",
    ),
    Fault {
        name: "a listing that the log has not led to is proved",
        level: Level::Interleavings,
        file: MACHINE,
        original: "if !self.unconfirmed.is_empty() {",
        replacement: "if false {",
    },
    machine(
        "what a new listing no longer has leaves no tombstone",
        ".filter(|known| known.epoch != self.epoch) {",
        ".filter(|_| false) {",
    ),
    machine(
        "long exchanges outlive their generation",
        "known.living && known.highest == generation",
        "known.living || known.highest == generation",
    ),
    cache(
        "freshness counts from the answer",
        "cache/feed.rs",
        "shared.machine().prove(asked) else",
        "shared.machine().prove(shared.clock.read()) else",
    ),
    cache(
        "a log that is gone says nothing new",
        "cache/feed.rs",
        "(LogRead::Gone, Road::Proof) => {\n            distrust(shared, after.revision);\n            return \
         Ok(Step::Anew);\n        }",
        "(LogRead::Gone, Road::Proof) => (Vec::new(), false),",
    ),
    cache(
        "an answer with more to come is a proof",
        "cache/feed.rs",
        "if more || road == Road::Quick {",
        "if road == Road::Quick {",
    ),
    cache("the quick road proves", "cache/feed.rs", "if more || road == Road::Quick {", "if more {"),
    cache("changed records stay", "cache/feed.rs", "            forget_unless_current(shared, *id);\n", ""),
    cache(
        "the hit path does not look at the proof's age",
        "cache/mod.rs",
        "proof: proof.filter(|proof| proof.holds(now, shared.bound)),",
        "proof,",
    ),
    cache(
        "a look-up is kept unjudged",
        "cache/load.rs",
        "(Verdict::Keep { epoch }, Some(record)) => Op::Put(Cached { record, epoch }),",
        "(_, Some(record)) => Op::Put(Cached { record, epoch: shared.published.epoch() }),",
    ),
    cache(
        "a token is refused without a proof",
        "verifier/shell.rs",
        "if proof.asked.boot < round.arrived {",
        "if false {",
    ),
    cache(
        "long exchanges do not look at the proof",
        "cache/exchanges.rs",
        "proof.is_some_and(|proof| proof.holds(shared.clock.read(), shared.bound))",
        "proof.is_some()",
    ),
    cache(
        "long exchanges are not looked at when their proof runs out",
        "cache/exchanges.rs",
        "begun + nap(shared)",
        "begun + 2 * shared.bound.max(nap(shared))",
    ),
    cache(
        "what is near outlives a change",
        "cache/published.rs",
        "self.changes.store(round.wrapping_add(1), Ordering::Release);",
        "self.changes.store(round.wrapping_sub(1), Ordering::Release);",
    ),
    Fault {
        name: "the proof is published before the records are forgotten",
        level: Level::Race,
        file: "cache/feed.rs",
        original: "    let changed = shared.tell(&entries);\n",
        replacement: "    let changed = shared.tell(&entries);\n    if !more && road == Road::Proof {\n        \
                      shared.published.prove(crate::freshness::Proof { asked });\n    }\n",
    },
];
