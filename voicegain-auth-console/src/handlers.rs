//! One function for each thing that can be done.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use voicegain_auth_core::audit::{Act, Deed, Effect};
use voicegain_auth_core::store::{ListQuery, Scope, StoreError};
use voicegain_auth_core::{CreateRequest, Day, IssueError, Issuer, Secret, WebConfigId, WebConfigPatch};
use zeroize::Zeroizing;

use crate::acting::Acting;
use crate::answer::{Created, Ended, Page, Read, Record, Regenerated, json};
use crate::fields::Fields;
use crate::parameters;
use crate::refusal::Refusal;
use crate::reseal::{Reseal, Resealed};

const MAX_BODY: usize = 64 * 1024;

const IMPORT_NOTE: &str = "The deployment this secret comes from and this one each accept its tokens until the secret is \
                           regenerated there too: regenerate on both sides to end them.";

type Answer = Result<Response, Refusal>;

/// `POST /api/web-configs`
pub(crate) async fn create(Acting(issuer): Acting, RawQuery(query): RawQuery, request: Request) -> Answer {
    parameters::none(query.as_deref())?;
    let body = body(request, MAX_BODY).await?;
    let known = ["accountId", "contextId", "name", "allowedOrigins", "secret", "id", "revive"];
    let mut fields = Fields::read(&body, &known)?;
    let parsed = |name, problem: &dyn std::fmt::Display| Refusal::field(name, &problem.to_string());
    let account_id =
        fields.required_text("accountId")?.parse().map_err(|error| parsed("accountId", &error))?;
    let context_id =
        fields.required_text("contextId")?.parse().map_err(|error| parsed("contextId", &error))?;
    let mut new = CreateRequest::new(account_id, context_id, fields.required_text("name")?);
    new.allowed_origins = fields.texts("allowedOrigins")?.unwrap_or_default();
    new.secret = fields.text("secret")?.map(Zeroizing::new).map(|text| secret(&text)).transpose()?;
    let id = fields.text("id")?.map(|text| text.parse());
    new.id = id.transpose().map_err(|error| parsed("id", &error))?;
    new.revive = fields.flag("revive")?.unwrap_or_default();

    let imported = new.secret.is_some();
    let issued = issuer.create(new).await?;
    let created = Created {
        record: Record::from(&issued.config),
        jwt: &issued.jwt,
        note: imported.then_some(IMPORT_NOTE),
    };
    Ok(json(StatusCode::CREATED, &created))
}

/// On which days these were last used. Whoever looks for what to revoke must find it, whatever is wrong with that.
pub(crate) async fn last_uses(
    issuer: &Issuer,
    ids: impl IntoIterator<Item = WebConfigId> + Send,
) -> BTreeMap<WebConfigId, Day> {
    issuer.last_uses(ids).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "when web configs were last used cannot be told");
        BTreeMap::new()
    })
}

/// `GET /api/web-configs`
pub(crate) async fn list(State(issuer): State<Issuer>, RawQuery(query): RawQuery) -> Answer {
    let query = parameters::list(query.as_deref())?;
    let limit = query.limit;
    // One more than the page holds tells whether there is another page.
    let mut configs = issuer.list(ListQuery { limit: limit.saturating_add(1), ..query }).await?;
    let more = configs.len() > limit;
    configs.truncate(limit);
    let next = configs.last().filter(|_| more).map(|config| config.id.to_string());
    let used = last_uses(&issuer, configs.iter().map(|config| config.id)).await;
    let web_configs = configs.iter().map(|config| Read::new(config, used.get(&config.id))).collect();
    Ok(json(StatusCode::OK, &Page { web_configs, next }))
}

/// `GET /api/web-configs/{id}`
pub(crate) async fn get(State(issuer): State<Issuer>, Id(id): Id, RawQuery(query): RawQuery) -> Answer {
    parameters::none(query.as_deref())?;
    let config = issuer.get(id).await?;
    let used = last_uses(&issuer, [id]).await;
    Ok(json(StatusCode::OK, &Read::new(&config, used.get(&id))))
}

/// `PATCH /api/web-configs/{id}`
pub(crate) async fn update(
    Acting(issuer): Acting,
    Id(id): Id,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    parameters::none(query.as_deref())?;
    let mut fields = Fields::read(&body(request, MAX_BODY).await?, &["name", "allowedOrigins"])?;
    let patch =
        WebConfigPatch { name: fields.text("name")?, allowed_origins: fields.texts("allowedOrigins")? };
    let config = issuer.update(id, patch).await?;
    Ok(json(StatusCode::OK, &Record::from(&config)))
}

