//! The file: JSON, one document a line. A header, then each web config, then a line that says whether all of it is there.

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use voicegain_auth_core::{Generation, Issuer, RestoredWebConfig, Secret, WebConfigId};
use voicegain_auth_store::sealing::MasterKeys;
use zeroize::{Zeroize as _, Zeroizing};

use super::record::{Contents, Record, hex};
use crate::store::chain;

const FORMAT: &str = "voicegain-auth web configs";
const VERSION: u64 = 1;

/// What secrets are sealed for, and what the end of the file is.
const SECRET: &str = "secret of an exported web config";
const END: &str = "end of an export of web configs";

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Header {
    format: String,
    version: u64,
    /// In seconds since the Unix epoch.
    pub(super) exported_at: u64,
    /// What has written it, with its version.
    pub(super) program: String,
    /// The deployment's, which stands in every long-lived token.
    pub(super) api_url: String,
    count: usize,
    secrets: Secrets,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Secrets {
    Plain,
    Sealed,
}

/// The part of the first line that every version has.
#[derive(Deserialize)]
struct Form {
    format: String,
    version: u64,
}

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trailer {
    count: usize,
    /// Of all lines before this one, with their ends.
    sha256: String,
    /// Of what they say, for a comparison with what a store holds.
    contents_sha256: String,
    /// That digest and count, sealed, so that nobody without the key makes a file that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) header: Header,
    pub(super) web_configs: BTreeMap<WebConfigId, RestoredWebConfig>,
    pub(super) contents: String,
}

impl Header {
    pub(super) fn new(exported_at: u64, program: String, api_url: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            exported_at,
            program,
            api_url: api_url.to_owned(),
            count: 0,
            secrets: Secrets::Plain,
            key_id: None,
        }
    }
}

/// Writes the file, its secrets sealed if there are keys, and answers the digest of its contents. The web configs are to be
/// in the order of their ids.
pub(super) fn write(
    output: &mut dyn Write,
    mut header: Header,
    configs: &[RestoredWebConfig],
    keys: Option<&MasterKeys>,
) -> io::Result<String> {
    header.count = configs.len();
    if let Some(keys) = keys {
        header.secrets = Secrets::Sealed;
        header.key_id = keys.key_ids().into_iter().next();
    }
    let mut digest = Sha256::new();
    let mut put = |output: &mut dyn Write, line: Zeroizing<Vec<u8>>| {
        digest.update(line.as_slice());
        digest.update(b"\n");
        output.write_all(&line)?;
        output.write_all(b"\n")
    };
    put(output, json(&header)?)?;
    for config in configs {
        let secret = match keys {
            None => BASE64_STANDARD.encode(config.secret.expose()),
            Some(keys) => {
                let sealed = keys.seal_apart(SECRET, &bound(config), config.secret.expose());
                BASE64_STANDARD.encode(sealed.map_err(io::Error::other)?.1)
            }
        };
        let mut record = Record::of(config, secret);
        let line = json(&record);
        record.secret.zeroize();
        put(output, line?)?;
    }
    let digest = digest.finalize();
    let contents = Contents::of(configs);
    let seal = match keys {
        None => None,
        Some(keys) => {
            let (_, sealed) =
                keys.seal_apart(END, &end(&digest, configs.len()), &[]).map_err(io::Error::other)?;
            Some(BASE64_STANDARD.encode(sealed))
        }
    };
    let trailer =
        Trailer { count: configs.len(), sha256: hex(&digest), contents_sha256: contents.clone(), seal };
    output.write_all(&json(&trailer)?)?;
    output.write_all(b"\n")?;
    Ok(contents)
}

/// With room for what it becomes, so that growing leaves no copy of a secret behind.
fn json(value: &impl Serialize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(4 * 1024));
    serde_json::to_writer(&mut *line, value)?;
    Ok(line)
}

/// What a sealed secret is bound to besides what it is.
fn bound(config: &RestoredWebConfig) -> [Box<[u8]>; 4] {
    [
        config.id.as_bytes().as_slice().into(),
        config.account_id.as_str().as_bytes().into(),
        config.context_id.as_str().as_bytes().into(),
        config.generation.get().to_be_bytes().as_slice().into(),
    ]
}

fn end(digest: &[u8], count: usize) -> [Box<[u8]>; 2] {
    [digest.into(), count.to_string().into_bytes().into()]
}

