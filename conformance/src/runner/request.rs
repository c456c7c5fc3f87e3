//! The bytes of a request, from what a step says.

use super::{Run, random_secret};
use crate::table::Step;
use crate::template;
use crate::token::{self, Pantry};

/// The fields of an HTTP/2 request, pseudo-headers first.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request, ready to be sent.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) text: Vec<u8>,
    pub(super) frames: Option<(Fields, Vec<u8>)>,
    pub(super) after: Vec<u8>,
    pub(super) origins: Vec<String>,
    pub(super) asked: (String, String),
    pub(super) below_base: bool,
}

impl Run<'_> {
    pub(super) fn build(&mut self, step: &Step) -> Result<Request, String> {
        self.tokens.clear();
        let named = step.tokens.iter().map(|(name, recipe)| (name.as_str(), recipe));
        let recipes: Vec<_> = named.chain(step.token.as_ref().map(|recipe| ("", recipe))).collect();
        for (name, recipe) in recipes {
            let token = recipe.make(self)?;
            self.world.needles().token(&token);
            self.tokens.insert(name.to_owned(), token);
        }

        let method = self.text(step.method.as_deref().unwrap_or("GET"))?;
        let target = self.expand(step.target.as_deref().unwrap_or("${base}/echo"))?;
        let authority = if step.admin_port { "${admin_authority}" } else { "${authority}" };
        let host = self.expand(step.host.as_deref().unwrap_or(authority))?;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        if step.admin_port && !step.bare {
            lines.push(self.expand("Authorization: Bearer ${admin_token}")?);
        } else if step.token.is_some() && !step.bare {
            lines.push(self.expand("Authorization: Bearer ${token}")?);
        }
        if let Some(origin) = &step.origin {
            lines.push(self.expand(&format!("Origin: {origin}"))?);
        }
        if step.websocket {
            lines.extend(WEBSOCKET.map(|line| line.as_bytes().to_vec()));
        }
        for line in &step.headers {
            lines.push(self.expand(line)?);
        }
        let mut body = self.expand(step.raw_body.as_deref().unwrap_or_default())?;
        if let Some(text) = &step.body {
            body = self.expand(text)?;
            lines.push(format!("Content-Length: {}", body.len()).into_bytes());
        }
        let all = |name: &str| -> Vec<String> { lines.iter().filter_map(|line| value(line, name)).collect() };
        let origins = all("origin");
        let asked =
            (all("access-control-request-method").concat(), all("access-control-request-headers").join(","));
        let connection = !all("connection").is_empty();
        let below_base = below(&String::from_utf8_lossy(&target), self.world.variant.base());
        let after = self.expand(step.after.as_deref().unwrap_or_default())?;

        let version = step.http.as_deref().unwrap_or("1.1");
        let mut text = Vec::new();
        let mut frames = None;
        if let Some(raw) = &step.raw {
            text = self.expand(raw)?;
        } else if version == "2" {
            let mut headers = vec![(b":method".to_vec(), method.clone().into_bytes())];
            headers.push((b":scheme".to_vec(), b"http".to_vec()));
            if !step.no_host {
                headers.push((b":authority".to_vec(), host));
            }
            headers.push((b":path".to_vec(), target));
            for line in &lines {
                let colon =
                    line.iter().position(|byte| *byte == b':').ok_or("a header line without a colon")?;
                let name = line[..colon].to_ascii_lowercase();
                headers.push((name, line[colon + 1..].trim_ascii_start().to_vec()));
            }
            for (name, value) in &headers {
                text.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
            }
            frames = Some((headers, body));
        } else {
            text.extend([method.as_bytes(), b" ", &target, b" HTTP/", version.as_bytes(), b"\r\n"].concat());
            if !step.no_host {
                text.extend([b"Host: ", host.as_slice(), b"\r\n"].concat());
            }
            for line in &lines {
                text.extend([line.as_slice(), b"\r\n"].concat());
            }
            if !connection {
                text.extend_from_slice(b"Connection: close\r\n");
            }
            text.extend_from_slice(b"\r\n");
            text.extend(body);
        }
        Ok(Request { method, text, frames, after, origins, asked, below_base })
    }

    pub(super) fn text(&self, text: &str) -> Result<String, String> {
        String::from_utf8(self.expand(text)?).map_err(|_| format!("{text:?} is no text"))
    }

    fn lookup(&self, name: &str) -> Option<Vec<u8>> {
        let running = &self.world.running;
        let text = match name {
            "base" => self.world.variant.base().to_owned(),
            "api_url" => self.world.variant.api_url().to_owned(),
            "authority" => running.addr.to_string(),
            "host" => running.addr.ip().to_string(),
            "port" => running.addr.port().to_string(),
            "admin_authority" => running.admin_port.as_ref()?.0.to_string(),
            "admin_token" => running.admin_port.as_ref()?.1.clone(),
            "key" => self.key.clone(),
            "token" => return self.tokens.get("").cloned(),
            _ => {
                if let Some(name) = name.strip_prefix("token.") {
                    return self.tokens.get(name).cloned();
                }
                if let Some(name) = name.strip_prefix("saved.") {
                    return self.saved.get(name).map(|response| response.body.clone());
                }
                if let Some(length) = name.strip_prefix("random.") {
                    let secret = random_secret(length.parse().ok()?);
                    self.world.needles().secret(&secret);
                    return Some(token::encode(&secret).into_bytes());
                }
                let (config, what) = name.rsplit_once('.')?;
                let config = self.config(config).ok()?;
                match what {
                    "id" => config.id.clone(),
                    "ID" => config.id.to_ascii_uppercase(),
                    "bare" => config.id.replace('-', ""),
                    "account" => config.account.clone(),
                    "context" => config.context.clone(),
                    "secret" => token::encode(config.issue(None)?.secret.as_deref()?),
                    _ => return None,
                }
            }
        };
        Some(text.into_bytes())
    }
}

