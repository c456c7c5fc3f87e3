//! What was found, as tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::classify::{Class, Expected, JUDGES};
use crate::judge::{Difference, Verdict};
use crate::recipe::Made;

/// One token with what was foretold and what was said.
pub(crate) struct Judged<'m> {
    pub(crate) made: &'m Made,
    pub(crate) expected: [Expected; 6],
    pub(crate) verdicts: [Verdict; 6],
}

/// How many there are of a class.
#[derive(Default)]
struct Row {
    tokens: u64,
    /// Those that are in no other class, so that nothing else can be the reason.
    alone: u64,
    /// By judge: those that it and ours disagree about, and this class is why.
    differ: [u64; 6],
    /// By judge: whether a token shows what it makes of this class, because nothing else decides.
    shown: [bool; 6],
}

/// A verdict that was not foretold, on the smallest such token.
struct Unexpected {
    many: u64,
    /// What tokens are smaller by: kinds of damage, then length.
    size: (usize, usize),
    story: String,
}

pub(crate) struct Report {
    names: [String; 6],
    accepted: [u64; 6],
    differ: [u64; 6],
    damaged: u64,
    sound: u64,
    /// Errors that are not the library's own, by judge.
    foreign: [BTreeMap<String, u64>; 6],
    rows: BTreeMap<Class, Row>,
    unexpected: BTreeMap<String, Unexpected>,
}

