use std::future::{Future, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::Either;
use futures_util::{FutureExt as _, TryFutureExt as _};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tracing::field::display;
use voicegain_auth_core::{
    BasePath, Caller, Explanation, Identity, Issuer, Rejection, RequestHead, RequestId, Verifier, WebConfigId,
};

use crate::body::GatewayBody;
use crate::cors;
use crate::echo;
use crate::exchanges::EndOf;
use crate::explain;
use crate::forward::{BoxError, ClientUpgrade, ForwardContext, ForwardError, Forwarder};
use crate::gate::{self, Route};
use crate::head::{HttpHead, check_size, remove_reserved};
use crate::metrics::{Began, Connected, Metrics};
use crate::otel::{Trace, Tracer};
use crate::refusal::{Refusal, is_grpc};
use crate::store;
use crate::tls::Tls;

/// What is behind the middleware: the mint route, and the upstream or the echo. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    verifier: Verifier,
    issuer: Issuer,
    /// Without one there is the echo.
    forwarder: Option<Forwarder>,
    max_body_bytes: u64,
    end_of: EndOf,
    /// How clients reach it.
    scheme: Scheme,
    metrics: Metrics,
    tracer: Option<Tracer>,
}

/// What is known of an accepted request besides the request.
#[derive(Debug)]
pub struct Arrival {
    /// Who it comes from, as the middleware found out.
    pub caller: Option<Caller>,
    /// Where it goes.
    pub route: Route,
    /// The address at the connection's other end.
    pub client: IpAddr,
    /// The client's side of an upgrade; for hyper's servers it is in the request.
    pub upgrade: Option<ClientUpgrade>,
}

impl Gateway {
    pub(crate) fn new(
        verifier: Verifier,
        issuer: Issuer,
        forwarder: Option<Forwarder>,
        max_body_bytes: u64,
        end_of: EndOf,
        scheme: Scheme,
        tracer: Option<Tracer>,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new()?;
        Ok(Self {
            inner: Arc::new(Inner {
                verifier,
                issuer,
                forwarder,
                max_body_bytes,
                end_of,
                scheme,
                metrics,
                tracer,
            }),
        })
    }

    /// Begins the trace of a request that has begun, if there are traces, and leaves it in the head for who comes later.
    pub fn trace(&self, began: Began, head: &mut Parts) -> Option<Trace> {
        let trace = self.inner.tracer.as_ref()?.begin(began.id, head);
        head.extensions.insert(trace.clone());
        Some(trace)
    }

    /// Takes notice of a request's answer, whose head is all there is of it yet, and of the refusal, if it is one of the
    /// middleware's.
    pub fn answered(
        &self,
        began: Began,
        status: StatusCode,
        trace: Option<&Trace>,
        refusal: Option<&Rejection>,
    ) {
        self.inner.metrics.answered(began, status);
        if let Some(trace) = trace {
            if let Some(rejection) = refusal {
                trace.refused(rejection);
            }
            trace.end(status);
        }
    }

    /// Sends the spans that are left, once there are no requests any more. It takes a few seconds at most.
    pub async fn flush(&self) {
        if let Some(tracer) = &self.inner.tracer {
            tracer.flush().await;
        }
    }

    /// Counts a connection of a client's until what is returned is dropped.
    #[must_use]
    pub fn connected(&self) -> Connected {
        self.inner.metrics.connected()
    }

    /// Has it be measured when the certificate of a port ends.
    pub(crate) fn measure_certificate(&self, port: &str, tls: &Tls) -> Result<(), prometheus::Error> {
        tls.show_end(self.inner.metrics.certificate(port)?);
        Ok(())
    }

