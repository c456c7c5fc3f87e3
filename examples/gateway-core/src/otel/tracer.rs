//! Spans, and what is said in them: never a query, a token, a cookie or another header's value.

use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use percent_encoding::percent_decode_str;
use voicegain_auth_core::{Rejection, RequestId, WebConfigId};

use super::client::{CollectorClient, TIMEOUT};
use super::context::{self, TRACEPARENT, TRACESTATE};
use super::{TracingError, endpoint};
use crate::cli::Args;

/// How long the end of the program waits for the last batch.
const FLUSH: Duration = Duration::from_secs(3);

/// How many bytes of a path are sent.
const MAX_PATH: usize = 1_024;

/// Begins traces and continues them.
#[derive(Debug)]
pub(crate) struct Tracer {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A request's trace. Its clones are the same one. Its span ends with the last of them at the latest.
#[derive(Debug, Clone)]
pub struct Trace {
    tracer: SdkTracer,
    context: Context,
    log: tracing::Span,
}

/// A call of the upstream in a trace.
#[derive(Debug)]
pub(crate) struct Call(Context);

impl Tracer {
    /// As the flags want it. Has to be called on a runtime.
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, TracingError> {
        let Some(url) = &args.otlp_endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(CollectorClient::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint(url)?.to_string())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| TracingError::Exporter(error.to_string()))?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(args.trace_sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(Resource::builder().with_service_name(args.program).build())
            .build();
        let tracer = provider.tracer("voicegain-gateway");
        Ok(Some(Self { provider, tracer }))
    }

    /// Continues the client's trace with a request, or begins one.
    pub(crate) fn begin(&self, id: RequestId, head: &Parts) -> Trace {
        let parent = context::received(&head.headers);
        let method = method(&head.method);
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.path", path(head.uri.path())),
            KeyValue::new("voicegain.request_id", id.to_string()),
        ];
        attributes.extend(host(head).map(|host| KeyValue::new("server.address", host)));
        let span = self.tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.tracer.build_with_context(span, &parent);
        let context = parent.with_span(span);
        let trace_id = context.span().span_context().trace_id();
        // Of the highest level, so that lines of every level have it.
        let log = tracing::error_span!("request", %trace_id);
        Trace { tracer: self.tracer.clone(), context, log }
    }

    /// Sends what is still there, and nothing from then on.
    pub(crate) async fn flush(&self) {
        let provider = self.provider.clone();
        // It waits for a thread that needs this runtime.
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the last spans may not have been sent");
        }
    }
}

impl Trace {
    /// What lines of the log about the request are written in.
    #[must_use]
    pub fn log(&self) -> &tracing::Span {
        &self.log
    }

    pub(crate) fn identified(&self, web_config: WebConfigId) {
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("voicegain.web_config_id", web_config.to_string()));
        }
    }

    pub(crate) fn refused(&self, rejection: &Rejection) {
        self.context.span().set_attribute(KeyValue::new("voicegain.reason", rejection.reason().as_str()));
        // What a token only claims is no attribute: `identified` says whose request it was.
    }

    /// Ends the request's span.
    pub(crate) fn end(&self, status: StatusCode) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Begins the span of a call of the upstream. What goes there names it, instead of what the client sent.
    pub(crate) fn call(
        &self,
        verb: &Method,
        upstream: &Uri,
        headers: &mut HeaderMap,
        own: &mut Vec<(HeaderName, HeaderValue)>,
    ) -> Call {
        let verb = method(verb);
        let mut attributes = vec![KeyValue::new("http.request.method", verb)];
        attributes.extend(upstream.host().map(|host| KeyValue::new("server.address", host.to_owned())));
        attributes.extend(upstream.port_u16().map(|port| KeyValue::new("server.port", i64::from(port))));
        let span = self.tracer.span_builder(verb).with_kind(SpanKind::Client).with_attributes(attributes);
        let span = self.tracer.build_with_context(span, &self.context);
        let context = self.context.with_span(span);
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        context::send(&context, own);
        Call(context)
    }
}

impl Call {
    /// Ends it with the answer's status, or the reason why there is none.
    pub(crate) fn end(&self, answer: Result<StatusCode, &'static str>) {
        let span = self.0.span();
        match answer {
            Ok(status) => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
                if status.is_client_error() || status.is_server_error() {
                    span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
                    span.set_status(Status::error(""));
                }
            }
            Err(reason) => {
                span.set_attribute(KeyValue::new("error.type", reason));
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }
}

/// One of the methods that are known: what a client makes up is `_OTHER`, by the semantic conventions.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| method.as_str() == *known).unwrap_or("_OTHER")
}

/// The longest host that is told, in bytes: DNS has no longer one.
const MAX_HOST: usize = 255;

/// Whether this may be a token or a part of one: `eyJ` begins every JWT, however much of it is percent-encoded.
fn looks_like_a_token(text: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(text).collect();
    decoded.windows(3).any(|start| start == b"eyJ")
}

/// The path, shortened, without what looks like a token.
fn path(path: &str) -> String {
    let end = path.char_indices().map(|(at, _)| at).find(|at| *at >= MAX_PATH).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    let shown = path.split('/').map(|part| if looks_like_a_token(part) { "…" } else { part });
    shown.collect::<Vec<_>>().join("/")
}

/// Whom the client meant, without a port or a user's name.
fn host(head: &Parts) -> Option<String> {
    let of_header = || head.headers.get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let authority = head.uri.authority().cloned().or_else(of_header)?;
    let host = authority.host();
    (host.len() <= MAX_HOST && !looks_like_a_token(host)).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn what_looks_like_a_token_is_told_in_no_form() {
        for (given, told) in [
            ("/v1/x", "/v1/x"),
            ("/v1/eyJhbGciOiJIUzI1NiJ9.a/x", "/v1/…/x"),
            ("/v1/%65yJhbGciOiJIUzI1NiJ9.a/x", "/v1/…/x"),
            ("/v1/%65%79%4aa", "/v1/…"),
        ] {
            assert_eq!(path(given), told);
        }
        let told = |host: &str| host_of(Request::get("/").header(HOST, host));
        assert_eq!(told("gw.example:8080").as_deref(), Some("gw.example"));
        assert_eq!(told("eyJhbGciOiJIUzI1NiJ9.host"), None);
        assert_eq!(told(&"a.".repeat(200)), None);
    }

    fn host_of(request: http::request::Builder) -> Option<String> {
        host(&request.body(()).unwrap().into_parts().0)
    }
}
