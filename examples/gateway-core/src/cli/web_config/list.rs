//! What there is to see of web configs.

use std::io::{self, Write as _};
use std::time::SystemTime;

use serde_json::{Value, json};
use voicegain_auth_core::store::ListQuery;
use voicegain_auth_core::{Issuer, WebConfig, WebConfigId};

use super::{List, problem};
use crate::cli::terminal::{Progress, age, plain, table};

/// How many are read at a time.
const PAGE: usize = 1_000;

pub(super) async fn list(issuer: &Issuer, list: &List) -> Result<(), String> {
    let mut query = ListQuery {
        account_id: list.account.clone(),
        context_id: list.context.clone(),
        after: None,
        limit: PAGE,
    };
    let mut progress = Progress::new("web configs read so far");
    let mut configs = Vec::new();
    loop {
        let page = issuer.list(query.clone()).await.map_err(|error| problem(&error))?;
        let full = page.len() == PAGE;
        query.after = page.last().map(|config| config.id);
        configs.extend(page);
        progress.at(configs.len());
        if !full {
            break;
        }
    }
    if list.json {
        return print(&pretty(&configs.iter().map(record).collect()));
    }
    let now = now();
    let head = ["ID", "ACCOUNT", "CONTEXT", "NAME", "GENERATION", "SECRET'S AGE", "ALLOWED ORIGINS"];
    let rows = configs.iter().map(|config| {
        [
            config.id.to_string(),
            config.account_id.to_string(),
            config.context_id.to_string(),
            plain(&config.name),
            config.generation.to_string(),
            age(now.saturating_sub(config.secret_created_at)),
            config.allowed_origins.join(" "),
        ]
    });
    print(&table(head, &rows.collect::<Vec<_>>()))
}

pub(super) async fn show(issuer: &Issuer, id: WebConfigId, json: bool) -> Result<(), String> {
    let config = issuer.get(id).await.map_err(|error| problem(&error))?;
    if json {
        return print(&pretty(&record(&config)));
    }
    let now = now();
    let ago = |time: u64| format!("{} ago", age(now.saturating_sub(time)));
    let origins = match config.allowed_origins.as_slice() {
        [] => "none".to_owned(),
        patterns => patterns.join(" "),
    };
    let rows = [
        ("id", config.id.to_string()),
        ("account", config.account_id.to_string()),
        ("context", config.context_id.to_string()),
        ("name", plain(&config.name)),
        ("generation", config.generation.to_string()),
        ("created", ago(config.created_at)),
        ("secret created", ago(config.secret_created_at)),
        ("allowed origins", origins),
    ];
    print(&rows.map(|(name, value)| format!("{name:<16}{value}\n")).concat())
}

/// All of it but the secret, as the admin API shows it.
fn record(config: &WebConfig) -> Value {
    json!({
        "id": config.id.to_string(),
        "accountId": config.account_id.as_str(),
        "contextId": config.context_id.as_str(),
        "name": config.name,
        "allowedOrigins": config.allowed_origins,
        "generation": config.generation.get(),
        "createdAt": config.created_at,
        "secretCreatedAt": config.secret_created_at,
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

pub(super) fn print(text: &str) -> Result<(), String> {
    match io::stdout().write_all(text.as_bytes()) {
        // Nobody has to read all of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("it cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