    /// What was measured, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.inner.metrics.exposition()
    }

    /// Decides about a request as it would be decided about if it came, and says how that came about.
    pub async fn explain(&self, head: &Parts) -> Explanation {
        explain::explain(&self.inner.verifier, &self.inner.issuer, head).await
    }

    /// Decides about tokens; for the middleware.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// What the API is below.
    #[must_use]
    pub fn base_path(&self) -> &BasePath {
        self.inner.verifier.policy().base_path()
    }

    /// Whether there is an upstream, which WebSockets can be opened to.
    #[must_use]
    pub fn has_upstream(&self) -> bool {
        self.inner.forwarder.is_some()
    }

    /// Takes in the head of a request, in the order of rule V9: the reserved headers go, then the gate decides where it
    /// goes.
    ///
    /// # Errors
    /// The answer, if there is no need to ask for a token: a refusal, or that to a preflight.
    pub fn admit(&self, head: &mut Parts) -> Result<Route, Box<Response<GatewayBody>>> {
        remove_reserved(&mut head.headers);
        let decided = check_size(head)
            .map_err(Refusal::from)
            .and_then(|()| gate::decide(&HttpHead(head), self.base_path()));
        match decided {
            Ok(Route::Preflight) => Err(Box::new(cors::preflight(&head.headers))),
            Ok(route) => Ok(route),
            Err(refusal) => {
                self.refused(&HttpHead(head), &refusal);
                if let Some(trace) = head.extensions.get::<Trace>() {
                    trace.refused(refusal.rejection());
                }
                Err(Box::new(cors::refused(refusal, is_grpc(&head.headers))))
            }
        }
    }

    /// Takes notice of a refusal before any token was looked at.
    pub fn refused<H: RequestHead>(&self, head: &H, refusal: &Refusal) {
        let verifier = &self.inner.verifier;
        verifier.count_refusal(head.request_id(), refusal.rejection());
        verifier.keep_refusal(head, None, refusal.rejection());
    }

    /// Answers a request that was accepted, with every token source already taken out of it.
    pub fn serve<B>(
        &self,
        request: Request<B>,
        arrival: Arrival,
    ) -> impl Future<Output = Response<GatewayBody>> + Send + use<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let grpc = is_grpc(request.headers());
        let origin = request.headers().get(ORIGIN).cloned();
        let id = request.extensions().get::<RequestId>().copied();
        let web_config = arrival.caller.as_ref().and_then(Caller::identity).map(Identity::web_config_id);
        let trace = self.trace_of(&request);
        if let Some((trace, id)) = trace.as_ref().zip(web_config) {
            trace.identified(id);
        }
        let gateway = self.clone();
        let answer = match self.answer(request, arrival) {
            Ok(answer) => Either::Left(answer),
            Err(refusal) => Either::Right(ready(Err(refusal))),
        };
        answer.map(move |answer| match answer {
            Ok(mut response) => {
                cors::accept(&mut response, origin.as_ref());
                response
            }
            Err(refusal) => {
                let refusal = refusal.about(web_config);
                if let Some(trace) = trace {
                    trace.refused(refusal.rejection());
                }
                gateway.inner.verifier.count_refusal(id, refusal.rejection());
                cors::refused(refusal, grpc)
            }
        })
    }

    fn trace_of<B>(&self, request: &Request<B>) -> Option<Trace> {
        self.inner.tracer.as_ref().and_then(|_| request.extensions().get().cloned())
    }

    /// Whatever need not be waited for has been done when this returns: what is waited for then needs no room for the request.
    fn answer<B>(
        &self,
        mut request: Request<B>,
        arrival: Arrival,
    ) -> Result<impl Future<Output = Result<Response<GatewayBody>, Refusal>> + Send + use<B>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        type Answer = Pin<Box<dyn Future<Output = Result<Response<GatewayBody>, Refusal>> + Send>>;

        let Inner { verifier, issuer, forwarder, max_body_bytes, end_of, scheme, .. } = &*self.inner;
        let Arrival { caller, route, client, upgrade } = arrival;
        let id = request.extensions().get::<RequestId>().copied();
        let Some(Caller::Identified(identity)) = caller else {
            // A gateway has no optional mode, and answers preflights before they get here.
            let request = id.map(display);
            tracing::error!(request, "a request came this far without an identity");
            return Err(Rejection::missing_token().into());
        };
        if route == Route::Mint {
            let minted = mint(issuer, &identity, request.uri().query());
            let (head, _) = request.into_parts();
            let minted = minted.inspect_err(|rejection| {
                verifier.keep_refusal(&HttpHead(&head), Some(&identity), rejection);
            })?;
            return Ok(Either::Right(Box::pin(ready(Ok(minted))) as Answer));
        }
        let mut context = ForwardContext {
            headers: identity_headers(&identity),
            upgrade,
            ending: end_of.exchange(verifier.cache(), &identity, id),
            ..ForwardContext::new(client, scheme.clone())
        };
        match forwarder {
            Some(forwarder) => {
                let call = self.trace_of(&request).map(|trace| {
                    let method = request.method().clone();
                    trace.call(&method, forwarder.upstream(), request.headers_mut(), &mut context.headers)
                });
                let (answer, web_config) = (forwarder.forward(request, context), identity.web_config_id());
                let answer = answer.inspect(move |answer| {
                    if let Some(call) = call {
                        call.end(answer.as_ref().map(Response::status).map_err(ForwardError::reason));
                    }
                });
                Ok(Either::Left(answer.map(move |answer| match answer {
                    Ok(answer) => Ok(answer.map(GatewayBody::from)),
                    Err(error) => {
                        tell(&error, id, web_config);
                        Err(error.into())
                    }
                })))
            }
            None => {
                let (parts, body) = request.into_parts();
                let answer = echo::echo(parts, body, context, *max_body_bytes);
                Ok(Either::Right(Box::pin(answer.map_err(Refusal::from))))
            }
        }
    }
}

