//! A request, written down as a text.

use voicegain_auth_core::{Edit, Field, RequestHead, Strip};

/// `METHOD /path?query` in the first line, then `name: value` lines. `:authority` is the target's; a line `:protocol` makes it an
/// extended CONNECT for a WebSocket. What is no line of this kind is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: Option<String>,
    pub is_connect: bool,
    pub fields: Vec<(Field, Vec<u8>)>,
}

const FIELDS: [Field; 9] = [
    Field::Authorization,
    Field::Origin,
    Field::Host,
    Field::Cookie,
    Field::Connection,
    Field::Upgrade,
    Field::SecWebSocketProtocol,
    Field::SecFetchSite,
    Field::AccessControlRequestMethod,
];

impl Head {
    pub fn read(text: &[u8]) -> Self {
        let mut lines = text.split(|byte| *byte == b'\n');
        let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let (method, target) = first.split_once(' ').unwrap_or(("GET", &first));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut head = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            authority: None,
            is_connect: false,
            fields: Vec::new(),
        };
        for line in lines {
            let colon = line.iter().skip(1).position(|byte| *byte == b':').map(|at| at + 1);
            let Some((name, value)) = colon.map(|at| (&line[..at], &line[at + 1..])) else { continue };
            // As a server's parser does.
            let value = value.trim_ascii();
            match &*name.to_ascii_lowercase() {
                b":authority" => head.authority = Some(String::from_utf8_lossy(value).into_owned()),
                b":protocol" => head.is_connect = true,
                name => {
                    let field = FIELDS.into_iter().find(|field| field.name().as_bytes() == name);
                    head.fields.extend(field.map(|field| (field, value.to_vec())));
                }
            }
        }
        head
    }

    /// The values of a field.
    pub fn all(&self, field: Field) -> Vec<&[u8]> {
        self.fields.iter().filter(|(other, _)| *other == field).map(|(_, value)| &value[..]).collect()
    }

    /// The comma-separated members of a field.
    pub fn list(&self, field: Field) -> Vec<&[u8]> {
        let values = self.all(field);
        let members = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
        members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()).collect()
    }

    /// What is passed on.
    pub fn stripped(&self, strip: &Strip) -> Self {
        let mut head = self.clone();
        for (field, edit) in [
            (Field::Authorization, &strip.authorization),
            (Field::SecWebSocketProtocol, &strip.protocols),
            (Field::Cookie, &strip.cookies),
        ] {
            if *edit != Edit::Keep {
                head.fields.retain(|(other, _)| *other != field);
            }
            if let Edit::Replace(text) = edit {
                head.fields.push((field, text.clone().into_bytes()));
            }
        }
        match &strip.query {
            Edit::Keep => {}
            Edit::Remove => head.query = None,
            Edit::Replace(text) => head.query = Some(text.clone()),
        }
        head
    }
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn target_authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    fn is_websocket_connect(&self) -> bool {
        self.is_connect
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(other, _)| *other == field).map(|(_, value)| &value[..])
    }
}