/// Reads a file, and checks all of it before anything is believed of it. What it says is wrong shows nothing of what stands
/// there.
pub(super) fn read(text: &[u8], keys: Option<&MasterKeys>) -> Result<Document, String> {
    const NOT_WHOLE: &str =
        "it is not whole: its last line, which says that it is, is missing or damaged. Export again";
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let form: Form = parsed(first, 1).map_err(|_| not_ours())?;
    if form.format != FORMAT {
        return Err(not_ours());
    }
    if form.version != VERSION {
        let version = form.version;
        return Err(format!(
            "it has version {version}, and this program knows version {VERSION} only: use the newer program"
        ));
    }
    let header: Header = parsed(first, 1)?;
    let body = text.strip_suffix(b"\n").ok_or(NOT_WHOLE)?;
    let last_at = body.iter().rposition(|byte| *byte == b'\n').ok_or(NOT_WHOLE)? + 1;
    let (before, last) = body.split_at_checked(last_at).ok_or(NOT_WHOLE)?;
    let trailer: Trailer = parsed(last, 0).map_err(|_| NOT_WHOLE)?;
    let digest = Sha256::digest(before);
    if trailer.sha256 != hex(&digest) {
        return Err("it has been changed or damaged: its lines do not have the digest that its last one says. Export again"
            .to_owned());
    }
    let opening = opening(&header, &trailer, &digest, keys)?;
    let lines: Vec<_> = before.split(|byte| *byte == b'\n').skip(1).collect();
    // After the last line's end comes one more, which is empty.
    let Some((&[], lines)) = lines.split_last() else { return Err(NOT_WHOLE.to_owned()) };
    if [trailer.count, header.count] != [lines.len(); 2] {
        let (says, there) = (header.count, lines.len());
        return Err(format!("it says that it holds {says} web configs, and holds {there}. Export again"));
    }
    let mut numbers = BTreeMap::new();
    let mut web_configs = BTreeMap::new();
    for (number, line) in (2..).zip(lines) {
        let config = restored(line, number, opening)?;
        if let Some(before) = numbers.insert(config.id, number) {
            return Err(format!(
                "line {number}: the web config {} stands on line {before} already",
                config.id
            ));
        }
        web_configs.insert(config.id, config);
    }
    let contents = Contents::of(web_configs.values());
    if contents != trailer.contents_sha256 {
        return Err(
            "its last line has another digest of its contents than they have. Export again".to_owned()
        );
    }
    Ok(Document { header, web_configs, contents })
}

/// The keys that open its secrets, and the id of the one that does, if they are sealed.
fn opening<'a>(
    header: &'a Header,
    trailer: &Trailer,
    digest: &[u8],
    keys: Option<&'a MasterKeys>,
) -> Result<Option<(&'a MasterKeys, &'a str)>, String> {
    match (header.secrets, &header.key_id, &trailer.seal, keys) {
        (Secrets::Plain, None, None, None) => Ok(None),
        (Secrets::Plain, None, None, Some(_)) => {
            Err("its secrets are plain, so that there is nothing to open with --key-file; leave it out, if you trust \
                 whoever had the file"
                .to_owned())
        }
        (Secrets::Sealed, Some(key_id), Some(_), None) => {
            Err(format!("its secrets are sealed under the key {key_id}: give the key file of the export with --key-file"))
        }
        (Secrets::Sealed, Some(key_id), Some(seal), Some(keys)) => {
            let seal = decoded(seal).ok_or_else(not_ours)?;
            let opened = keys.open_apart(key_id, END, &end(digest, trailer.count), &seal);
            opened.map_err(|error| format!("--key-file: {}", chain(&error)))?;
            Ok(Some((keys, key_id)))
        }
        _ => Err(not_ours()),
    }
}

fn not_ours() -> String {
    "it is no export of web configs: name a file that `web-config export` has written".to_owned()
}

/// The reason shows where, and nothing of what stands there.
fn parsed<T: DeserializeOwned>(line: &[u8], number: usize) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| {
        format!(
            "line {number}, column {}: this is not what version {VERSION} of the format has there",
            error.column()
        )
    })
}

fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    // As long as it can get, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    BASE64_STANDARD.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

fn restored(
    line: &[u8],
    number: usize,
    opening: Option<(&MasterKeys, &str)>,
) -> Result<RestoredWebConfig, String> {
    let mut record: Record = parsed(line, number)?;
    let bytes = decoded(&record.secret);
    record.secret.zeroize();
    let wrong = |field: &str, problem: &dyn std::fmt::Display| format!("line {number}: {field}: {problem}");
    let bytes = bytes.ok_or_else(|| wrong("secret", &"is not base64"))?;
    let mut config = RestoredWebConfig {
        id: record.id.parse().map_err(|error| wrong("id", &error))?,
        account_id: record.account_id.parse().map_err(|error| wrong("accountId", &error))?,
        context_id: record.context_id.parse().map_err(|error| wrong("contextId", &error))?,
        name: record.name,
        allowed_origins: record.allowed_origins,
        // Until it is opened, which takes the other fields.
        secret: Secret::from_bytes(&[0; Secret::MIN_LEN]).map_err(|error| wrong("secret", &error))?,
        generation: Generation::new(record.generation),
        created_at: record.created_at,
        secret_created_at: record.secret_created_at,
        revive: false,
    };
    let plain = match opening {
        None => bytes,
        Some((keys, key_id)) => keys
            .open_apart(key_id, SECRET, &bound(&config), &bytes)
            .map_err(|error| wrong("secret", &error))?,
    };
    config.secret = Secret::from_bytes(&plain).map_err(|error| wrong("secret", &error))?;
    Issuer::check_restored(&config).map_err(|error| format!("line {number}: {error}"))?;
    Ok(config)
}
