//! One flag, as it is written in the config file.

use std::any::TypeId;
use std::error::Error as _;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};
use toml::de::DeValue;

/// How alike two names are that may be meant for each other.
const ALIKE: f64 = 0.8;

/// What can be said in the file.
pub(in crate::cli) struct Setting {
    /// What clap calls it.
    pub(in crate::cli) id: String,
    /// The flag's long name.
    pub(in crate::cli) name: String,
    kind: Kind,
    /// What stands for its value in the help.
    hint: String,
    /// Whether its value may hold a secret.
    pub(in crate::cli) is_secret: bool,
    parser: ValueParser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    Number,
    Text,
    Texts,
}

/// All flags of a command but the one that names the file.
pub(in crate::cli) fn settings(command: &Command) -> Vec<Setting> {
    command.get_arguments().filter(|arg| arg.get_id() != "config").filter_map(Setting::of).collect()
}

impl Setting {
    fn of(arg: &Arg) -> Option<Self> {
        let name = arg.get_long()?.to_owned();
        let parser = arg.get_value_parser();
        let kind = match arg.get_action() {
            ArgAction::Append => Kind::Texts,
            _ if parser.type_id() == TypeId::of::<bool>() => Kind::Switch,
            _ if parser.type_id() == TypeId::of::<u64>() => Kind::Number,
            _ => Kind::Text,
        };
        let hint =
            arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
        let (hint, is_secret) = (hint.to_owned(), arg.is_hide_env_values_set());
        Some(Self { id: arg.get_id().to_string(), name, kind, hint, is_secret, parser: parser.clone() })
    }

    /// The values, as they would be written behind the flag.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<Vec<String>, String> {
        let texts = match (self.kind, value) {
            (Kind::Switch, DeValue::Boolean(on)) => vec![on.to_string()],
            (Kind::Number, DeValue::Integer(number)) => {
                // TOML has other bases too.
                let read = i64::from_str_radix(number.as_str(), number.radix());
                vec![read.map_err(|_| "is too large a number".to_owned())?.to_string()]
            }
            (Kind::Text | Kind::Texts, DeValue::String(text)) => vec![text.as_ref().to_owned()],
            (Kind::Texts, DeValue::Array(items)) => {
                let text = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                    DeValue::String(text) => Ok(text.as_ref().to_owned()),
                    other => Err(self.other_type(other)),
                };
                items.iter().map(text).collect::<Result<_, _>>()?
            }
            (_, other) => return Err(self.other_type(other)),
        };
        texts.iter().try_for_each(|text| self.check(text))?;
        Ok(texts)
    }

    fn other_type(&self, value: &DeValue<'_>) -> String {
        let Self { name, hint, .. } = self;
        let wanted = match self.kind {
            Kind::Switch => "true or false, without quotes".to_owned(),
            Kind::Number => "a whole number, without quotes".to_owned(),
            Kind::Text => format!("a text in quotes, as in {name} = \"{hint}\""),
            Kind::Texts => format!("a list of texts, as in {name} = [\"{hint}\", \"{hint}\"]"),
        };
        format!("must be {wanted}, not {}", type_name(value))
    }

    /// Has the flag's own parser look at a value.
    fn check(&self, text: &str) -> Result<(), String> {
        let arg = Arg::new("value").long("value").value_parser(self.parser.clone()).allow_hyphen_values(true);
        let command = Command::new("setting").no_binary_name(true).disable_help_flag(true).arg(arg);
        let Err(error) = command.try_get_matches_from([format!("--value={text}")]) else { return Ok(()) };
        let hint = &self.hint;
        Err(match error.source() {
            _ if text.is_empty() => format!("is empty; write a {hint}, or leave the setting out"),
            Some(source) if !self.is_secret => format!("{source}; write a {hint}"),
            _ => format!("cannot be used; write a {hint}"),
        })
    }
}

/// What is said of a name that is no flag's.
pub(super) fn unknown(name: &str, settings: &[Setting]) -> String {
    let plain = name.trim_start_matches('-').replace('_', "-").to_ascii_lowercase();
    let alike = settings.iter().map(|setting| (strsim::jaro_winkler(&plain, &setting.name), &setting.name));
    let nearest = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    match nearest {
        Some((likeness, nearest)) if likeness > ALIKE => {
            format!("{shown}: there is no such setting; did you mean `{nearest}`?")
        }
        _ => format!(
            "{shown}: there is no such setting; settings are named as the flags that --help lists, and \
                      stand in no section"
        ),
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
