//! What the layers and the verifier cost, beside their peers: in one process, interleaved, on one core.
//!
//! ```text
//! cargo xtask bench
//! ```
//!
//! The crate's README says how to read what it prints, and what is and is not counted.

#![deny(unsafe_code)]

mod abuse;
mod actix_stack;
mod ask;
mod axum_stack;
mod core_stack;
mod cpu;
mod floors;
mod generated;
#[allow(unsafe_code, reason = "an allocator cannot be had without")]
mod heap;
mod origins;
mod peer;
mod report;
mod sample;
mod scale;
mod sizes;
mod stack;
mod threads;
mod tokens;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use crate::sample::{Contender, CpuClock, Plan, Samples, sample};
use crate::scale::{Filled, SCALES};
use crate::tokens::{Case, Tokens};

/// Measures what the layers and the verifier cost, beside their peers, and prints Markdown tables.
#[derive(Debug, Parser)]
struct Options {
    /// A run of seconds, to see that everything works; its figures are rough.
    #[arg(long)]
    quick: bool,
    /// Measures only what has this in its name: axum, actix, refusals, verify, threads, scale, sizes, origins,
    /// abuse, or a part of a full name such as axum/long-lived.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Also writes every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How many requests of ours are refused at once where they share what they wait for.
const TOGETHER: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build; its figures mean nothing. Use --release.");
    }
    let tokens = Tokens::make()?;
    let mut bench = Bench { options, tokens: &tokens, raw: Vec::new() };
    println!("{}\n", bench.conditions());

    // It chooses its cores itself, so it must run before this thread is kept on one.
    bench.threads()?;
    cpu::pin_to_the_measuring_core();
    bench.layers();
    bench.refusals();
    bench.verifies();
    bench.sizes();
    bench.origins()?;
    bench.abuse()?;
    bench.scale()?;

    if bench.raw.is_empty() {
        return Err("nothing has that in its name".into());
    }
    if let Some(file) = &bench.options.json {
        let all = json!({ "conditions": bench.conditions(), "measurements": bench.raw });
        fs::write(file, all.to_string())?;
    }
    Ok(())
}

struct Bench<'a> {
    options: Options,
    tokens: &'a Tokens,
    raw: Vec<Value>,
}

