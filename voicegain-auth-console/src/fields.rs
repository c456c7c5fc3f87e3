//! A JSON object, read strictly: no field unknown, repeated or of a wrong type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::refusal::Refusal;

/// The fields of a body, each there once and known.
pub(crate) struct Fields(BTreeMap<String, Value>);

/// What came, before it is known to be right.
struct Raw {
    fields: BTreeMap<String, Value>,
    repeated: Option<String>,
}

impl Fields {
    /// Reads a body that may have these fields and no others. An empty body is an empty object.
    pub(crate) fn read(body: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let raw = if body.trim_ascii().is_empty() {
            Raw { fields: BTreeMap::new(), repeated: None }
        } else {
            // What the parser says about a wrong body could quote from it.
            serde_json::from_slice(body).map_err(|_| {
                Refusal::invalid_parameter("The body is not one JSON object; send one.".to_owned())
            })?
        };
        let fields = Self(raw.fields);
        if let Some(name) = raw.repeated {
            return Err(Refusal::field(&shown(&name), "must be given once only"));
        }
        if let Some(name) = fields.0.keys().find(|name| !known.contains(&name.as_str())) {
            let known = if known.is_empty() {
                "leave it out".to_owned()
            } else {
                format!("use {}", known.join(", "))
            };
            return Err(Refusal::field(&shown(name), &format!("is not known here; {known}")));
        }
        Ok(fields)
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::field(name, "must be a string")),
        }
    }

    pub(crate) fn required_text(&mut self, name: &'static str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| Refusal::field(name, "is missing"))
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Refusal::field(name, "must be true or false")),
        }
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let wrong = || Refusal::field(name, "must be an array of strings");
        let text = |value| match value {
            Value::String(text) => Ok(text),
            _ => Err(wrong()),
        };
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::Array(values)) => values.into_iter().map(text).collect::<Result<_, _>>().map(Some),
            Some(_) => Err(wrong()),
        }
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        // A refused import leaves its secret here.
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

/// A name from a stranger, short enough to be shown, and without markup, bidi marks and the like.
pub(crate) fn shown(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic() && !"<>&\"'`".contains(*c);
    name.chars().take(40).filter(plain).collect()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw { fields: BTreeMap::new(), repeated: None };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if raw.fields.insert(name.clone(), value).is_some() {
                        raw.repeated.get_or_insert(name);
                    }
                }
                Ok(raw)
            }
        }

        deserializer.deserialize_map(Object)
    }
}
