//! The web configs of a run: what is known of them from answers alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use simulation::history::{SecretName, Token};
use voicegain_auth_core::WebConfigId;

use crate::dice::Dice;

/// A token, and the name of the secret that signs it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The token itself.
    pub jwt: String,
    /// What the history calls it.
    pub token: Token,
}

/// One web config.
#[derive(Debug)]
pub struct Config {
    /// Its id.
    pub id: WebConfigId,
    /// Its account.
    pub account: String,
    /// Its context.
    pub context: String,
    /// Its newest token, as far as is known.
    pub current: Option<Held>,
    /// Those before it, oldest first.
    pub older: Vec<Held>,
    /// A short-lived one, and the secret it was minted with.
    pub minted: Vec<Held>,
    /// Whether somebody is changing it.
    pub busy: bool,
    /// Whether it was deleted or ended.
    pub ended: bool,
}

impl Config {
    /// Every token that is known of it.
    pub fn tokens(&self) -> impl Iterator<Item = &Held> {
        self.current.iter().chain(&self.older).chain(&self.minted)
    }

    /// Its newest token is now this one, or not known.
    pub fn renew(&mut self, held: Option<Held>) {
        if let Some(old) = self.current.take() {
            self.older.push(old);
        }
        if self.older.len() > 4 {
            self.older.remove(0);
        }
        self.current = held;
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Configs(Mutex<Vec<Config>>);

impl Configs {
    /// To look at, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Vec<Config>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one to change it, if there is one that nobody changes.
    pub fn take(&self, dice: &mut Dice, wanted: impl Fn(&Config) -> bool) -> Option<usize> {
        let mut configs = self.lock();
        let free: Vec<_> = configs
            .iter()
            .enumerate()
            .filter(|(_, config)| !config.busy && wanted(config))
            .map(|(index, _)| index)
            .collect();
        let index = *dice.pick(&free)?;
        configs[index].busy = true;
        Some(index)
    }
}

/// The secret of tokens that nobody ever made.
pub const FORGED: SecretName = 0;
