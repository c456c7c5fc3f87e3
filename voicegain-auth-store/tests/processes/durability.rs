use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use voicegain_auth_core::store::{ChangeFeed as _, SecretStore as _};

use super::{
    Killed, Ran, block_on, child, database, digest, load, new_config, open, secret, shared_id, text,
};

const ACKNOWLEDGED: u64 = 1_000;

/// A number below `limit`, not the same every time.
fn random(limit: u64) -> u64 {
    let bytes: [u8; 8] = secret().expose()[..8].try_into().unwrap();
    u64::from_le_bytes(bytes) % limit
}

/// What the child said before it was killed.
#[derive(Debug, Default)]
struct Said {
    tried: Option<String>,
    acknowledged: Option<(u64, String)>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("try", digest)) => self.tried = Some(digest.to_owned()),
            Some(("done", generation)) => {
                self.acknowledged = Some((generation.parse().unwrap(), self.tried.take().unwrap()));
            }
            _ => panic!("{line}"),
        }
    }
}

/// Every change that was acknowledged is there after `kill -9`, and none is there that was not begun.
pub(super) fn kill_9_loses_no_acknowledged_regenerate() -> Ran {
    let place = TempDir::new().unwrap();
    block_on(open(place.path()).create(new_config(shared_id()))).unwrap();
    let (mut acknowledged, mut kills, mut generation) = (0, 0, 1);
    while acknowledged < ACKNOWLEDGED || kills < 10 {
        let mut child = Killed(child("regenerate", place.path()).stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap());
        let mut said = Said::default();
        let mut line = String::new();
        // At least one, and then at any moment.
        for _ in 0..2 + random(250) {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the child ended by itself");
            said.hear(line.trim_end());
        }
        std::thread::sleep(Duration::from_micros(random(3_000)));
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        kills += 1;
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        // A line that was cut off was not said.
        let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().for_each(|line| said.hear(line));

        let stored = load(&open(place.path()));
        let found = (stored.config.generation.get(), digest(&stored.secret));
        let (last, last_digest) = said.acknowledged.clone().unwrap();
        acknowledged += last - generation;
        let expected = match said.tried {
            // It may have been committed without having been acknowledged.
            Some(tried) if found.0 == last + 1 => (last + 1, tried),
            _ => (last, last_digest),
        };
        assert_eq!(found, expected, "after kill {kills}, {acknowledged} acknowledged");
        generation = found.0;
    }
    println!("     {acknowledged} acknowledged, {kills} kills, none lost");
    Ok(())
}

/// A process that has ended leaves one file, which holds everything wherever it is copied.
pub(super) fn a_process_that_has_ended_leaves_one_file() -> Ran {
    for _ in 0..10 {
        let place = TempDir::new().unwrap();
        let said = text(&child("create", place.path()).output().unwrap());
        let left: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["store.db"]);
        let elsewhere = TempDir::new().unwrap();
        fs::copy(database(place.path()), database(elsewhere.path())).unwrap();
        let page = block_on(open(elsewhere.path()).living(None, 10)).unwrap();
        assert_eq!(page.living.len(), 1);
        assert!(said.starts_with(&page.living[0].id.to_string()), "{said}");
    }
    Ok(())
}
