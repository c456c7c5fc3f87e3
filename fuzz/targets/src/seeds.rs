//! What the corpus begins with: the case table of the rules, and what has gone wrong elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Value;

use crate::targets::token::{key, of_a_page};
use crate::world::{API_URL, IDS};
use reference::mac;

mod database;
mod lists;

pub use database::database;

/// The seeds of a target.
pub fn of(target: &str) -> BTreeSet<Vec<u8>> {
    let table = case_table();
    let texts = |fits: &dyn Fn(&str, &str) -> bool| -> Vec<&str> {
        table.iter().filter(|(name, text)| fits(name, text)).map(|(_, text)| text.as_str()).collect()
    };
    let headers = texts(&|name, text| name == "header" && text.starts_with('{'));
    let payloads = texts(&|name, text| name != "header" && text.starts_with('{'));
    let origins = texts(&|name, text| name == "origin" || text.contains("://"));
    let patterns =
        texts(&|name, text| ["aud", "pattern"].contains(&name) || (text.contains('*') && text.len() < 60));
    let paths = texts(&|_, text| text.starts_with('/'));
    let lines = texts(&|name, text| name == "headers" && text.contains(": "));
    let queries = texts(&|_, text| text.contains("aud=") || text.contains("expInSec"));

    let mut seeds = Vec::new();
    match target {
        "token" => {
            seeds.extend(of_a_page());
            seeds.extend(lists::TOKENS.iter().map(|text| text.to_vec()));
            let tokens = lists::PAYLOADS.iter().copied().chain(payloads).map(|it| (mac::HEADER, it));
            let others =
                lists::HEADERS.iter().copied().chain(headers).map(|it| (it.as_bytes(), lists::PAYLOADS[0]));
            for (header, payload) in tokens.chain(others) {
                seeds.push(mac::sign(&key(), header, payload.as_bytes()));
            }
            // A signature stands 43 characters from the end, behind what must be a dot.
            let mut undotted = mac::sign(&key(), mac::HEADER, lists::PAYLOADS[0].as_bytes());
            let dot = undotted.len() - 44;
            undotted[dot] = b'~';
            seeds.push(undotted);
        }
        "claims" => {
            for header in lists::HEADERS.iter().copied().chain(headers) {
                seeds.push(
                    format!("{header}\0{}\0}}\0", &lists::PAYLOADS[0][..lists::PAYLOADS[0].len() - 1]).into(),
                );
            }
            for payload in lists::PAYLOADS.iter().copied().chain(payloads) {
                let cut = payload
                    .char_indices()
                    .map(|(at, _)| at)
                    .nth(payload.chars().count() * 4 / 5)
                    .unwrap_or(0);
                let (beginning, end) = payload.split_at(cut);
                seeds.push(format!("\0{beginning}\0{end}\0{end}").into());
                seeds.push(format!("\0{beginning}\0{end}\x000}}").into());
            }
        }
        "origin" => {
            for origin in lists::ORIGINS.iter().copied().chain(origins) {
                let authority = origin.split("://").last().unwrap_or_default();
                seeds.push(format!("{origin}\0{authority}").into());
            }
        }
        "pattern" => {
            for pattern in lists::PATTERNS.iter().copied().chain(patterns).chain(origins) {
                let host = pattern.replace("*.", "a.b.").replace(":*", ":8080");
                let origin = if host.contains("://") { host } else { format!("https://{host}") };
                seeds.push(format!("{pattern}\0{origin}").into());
            }
        }
        "path" => {
            for path in lists::PATHS.iter().copied().chain(paths) {
                seeds.push(format!("/v1\0{path}\0/v1{path}/below").into());
                seeds.push(format!("/\0/data-prep\0{path}").into());
                seeds.push(format!("{path}\0/data-prep\0{path}/data-prep").into());
            }
        }
        "credentials" => {
            for request in lists::REQUESTS {
                seeds.push(format!("?{request}").into());
            }
            for line in lines {
                seeds.push(
                    format!("?GET /x?a=1&access_token=t\nupgrade: websocket\nconnection: upgrade\n{line}")
                        .into(),
                );
                seeds.push(format!("9GET /x\n{line}\ncookie: vg=t").into());
            }
        }
        "admin" => {
            seeds.extend(lists::ADMIN_REQUESTS.iter().map(|text| text.replace("$ID", IDS[0]).into()));
            for pattern in lists::PATTERNS.iter().copied().chain(patterns) {
                let body = serde_json::json!({ "allowedOrigins": [pattern], "name": pattern });
                seeds.push(format!("PATCH /api/web-configs/{}\n{body}", IDS[0]).into());
            }
        }
        "mint" => {
            seeds.extend(lists::MINT_QUERIES.iter().map(|text| text.as_bytes().to_vec()));
            for query in queries {
                seeds.push(query.rsplit('?').next().unwrap_or_default().into());
            }
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            for pattern in lists::PATTERNS.iter().copied().chain(patterns) {
                seeds.push(format!("aud={}", encode(pattern)).into());
            }
            for path in lists::PATHS.iter().copied().chain(paths) {
                seeds.push(format!("aud=*&api={}", encode(path)).into());
            }
        }
        "sealing" => seeds.extend(lists::sealed()),
        "sqlite_row" => seeds.extend(lists::rows()),
        "sqlite_file" => seeds.extend(database::damages()),
        "decision" => {
            for request in lists::REQUESTS {
                let request =
                    request.replace("=t", "=$T").replace(".t", ".$T").replace("Bearer t", "Bearer $T");
                seeds.push(decision("?1000", "", "", "", &long_lived(0), &request));
                seeds.push(decision("?1000", "", "", "", &page_token("*", ""), &request));
            }
            for header in lists::HEADERS.iter().copied().chain(headers) {
                seeds.push(decision("11", "", "", header, &page_token("*", ""), lists::PLAIN));
            }
            for payload in lists::PAYLOADS.iter().copied().chain(payloads) {
                seeds.push(decision("11", "", "", "", payload, lists::PLAIN));
            }
            for origin in lists::ORIGINS.iter().copied().chain(origins) {
                let request = format!("{}\norigin: {origin}\nhost: api.example.net", lists::PLAIN);
                seeds.push(decision("11", "", "", "", &page_token(origin, ""), &request));
                seeds.push(decision("11", "", "12", "", &long_lived(1), &request));
                seeds.push(decision("11", "", "31", "", &long_lived(3), &request));
            }
            for path in lists::PATHS.iter().copied().chain(paths) {
                let request = format!("GET /v1{path}/below\nauthorization: Bearer $T");
                seeds.push(decision("11", "", "", "", &page_token("*", path), &request));
            }
            for key in ["01", "02", "11", "21", "41", "51", "", "secret"] {
                seeds.push(decision("11", "", key, "", &long_lived(0), lists::PLAIN));
                seeds.push(decision("11", "1800000300000", key, "", &page_token("*", ""), lists::PLAIN));
            }
        }
        other => panic!("no target: {other}"),
    }
    seeds.into_iter().collect()
}

