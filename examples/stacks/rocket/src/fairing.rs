use std::sync::atomic::Ordering;

use rocket::fairing::{self, Fairing, Info, Kind};
use rocket::http::{Header, Method, Status};
use rocket::route::{self, Handler};
use rocket::{Build, Data, Request, Response, Rocket, Route, async_trait, uri};
use voicegain_auth_core::{Admitted, Rejection, Verifier, private_cache_control};

use crate::decision::{Decision, refusal};
use crate::head::Head;
use crate::strip;

/// Where refused requests are sent.
const REFUSED: &str = "/.voicegain-auth/refused";

/// The fairing: decides about every request, and refuses it or keeps its caller for the guards.
///
/// Attach it after every fairing that changes a request's URI.
#[derive(Debug, Clone)]
pub struct Auth(pub Verifier);

#[async_trait]
impl Fairing for Auth {
    fn info(&self) -> Info {
        Info {
            name: "Voicegain tokens",
            kind: Kind::Ignite | Kind::Request | Kind::Response | Kind::Singleton,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        // Before every route of the application's that might match.
        Ok(rocket.mount("/", [Route::ranked(isize::MIN, Method::Get, REFUSED, Refuse)]))
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        let head = Head::of(request);
        let decision = self.0.authorize(&head).await;
        let plan = self.0.strip(&head);
        strip::apply(plan, request);
        if decision.is_err() {
            request.set_uri(uri!("/.voicegain-auth/refused"));
            // Rocket answers HEAD by the route for GET, without its body.
            if request.method() != Method::Head {
                request.set_method(Method::Get);
            }
        }
        Decision::keep(request, decision);
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        match Decision::of(request) {
            Decision::Missing => {}
            Decision::Refused(rejection) => {
                // A fairing behind this one has sent the request elsewhere. What came of it may not go out.
                if request.route().is_none_or(|route| route.uri.path() != REFUSED) {
                    *response = refusal(request, rejection);
                }
            }
            Decision::Admitted { asked, .. }
                if asked.load(Ordering::Relaxed) && response.status() == Status::Unauthorized =>
            {
                let rejection = Rejection::missing_token().in_realm(self.0.policy().realm());
                response.merge(refusal(request, &rejection));
            }
            Decision::Admitted { admitted, .. } => finish(admitted, response),
        }
    }
}

/// What an accepted request's answer still needs (rule V1).
fn finish(admitted: &Admitted, response: &mut Response<'_>) {
    if admitted.is_private() {
        let said: Vec<_> = response.headers().get("cache-control").map(str::as_bytes).collect();
        if let Some(value) = private_cache_control(said.into_iter()) {
            response.set_header(Header::new("Cache-Control", value));
        }
    }
    if let Some(protocol) = admitted.default_protocol() {
        let opens = response.upgrade("websocket").is_some();
        if opens && !response.headers().contains("sec-websocket-protocol") {
            response.set_header(Header::new("Sec-WebSocket-Protocol", protocol.to_owned()));
        }
    }
}

/// Answers refused requests.
#[derive(Clone)]
struct Refuse;

#[async_trait]
impl Handler for Refuse {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> route::Outcome<'r> {
        match Decision::of(request) {
            Decision::Refused(rejection) => route::Outcome::Success(refusal(request, rejection)),
            // Somebody asks for this very path: there is nothing here, unless the application has something.
            _ => route::Outcome::forward(data, Status::NotFound),
        }
    }
}
