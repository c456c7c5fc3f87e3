//! What there is to see of web configs.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::SystemTime;

use serde_json::{Value, json};
use voicegain_auth_core::store::ListQuery;
use voicegain_auth_core::{Day, Issuer, WebConfig, WebConfigId};

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
    let mut used = BTreeMap::new();
    loop {
        let page = issuer.list(query.clone()).await.map_err(|error| problem(&error))?;
        let full = page.len() == PAGE;
        query.after = page.last().map(|config| config.id);
        let ids = page.iter().map(|config| config.id).collect::<Vec<_>>();
        used.extend(issuer.last_uses(ids).await.map_err(|error| problem(&error))?);
        configs.extend(page);
        progress.at(configs.len());
        if !full {
            break;
        }
    }
    if list.json {
        return print(&pretty(&configs.iter().map(|config| record(config, used.get(&config.id))).collect()));
    }
    let now = now();
    let head =
        ["ID", "ACCOUNT", "CONTEXT", "NAME", "GENERATION", "SECRET'S AGE", "LAST USED", "ALLOWED ORIGINS"];
    let rows = configs.iter().map(|config| {
        [
            config.id.to_string(),
            config.account_id.to_string(),
            config.context_id.to_string(),
            plain(&config.name),
            config.generation.to_string(),
            age(now.saturating_sub(config.secret_created_at)),
            last_used(used.get(&config.id)),
            config.allowed_origins.join(" "),
        ]
    });
    print(&table(head, &rows.collect::<Vec<_>>()))
}

pub(super) async fn show(issuer: &Issuer, id: WebConfigId, json: bool) -> Result<(), String> {
    let config = issuer.get(id).await.map_err(|error| problem(&error))?;
    let used = issuer.last_uses([id]).await.map_err(|error| problem(&error))?;
    if json {
        return print(&pretty(&record(&config, used.get(&id))));
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
        ("last used", last_used(used.get(&id))),
        ("allowed origins", origins),
    ];
    print(&rows.map(|(name, value)| format!("{name:<16}{value}\n")).concat())
}

/// A day in UTC. What is not known may have been used before uses were noted.
fn last_used(day: Option<&Day>) -> String {
    day.map_or_else(|| "not seen".to_owned(), Day::to_string)
}

/// All of it but the secret, as the admin API shows it.
fn record(config: &WebConfig, last_used: Option<&Day>) -> Value {
    json!({
        "id": config.id.to_string(),
        "accountId": config.account_id.as_str(),
        "contextId": config.context_id.as_str(),
        "name": config.name,
        "allowedOrigins": config.allowed_origins,
        "generation": config.generation.get(),
        "createdAt": config.created_at,
        "secretCreatedAt": config.secret_created_at,
        "lastUsed": last_used.map(Day::to_string),
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
