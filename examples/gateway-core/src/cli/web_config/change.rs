//! What changes a web config. A token is written to the standard output, alone, and all about it elsewhere.

use std::io::{self, Write as _};

use voicegain_auth_core::{CreateRequest, Issuer, WebConfig};

use super::{Change, Create, problem};
use crate::cli::terminal::{confirmed, plain};

pub(super) async fn create(issuer: &Issuer, create: &Create) -> Result<(), String> {
    let Create { account, context, name, allowed_origin } = create;
    let mut request = CreateRequest::new(account.clone(), context.clone(), name.clone());
    request.allowed_origins.clone_from(allowed_origin);
    let issued = issuer.create(request).await.map_err(|error| problem(&error))?;
    tell(&format!("made web config {}", summary(&issued.config)));
    print_token(&issued.jwt)
}

pub(super) async fn regenerate(issuer: &Issuer, change: &Change) -> Result<(), String> {
    let config = issuer.get(change.id).await.map_err(|error| problem(&error))?;
    let ends = format!(
        "Regenerate web config {}: its long-lived token and all short-lived ones made from it stop working, in every \
         gateway on this store within its --max-revocation-delay. Whoever uses them needs the new one. Other web configs of \
         the context are not touched.",
        summary(&config)
    );
    ask(change, &ends, "regenerated")?;
    let issued = issuer.regenerate(change.id).await.map_err(|error| problem(&error))?;
    tell(&format!("regenerated web config {}", summary(&issued.config)));
    if !issued.others.is_empty() {
        tell(&format!("the context's other web configs keep their tokens: {}", issued.others.len()));
    }
    print_token(&issued.jwt)
}

pub(super) async fn delete(issuer: &Issuer, change: &Change) -> Result<(), String> {
    let config = issuer.get(change.id).await.map_err(|error| problem(&error))?;
    let ends = format!(
        "Delete web config {} for good: its long-lived token and all short-lived ones made from it stop working, in \
         every gateway on this store within its --max-revocation-delay, and cannot be had again.",
        summary(&config)
    );
    ask(change, &ends, "deleted")?;
    issuer.delete(change.id).await.map_err(|error| problem(&error))?;
    tell(&format!("deleted web config {}", summary(&config)));
    Ok(())
}

/// Whoever is at the terminal has to agree.
fn ask(change: &Change, ends: &str, done: &str) -> Result<(), String> {
    if change.yes {
        return Ok(());
    }
    match confirmed(ends).map_err(|error| format!("no answer can be read: {error}"))? {
        Some(true) => Ok(()),
        Some(false) => Err(format!("nothing was {done}")),
        None => {
            Err(format!("{ends}\nThere is no terminal to ask at, so nothing was {done}; add --yes to do it"))
        }
    }
}

/// To the standard error stream, which may be closed: that is no reason to lose a token.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn summary(config: &WebConfig) -> String {
    format!(
        "{} \u{201c}{}\u{201d} (context {}, account {}, generation {})",
        config.id,
        plain(&config.name),
        config.context_id,
        config.account_id,
        config.generation
    )
}

fn print_token(token: &str) -> Result<(), String> {
    tell("its long-lived token, shown only now; keep it where only servers read it:");
    let mut output = io::stdout();
    let written = writeln!(output, "{token}").and_then(|()| output.flush());
    written.map_err(|error| {
        format!("the token could not be written, and is lost ({error}); regenerate for a new one")
    })
}