/// Tells the log what kept a request from its answer, which the client is not told.
#[cold]
fn tell(error: &ForwardError, id: Option<RequestId>, web_config: WebConfigId) {
    if error.status().is_server_error() {
        let (request, reason) = (id.map(display), error.reason());
        let cause = std::error::Error::source(error).map(store::chain);
        tracing::warn!(request, %web_config, reason, cause, "{}", error.detail());
    }
}

/// `GET <base>/security/jwt` (rule M2).
fn mint(
    issuer: &Issuer,
    identity: &Identity,
    query: Option<&str>,
) -> Result<Response<GatewayBody>, Rejection> {
    let token = issuer.mint(identity, query)?;
    let mut response = Response::new(GatewayBody::from(token));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn identity_headers(identity: &Identity) -> Vec<(HeaderName, HeaderValue)> {
    /// Made once: to make a name looks at every letter of it.
    static NAMES: [HeaderName; 6] = [
        HeaderName::from_static("x-voicegain-account-id"),
        HeaderName::from_static("x-voicegain-context-id"),
        HeaderName::from_static("x-voicegain-web-config-id"),
        HeaderName::from_static("x-voicegain-token-kind"),
        HeaderName::from_static("x-voicegain-token-expires"),
        HeaderName::from_static("x-voicegain-api-path"),
    ];
    const USUAL_BYTES: usize = 160;

    let mut headers = Vec::with_capacity(NAMES.len());
    // The values are parts of one piece of memory.
    let mut text = BytesMut::with_capacity(USUAL_BYTES);
    for (name, value) in identity.headers() {
        text.extend_from_slice(value.as_bytes());
        let known = NAMES.iter().find(|known| known.as_str() == name).cloned();
        let name = known.unwrap_or_else(|| HeaderName::from_static(name));
        if let Ok(value) = HeaderValue::from_maybe_shared(text.split().freeze()) {
            headers.push((name, value));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use voicegain_auth_core::{MemoryStore, Policy, SecretCache};

    use super::*;

    fn gateway() -> Gateway {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
        let end_of = EndOf { revoked: true, expired: None };
        Gateway::new(Verifier::new(cache, Policy::default()), issuer, None, 0, end_of, Scheme::HTTP, None)
            .unwrap()
    }

    #[tokio::test]
    async fn v8_reserved_headers_go_first_on_every_path() {
        for (method, path, status) in
            [("GET", "/v1/x", None), ("OPTIONS", "/v1/x", Some(204)), ("GET", "/x", Some(404))]
        {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "gw.example")
                .header("origin", "https://a.example")
                .header("access-control-request-method", "PUT")
                .header("x_voicegain.account-id", "evil");
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let admitted = gateway().admit(&mut head);
            assert_eq!(admitted.err().map(|response| response.status().as_u16()), status, "{method} {path}");
            assert_eq!(head.headers.len(), 3, "{method} {path}: {:?}", head.headers);
        }
    }

    #[tokio::test]
    async fn a_request_without_an_identity_goes_nowhere() {
        for caller in [None, Some(Caller::Anonymous), Some(Caller::Preflight)] {
            let arrival = Arrival {
                caller,
                route: Route::Upstream,
                client: IpAddr::from([192, 0, 2, 1]),
                upgrade: None,
            };
            let request = Request::get("/v1/x").body(http_body_util::Empty::<Bytes>::new()).unwrap();
            let response = gateway().serve(request, arrival).await;
            assert_eq!(response.status(), 401);
        }
    }
}