impl Pantry for Run<'_> {
    fn expand(&self, text: &str) -> Result<Vec<u8>, String> {
        template::expand(text, &|name| self.lookup(name))
    }

    fn id(&self, config: &str) -> Result<String, String> {
        Ok(self.config(config)?.id.clone())
    }

    fn secret(&self, config: &str, generation: Option<u64>) -> Result<Vec<u8>, String> {
        let issue = self.config(config)?.issue(generation).ok_or("no such generation")?;
        issue.secret.clone().ok_or_else(|| format!("the runner does not know the secret of {config:?}"))
    }

    fn issued(&self, config: &str, generation: Option<u64>) -> Result<String, String> {
        let issue = self.config(config)?.issue(generation).ok_or("no such generation")?;
        Ok(issue.jwt.clone())
    }
}

const WEBSOCKET: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The value of a header line, if it has this name.
fn value(line: &[u8], name: &str) -> Option<String> {
    let line = String::from_utf8_lossy(line);
    let (have, value) = line.split_once(':')?;
    have.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
}

/// Whether a target is literally below the base path.
fn below(target: &str, base: &str) -> bool {
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("", |at| &rest[at..]),
        _ => target,
    };
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

pub(super) fn show(request: &Request) -> String {
    let text: String = String::from_utf8_lossy(&request.text).chars().take(3000).collect();
    text.replace("\r\n", "\n")
        .chars()
        .flat_map(|c| if c == '\n' { vec![c] } else { c.escape_debug().collect() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_knows_its_border() {
        for (target, want) in [
            ("/v1", true),
            ("/v1/x", true),
            ("/v1?x", true),
            ("http://h/v1/x", true),
            ("/v1x", false),
            ("/x?u=http://h/v1/x", false),
            ("http://h", false),
        ] {
            assert_eq!(below(target, "/v1"), want, "{target}");
        }
    }
}
