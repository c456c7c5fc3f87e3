//! Clients that are given up on in the end: watched while everything else goes on.

mod client;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::subject::Subject;

use super::Outcome;
use client::{Client, PATIENT_LIMIT, clients};

/// One connection of each kind.
#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    clients: JoinSet<Watched>,
    /// Those that were left out: they take minutes.
    left_out: Vec<&'static str>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    limit: Duration,
    /// After how long it was closed.
    closed: Result<Option<Duration>, String>,
}

impl Watch {
    /// Begins, with those too that take minutes if it is to be `full`.
    #[must_use]
    pub fn start(subject: &Subject, full: bool) -> Self {
        let begun = Instant::now();
        let (chosen, left_out): (Vec<Client>, Vec<Client>) =
            clients(&subject.tokens).into_iter().partition(|client| full || client.limit < PATIENT_LIMIT);
        let mut watched = JoinSet::new();
        let addr = subject.addr;
        for client in chosen {
            watched.spawn(async move {
                let closed = client.until_closed(addr, begun + client.limit).await;
                let closed = closed.map(|closed| closed.then(|| begun.elapsed()));
                Watched { name: client.name, limit: client.limit, closed }
            });
        }
        Self { begun, clients: watched, left_out: left_out.into_iter().map(|client| client.name).collect() }
    }

    /// Waits for the last of them.
    pub async fn end(mut self) -> Outcome {
        let mut all = Vec::new();
        while let Some(Ok(one)) = self.clients.join_next().await {
            all.push(one);
        }
        let sent = format!("one connection each, watched for {:.0} s", self.begun.elapsed().as_secs_f64());
        all.sort_by_key(|one| one.name);
        let mut seen: Vec<String> = all.iter().map(Watched::describe).collect();
        seen.extend(self.left_out.iter().map(|name| format!("{name}: with --full alone")));
        let findings = all.iter().filter_map(Watched::finding).collect();
        Outcome {
            sent,
            client: seen.join("; "),
            upstream: "nothing".to_owned(),
            findings,
            ..Outcome::default()
        }
    }
}

impl Watched {
    fn describe(&self) -> String {
        match &self.closed {
            Ok(Some(after)) => format!("{}: closed after {:.0} s", self.name, after.as_secs_f64()),
            Ok(None) => format!("{}: open", self.name),
            Err(problem) => format!("{}: {problem}", self.name),
        }
    }

    fn finding(&self) -> Option<String> {
        match &self.closed {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("{}: still open after {:?}", self.name, self.limit)),
            Err(problem) => Some(format!("{}: {problem}", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_given_up_on_is_a_finding() {
        let found = |closed| Watched { name: "a", limit: Duration::from_secs(7), closed }.finding();
        assert_eq!(found(Ok(Some(Duration::from_secs(6)))), None);
        assert_eq!(found(Ok(None)).unwrap(), "a: still open after 7s");
        assert!(found(Err("no connection".to_owned())).is_some());
    }
}