fn decision(settings: &str, now: &str, key: &str, header: &str, payload: &str, request: &str) -> Vec<u8> {
    format!("{settings}\0{now}\0{key}\0{header}\0{payload}\0\0{request}").into()
}

fn long_lived(config: usize) -> String {
    format!(r#"{{"aud":"{API_URL}","sub":"{}"}}"#, IDS[config])
}

fn page_token(aud: &str, api: &str) -> String {
    let aud = serde_json::Value::from(aud);
    let api = if api.is_empty() { String::new() } else { format!("api:{api}:") };
    format!(r#"{{"aud":{aud},"sub":"{api}{}","exp":1800000300}}"#, IDS[0])
}

/// Every text of the case table, and what it is a member of.
fn case_table() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/cases");
    let mut texts = Vec::new();
    let mut files: Vec<_> =
        folder.read_dir().expect("the case table").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        collect("", &Value::Table(text.parse().expect("TOML")), &mut texts);
    }
    texts
}

fn collect(name: &str, value: &Value, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => texts.push((name.to_owned(), expanded(text))),
        Value::Array(values) => values.iter().for_each(|value| collect(name, value, texts)),
        Value::Table(members) => members.iter().for_each(|(name, value)| collect(name, value, texts)),
        _ => {}
    }
}

/// The text with what the table's placeholders stand for here.
fn expanded(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        expanded.push_str(before);
        expanded.push_str(match name {
            "base" => "/v1",
            "token" => "t",
            name if name.contains("now") => "1800000000",
            name if name.ends_with("id") || name == "alpha" => IDS[0],
            _ => "x",
        });
        rest = behind;
    }
    expanded.push_str(rest);
    expanded
}