impl Bench<'_> {
    fn plan(&self, clock: CpuClock) -> Plan {
        if self.options.quick {
            Plan { rounds: 25, batch: Duration::from_micros(200), clock }
        } else {
            Plan { rounds: 400, batch: Duration::from_millis(2), clock }
        }
    }

    /// For what is compared with itself, where fewer rounds will do.
    fn short_plan(&self, clock: CpuClock) -> Plan {
        let plan = self.plan(clock);
        Plan { rounds: plan.rounds.min(100), ..plan }
    }

    fn conditions(&self) -> String {
        let Plan { rounds, batch, .. } = self.plan(CpuClock::Thread);
        format!(
            "{}, {} cores; {rounds} rounds of {batch:?} batches; intervals of 95 %.",
            cpu::model(),
            cpu::cores().len()
        )
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.options.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Runs the contenders against each other, and keeps the raw figures.
    fn sample(&mut self, name: &str, clock: CpuClock, contenders: Vec<Contender<'_>>) -> Samples {
        self.sample_by(self.plan(clock), name, contenders)
    }

    fn sample_by(&mut self, plan: Plan, name: &str, contenders: Vec<Contender<'_>>) -> Samples {
        let samples = sample(plan, contenders);
        self.raw.push(report::raw(name, plan, &samples));
        samples
    }

    fn layers(&mut self) {
        for (stack, of) in [("axum 0.8", Stack::Axum), ("actix-web 4", Stack::Actix)] {
            for case in self.tokens.accepted() {
                let name = format!("{}/{}", of.name(), case.name);
                if self.is_wanted(&name) {
                    let contenders = of.contenders(self.tokens, &case);
                    let samples = self.sample(&name, CpuClock::Thread, contenders);
                    println!("{}", report::layers(&format!("{stack}: {}", case.title), &samples));
                }
            }
        }
    }

    fn refusals(&mut self) {
        let stacks =
            [("axum 0.8", Stack::Axum), ("actix-web 4", Stack::Actix), ("no framework", Stack::Core)];
        for (stack, of) in stacks {
            for case in self.tokens.refused() {
                let name = format!("refusals/{}/{}", of.name(), case.name);
                if self.is_wanted(&name) {
                    let mut contenders = of.contenders(self.tokens, &case);
                    if of == Stack::Core && case.name == "forged" {
                        let together = "voicegain-auth-core, 64 at once";
                        contenders.push(core_stack::together(together, TOGETHER, &case));
                    }
                    let samples = self.sample(&name, CpuClock::Process, contenders);
                    println!("{}", report::refusals(&format!("{stack}, refused: {}", case.title), &samples));
                }
            }
        }
    }

    fn verifies(&mut self) {
        for case in self.tokens.accepted() {
            let name = format!("verify/{}", case.name);
            // The peer knows no API paths.
            if case.name != "api-limited" && self.is_wanted(&name) {
                let mut contenders = Stack::Core.contenders(self.tokens, &case);
                contenders.extend(floors::contenders(case.ours));
                let samples = self.sample(&name, CpuClock::Thread, contenders);
                let title = format!("verify: {}", case.title);
                println!("{}", report::verifies(&title, &samples, !case.expires));
            }
        }
    }

    fn sizes(&mut self) {
        type Series = for<'a> fn(&'a Tokens) -> Vec<Contender<'a>>;
        let series: [(&str, &str, Series); 2] = [
            ("sizes/one-member", "verify: a token padded with one member", sizes::one_member),
            ("sizes/many-members", "verify: a token padded with many members", sizes::many_members),
        ];
        for (name, title, contenders) in series {
            if self.is_wanted(name) {
                let plan = self.short_plan(CpuClock::Thread);
                let samples = self.sample_by(plan, name, contenders(self.tokens));
                println!("{}", report::against_the_first(title, &samples));
            }
        }
    }

    fn origins(&mut self) -> Result<(), Box<dyn Error>> {
        let name = "origins/allowed-origins";
        if self.is_wanted(name) {
            let contenders = origins::contenders(self.tokens)?;
            let samples = self.sample_by(self.short_plan(CpuClock::Thread), name, contenders);
            println!(
                "{}",
                report::against_the_first("verify: a long-lived token and `allowedOrigins`", &samples)
            );
        }
        Ok(())
    }

    fn abuse(&mut self) -> Result<(), Box<dyn Error>> {
        let mut measured = Vec::new();
        for kind in abuse::all(self.tokens)? {
            let name = format!("abuse/{}", kind.name);
            if self.is_wanted(&name) {
                let plan = self.short_plan(kind.clock());
                let samples = self.sample_by(plan, &name, kind.contenders());
                measured.push((kind, samples));
            }
        }
        if !measured.is_empty() {
            println!("{}", report::abuse(&measured));
        }
        Ok(())
    }

    fn scale(&mut self) -> Result<(), Box<dyn Error>> {
        let name = "scale";
        if !self.is_wanted(name) {
            return Ok(());
        }
        let wanted = SCALES.into_iter().filter(|scale| !self.options.quick || scale.count < 1_000_000);
        let filled: Vec<_> =
            wanted.map(|scale| Filled::make(scale, self.tokens)).collect::<Result<_, _>>()?;
        self.raw.push(report::raw_memory("scale/memory", &filled));
        println!("{}", report::memory("memory for each web config that is cached", &filled));
        let contenders = filled.iter().flat_map(Filled::contenders).collect();
        let plan = self.short_plan(CpuClock::Thread);
        let samples = self.sample_by(plan, "scale/verify", contenders);
        println!("{}", report::against_the_first("verify: many web configs in one cache", &samples));
        Ok(())
    }

    fn threads(&mut self) -> Result<(), Box<dyn Error>> {
        let name = "threads";
        if !self.is_wanted(name) {
            return Ok(());
        }
        let (rounds, span) =
            if self.options.quick { (5, Duration::from_millis(5)) } else { (100, Duration::from_millis(50)) };
        match threads::measure(self.tokens, rounds, span)? {
            Some(threads) => {
                self.raw.push(report::raw_threads(name, &threads));
                println!("{}", report::threads("verify: one long-lived token on two threads", &threads));
            }
            None => eprintln!("Two threads need two cores; they are left out."),
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stack {
    Axum,
    Actix,
    Core,
}

impl Stack {
    fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
            Self::Core => "core",
        }
    }

    fn contenders<'a>(self, tokens: &Tokens, case: &Case<'a>) -> Vec<Contender<'a>> {
        let expired = &tokens.expired[0];
        match self {
            Self::Axum => stack::contenders(case, expired, axum_stack::doors(case), axum_stack::prepare),
            Self::Actix => stack::contenders(case, expired, actix_stack::doors(case), actix_stack::prepare),
            Self::Core => {
                // Here the peer has a key for each web config, so it takes the same tokens as ours.
                let case = Case { peers: case.ours, ..*case };
                let hot = tokens.long_lived.iter().map(|sent| (sent, tokens::SECRET.as_bytes()));
                let many = tokens.rotating.iter().zip(tokens.secrets.iter().map(|secret| secret.expose()));
                let known = hot.chain(many.filter(|_| case.ours.len() > 1));
                stack::contenders(&case, expired, core_stack::doors(&case, known), core_stack::Head::of)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole bench but for the measuring: every contender that claims to verify refuses what it must.
    #[test]
    fn every_contender_does_what_it_claims() {
        let tokens = Tokens::make().expect("tokens");
        let count = |stack: Stack, case: &Case<'_>| stack.contenders(&tokens, case).len();
        for case in tokens.accepted() {
            assert_eq!(count(Stack::Axum, &case), 10, "{}", case.name);
            assert_eq!(count(Stack::Actix, &case), 5, "{}", case.name);
            if case.name != "api-limited" {
                assert_eq!(count(Stack::Core, &case), 2, "{}", case.name);
            }
        }
        for case in tokens.refused() {
            let peers = if case.name == "unknown" { [0, 0] } else { [5, 1] };
            assert_eq!(count(Stack::Axum, &case), 2 + peers[0], "{}", case.name);
            assert_eq!(count(Stack::Actix, &case), 1 + peers[1], "{}", case.name);
            assert_eq!(count(Stack::Core, &case), 2, "{}", case.name);
        }
    }
}
