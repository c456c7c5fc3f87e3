//! The config file: every long flag by its name, as TOML. What may stand in it is read off the flags themselves.

mod error;
mod setting;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::DeTable;

pub(crate) use self::error::ConfigFileError;
use self::error::Place;
pub(super) use self::setting::{Setting, settings};
use crate::private_file;

/// Which settings say the opposite of each other. One of a flag or the environment takes the other's place in the file.
pub(super) const OPPOSITES: [(&str, &str); 3] = [
    ("admin-token", "admin-token-file"),
    ("master-key-file", "plain-secrets"),
    ("plain-secrets", "seal-existing"),
];

/// Where the settings that come from the file stand, by their names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(BTreeMap<String, String>);

impl Places {
    /// File, line and column of a setting that comes from the file.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// What a config file says. `Debug` shows no value.
#[derive(Default)]
pub(super) struct ConfigFile {
    values: BTreeMap<String, Said>,
}

struct Said {
    values: Vec<String>,
    place: String,
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl ConfigFile {
    pub(super) fn read(path: &Path, settings: &[Setting]) -> Result<Self, ConfigFileError> {
        let unread = |source| ConfigFileError::Unread { path: path.to_owned(), source };
        let (text, privacy) = private_file::read(path).map_err(unread)?;
        let file = Self::parse(path, &text, settings)?;
        // After the rest, so that it is known whether there is anything to hide.
        match privacy {
            Err(exposure) if file.holds_a_secret() => {
                Err(ConfigFileError::Exposed { path: path.to_owned(), exposure })
            }
            _ => Ok(file),
        }
    }

    pub(super) fn parse(path: &Path, text: &str, settings: &[Setting]) -> Result<Self, ConfigFileError> {
        let place = |offset: usize| Place::of(path, text, offset);
        // Not the error's own words: they show the line, which may hold a secret.
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let problem = format!("this is no TOML: {}; write NAME = VALUE", error.message());
            ConfigFileError::wrong(vec![(place(offset), problem)])
        })?;
        let mut problems = Vec::new();
        let mut values = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let name = key.get_ref().as_ref();
            let Some(setting) = settings.iter().find(|setting| setting.name == name) else {
                problems.push((place(key.span().start), setting::unknown(name, settings)));
                continue;
            };
            let at = place(value.span().start);
            match setting.read(value.get_ref()) {
                Ok(read) => {
                    values.insert(name.to_owned(), Said { values: read, place: at.to_string() });
                }
                Err(problem) => problems.push((at, format!("{name}: {problem}"))),
            }
        }
        let file = Self { values };
        for (one, other) in OPPOSITES.iter().filter(|(one, other)| file.says(one) && file.says(other)) {
            let span = table.get_ref().get(*other).map_or(0, |value| value.span().start);
            let problem = format!("{other}: cannot stand beside `{one}`; leave one of them out");
            problems.push((place(span), problem));
        }
        if problems.is_empty() { Ok(file) } else { Err(ConfigFileError::wrong(problems)) }
    }

    /// Whether this is in it, and not switched off.
    fn says(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|said| said.values != ["false"])
    }

    /// Whether anybody who reads it could do something with it.
    fn holds_a_secret(&self) -> bool {
        self.says("admin-token") || self.value("store").is_some_and(has_password)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.values.first().map(String::as_str)
    }

    pub(super) fn values(&self, name: &str) -> Option<&[String]> {
        self.values.get(name).map(|said| said.values.as_slice())
    }

    /// Takes out what flags and the environment say otherwise: each by its name, and whether it is on.
    pub(super) fn yield_to(&mut self, given: &[(&str, bool)], master_keys: bool) {
        let is_given = |name: &str| given.iter().any(|(given, _)| *given == name);
        let is_on = |name: &str| given.contains(&(name, true));
        self.values.retain(|name, _| {
            let overruled = OPPOSITES
                .iter()
                .any(|(one, other)| (name == one && is_on(other)) || (name == other && is_on(one)));
            let keys = master_keys && (name == "master-key-file" || name == "plain-secrets");
            !(is_given(name) || overruled || keys)
        });
    }

    /// Where what is left stands.
    pub(super) fn places(&self) -> Places {
        Places(self.values.iter().map(|(name, said)| (name.clone(), said.place.clone())).collect())
    }
}

/// Whether a store's URL may have a password in it.
fn has_password(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    !url.starts_with("sqlite:") && (url.contains('@') || url.contains("password"))
}

#[cfg(test)]
mod tests;