/// `DELETE /api/web-configs/{id}`
pub(crate) async fn delete(
    Acting(issuer): Acting,
    Id(id): Id,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    parameters::none(query.as_deref())?;
    Fields::read(&body(request, MAX_BODY).await?, &[])?;
    issuer.delete(id).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `POST /api/web-configs/{id}/regenerate`
pub(crate) async fn regenerate(
    Acting(issuer): Acting,
    Id(id): Id,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    parameters::none(query.as_deref())?;
    Fields::read(&body(request, MAX_BODY).await?, &[])?;
    let issued = issuer.regenerate(id).await?;
    let regenerated = Regenerated {
        record: Record::from(&issued.config),
        jwt: &issued.jwt,
        others: issued.others.iter().map(Record::from).collect(),
    };
    Ok(json(StatusCode::OK, &regenerated))
}

/// `POST /api/accounts/{account}/end`
pub(crate) async fn end_account(
    Acting(issuer): Acting,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let Path(account) = path.map_err(|_| no_text("accountId"))?;
    let scope = Scope::Account(in_path("accountId", &account)?);
    end(&issuer, scope, query.as_deref(), request).await
}

/// `POST /api/contexts/{account}/{context}/end`
pub(crate) async fn end_context(
    Acting(issuer): Acting,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    let Path((account, context)) = path.map_err(|_| no_text("accountId` or `contextId"))?;
    let scope = Scope::Context(in_path("accountId", &account)?, in_path("contextId", &context)?);
    end(&issuer, scope, query.as_deref(), request).await
}

async fn end(issuer: &Issuer, scope: Scope, query: Option<&str>, request: Request) -> Answer {
    parameters::none(query)?;
    Fields::read(&body(request, MAX_BODY).await?, &[])?;
    let ended = issuer.end(scope).await.map_err(|error| match error {
        IssueError::Store(StoreError::OutcomeUnknown(source)) => {
            let error = StoreError::OutcomeUnknown(source);
            tracing::error!(error = error.chain(), "the outcome of a bulk end is unknown");
            Refusal::unavailable("Outcome unknown, look at the list; what is still there has not ended.")
        }
        error => error.into(),
    })?;
    Ok(json(StatusCode::OK, &Ended { ended: ended.web_configs }))
}

/// `POST /api/master-keys/reseal`
pub(crate) async fn reseal(
    Acting(issuer): Acting,
    State(reseal): State<Option<Reseal>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Answer {
    parameters::none(query.as_deref())?;
    Fields::read(&body(request, MAX_BODY).await?, &[])?;
    let reseal = reseal.ok_or_else(Refusal::not_sealed)?;
    let work = async move {
        // Some may have been done.
        let done = reseal.run().await.map_err(StoreError::outcome_unknown)?;
        let Resealed { resealed, skipped, retired, known } = &done;
        tracing::info!(resealed, skipped, ?retired, ?known, "secrets were opened and sealed");
        let effect = Effect::default().on(*resealed);
        Ok((done, effect))
    };
    match issuer.act(Deed::new(Act::Reseal), work).await {
        Ok(done) => Ok(json(StatusCode::OK, &done)),
        Err(IssueError::Store(error)) => {
            tracing::error!(error = error.chain(), "secrets could not be sealed anew");
            Err(Refusal::unavailable("Not everything was sealed anew; see the log, and ask again."))
        }
        Err(error) => Err(error.into()),
    }
}

fn no_text(name: &str) -> Refusal {
    Refusal::invalid_parameter(format!("`{name}` in the path: it is no UTF-8 text; percent-encode it anew."))
}

/// What a segment of the path stands for.
fn in_path<T: FromStr>(name: &str, text: &str) -> Result<T, Refusal>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error| Refusal::invalid_parameter(format!("`{name}` in the path: {error}.")))
}

/// The web config that the path names. A text that is no id names none.
pub(crate) struct Id(WebConfigId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(Refusal::no_such_web_config)
    }
}

fn secret(text: &str) -> Result<Secret, Refusal> {
    let wrong = "must be 32 to 256 bytes as base64url without padding";
    let bytes =
        URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| Refusal::field("secret", wrong))?;
    Secret::from_bytes(&bytes).map_err(|_| Refusal::field("secret", wrong))
}

/// The whole body, which may hold a secret.
pub(crate) async fn body(request: Request, most: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > most)) {
        return Err(Refusal::body_too_large(most));
    }
    let collected = Limited::new(request.into_body(), most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Refusal::body_too_large(most)
        } else {
            Refusal::invalid_parameter("The body ended early; send it whole.".to_owned())
        }
    })?;
    Ok(Zeroizing::new(collected.to_bytes().to_vec()))
}