impl Report {
    pub(crate) fn new(names: [String; 6]) -> Self {
        Self {
            names,
            accepted: [0; 6],
            differ: [0; 6],
            damaged: 0,
            sound: 0,
            foreign: Default::default(),
            rows: BTreeMap::new(),
            unexpected: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, judged: &Judged<'_>) {
        self.damaged += u64::from(judged.made.damages > 0);
        let all: BTreeSet<Class> =
            judged.expected.iter().flat_map(|expected| expected.classes.iter().copied()).collect();
        self.sound += u64::from(all.is_empty());
        for class in &all {
            let row = self.rows.entry(*class).or_default();
            row.tokens += 1;
            row.alone += u64::from(all.len() == 1);
        }
        let ours = &judged.verdicts[0];
        for (judge, verdict) in judged.verdicts.iter().enumerate() {
            let expected = &judged.expected[judge];
            self.accepted[judge] += u64::from(verdict.accepts());
            for class in &expected.classes {
                let decides = expected.minded.iter().all(|minded| minded == class);
                self.rows.entry(*class).or_default().shown[judge] |= decides;
            }
            if let Verdict::Refused { refused, foreign: true } = verdict {
                *self.foreign[judge].entry(refused.clone()).or_default() += 1;
            }
            if verdict.accepts() != ours.accepts() {
                self.differ[judge] += 1;
                self.attribute(judge, judged);
            }
            if verdict.accepts() != expected.accepts() {
                let should = if expected.accepts() { "accept" } else { "refuse" };
                self.find(format!("{}: should {should} and does not", JUDGES[judge]), judged);
            }
            match ours.differs_from(verdict) {
                Some(Difference::Expiry) if all.contains(&Class::ExpiryRounded) => {
                    self.rows.entry(Class::ExpiryRounded).or_default().differ[judge] += 1;
                }
                Some(what) => {
                    self.find(format!("{} understands another {what:?} than ours", JUDGES[judge]), judged)
                }
                None => {}
            }
        }
        if let Verdict::Refused { refused, .. } = ours
            && *refused != judged.expected[0].our_reason()
        {
            self.find(format!("ours: the reason should be {}", judged.expected[0].our_reason()), judged);
        }
    }

    /// Why this judge and ours disagree: what the one minds and the other does not.
    fn attribute(&mut self, judge: usize, judged: &Judged<'_>) {
        let (ours, theirs) = (&judged.expected[0], &judged.expected[judge]);
        let (refusing, accepting) = if ours.accepts() { (theirs, 0) } else { (ours, judge) };
        let decides = |class: &&Class| class.minded() >> accepting & 1 == 0;
        let space = Class::SpaceBefore;
        let why =
            if theirs.classes.contains(&space) { Some(&space) } else { refusing.minded.iter().find(decides) };
        if let Some(why) = why {
            self.rows.entry(*why).or_default().differ[judge] += 1;
        }
    }

    fn find(&mut self, what: String, judged: &Judged<'_>) {
        let size = (judged.made.damages, judged.made.token.len());
        let entry = self.unexpected.entry(what).or_insert_with(|| Unexpected {
            many: 0,
            size: (usize::MAX, usize::MAX),
            story: String::new(),
        });
        entry.many += 1;
        if size < entry.size {
            entry.size = size;
            entry.story = story(judged);
        }
    }

    /// Everything that nothing explains. A class that so many tokens never met would be a claim without a proof.
    pub(crate) fn findings(&self, tokens: usize) -> Vec<String> {
        let mut findings: Vec<String> = self
            .unexpected
            .iter()
            .map(|(what, found)| format!("{what}: {} tokens, the smallest:\n{}", found.many, found.story))
            .collect();
        if tokens >= 100_000 {
            let never = Class::ALL.iter().filter(|class| !self.rows.contains_key(class));
            findings.extend(never.map(|class| format!("no token was in the class: {}", class.name())));
        }
        findings
    }

    pub(crate) fn text(&self, tokens: usize, seed: u64, runtimes: [String; 2]) -> String {
        let mut text = String::from(INTRODUCTION);
        let _ = writeln!(
            text,
            "{tokens} tokens of seed {seed}, {} of them damaged; {} are in no class below. {} and {}.\n",
            self.damaged, self.sound, runtimes[0], runtimes[1]
        );
        text.push_str(
            "| judge | accepts | refuses | differs from ours | raises what is no error of its own |\n",
        );
        text.push_str("| --- | ---: | ---: | ---: | --- |\n");
        for (judge, name) in self.names.iter().enumerate() {
            let accepted = self.accepted[judge];
            let foreign: Vec<String> =
                self.foreign[judge].iter().map(|(error, many)| format!("`{error}` {many}")).collect();
            let refused = tokens as u64 - accepted;
            let _ = writeln!(
                text,
                "| {name} | {accepted} | {refused} | {} | {} |",
                self.differ[judge],
                foreign.join(", ")
            );
        }
        text.push_str(CLASSES);
        let _ = writeln!(text, "| class | tokens | alone | {} | settled by |", JUDGES.join(" | "));
        text.push_str("| --- | ---: | ---: | --- | --- | --- | --- | --- | --- | --- |\n");
        let none = Row::default();
        for class in Class::ALL {
            let row = self.rows.get(class).unwrap_or(&none);
            let _ = write!(text, "| {} | {} | {} |", class.name(), row.tokens, row.alone);
            for (judge, differ) in row.differ.iter().enumerate() {
                let says = if class.minded() >> judge & 1 == 1 { "refuses" } else { "accepts" };
                let says = if row.shown[judge] { says.to_owned() } else { format!("({says})") };
                let _ = match differ {
                    0 => write!(text, " {says} |"),
                    differ => write!(text, " {says} {differ} |"),
                };
            }
            let _ = writeln!(text, " {} |", class.settled());
        }
        text
    }
}

const INTRODUCTION: &str = "\
# Tokens judged by ours and by others

Written by `cargo run --release -p voicegain-auth-differential -- --report docs/differential.md`. All judges are asked the same:
HS256 alone, the one secret of the web config that the token was made for, `sub` required, `exp` and `nbf` against the same fixed
time without leeway, `aud` not looked at. All else is left as each library has it by default.

Half of the tokens are sound, in our form or in that of others; the other half was damaged in one or two places, and most of these
signed again with the right secret, so that what differs is the reading and not the MAC. From the token alone a classifier of its
own tells which classes it is in, and so what each judge must say. A verdict that is not what was foretold, another reason of ours
than rule V9 gives, or a token that two judges accept and understand in two ways fails the run.

";

const CLASSES: &str = "
Each class is a property that a token may have. `refuses` and `accepts` say what the judge makes of a token for this property; the
number behind counts the tokens that this judge and ours disagree about because of it, first come first counted. `alone` counts
the tokens that are in no other class. A token is accepted by a judge if it is in no class that this judge refuses. In brackets
stands what no token showed, as this judge refuses all that are in the class for something else as well. Rules (W1, V4 and so on)
are those of rules.md.

";

fn story(judged: &Judged<'_>) -> String {
    let Judged { made, expected, verdicts } = judged;
    let mut story = format!("  recipe: {}\n  token: {}\n", made.recipe.join("; "), made.token.escape_ascii());
    for (judge, name) in JUDGES.iter().enumerate() {
        let minded: Vec<&str> = expected[judge].minded.iter().map(|class| class.name()).collect();
        let foretold =
            if minded.is_empty() { "accept".to_owned() } else { format!("refuse: {}", minded.join(", ")) };
        let _ = writeln!(story, "  {name}: said {:?}; should {foretold}", verdicts[judge]);
    }
    story
}
