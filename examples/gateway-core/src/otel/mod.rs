//! Traces by OpenTelemetry, with the feature `opentelemetry`: a span for each request, one for the call of the upstream, and
//! W3C Trace Context from the client to the upstream.
//!
//! Without the feature there never is a [`Trace`], and a gateway that is to send spans does not start.

#[cfg(not(feature = "opentelemetry"))]
mod absent;
#[cfg(feature = "opentelemetry")]
mod client;
#[cfg(feature = "opentelemetry")]
mod context;
#[cfg(feature = "opentelemetry")]
mod tracer;

use http::Uri;
use http::uri::Scheme;

#[cfg(not(feature = "opentelemetry"))]
pub use self::absent::Trace;
#[cfg(not(feature = "opentelemetry"))]
pub(crate) use self::absent::Tracer;
#[cfg(feature = "opentelemetry")]
pub use self::tracer::Trace;
#[cfg(feature = "opentelemetry")]
pub(crate) use self::tracer::Tracer;
use crate::cli::Args;

/// Why no spans can be sent. None of it shows the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// This program was built without it.
    #[error(
        "this gateway was built without OpenTelemetry; build one with `cargo build --release -p {0} --features \
         opentelemetry`, or leave the flag out"
    )]
    NotBuiltIn(&'static str),
    /// The collector's URL is none that spans can be sent to.
    #[error("write the URL of a collector for OTLP over HTTP without TLS, as in http://127.0.0.1:4318")]
    Endpoint,
    /// The exporter cannot be had.
    #[error("spans cannot be exported: {0}")]
    Exporter(String),
}

/// Whether spans can be sent as the flags want it.
pub(crate) fn check(args: &Args) -> Result<(), TracingError> {
    let Some(url) = &args.otlp_endpoint else { return Ok(()) };
    if !cfg!(feature = "opentelemetry") {
        return Err(TracingError::NotBuiltIn(args.program));
    }
    endpoint(url).map(drop)
}

/// Where spans go: what was given, with `/v1/traces` where it has no path.
fn endpoint(url: &str) -> Result<Uri, TracingError> {
    let url: Uri = url.parse().map_err(|_| TracingError::Endpoint)?;
    let authority = url.authority().ok_or(TracingError::Endpoint)?;
    if url.scheme() != Some(&Scheme::HTTP) || authority.as_str().contains('@') || url.query().is_some() {
        return Err(TracingError::Endpoint);
    }
    let path = if url.path() == "/" { "/v1/traces" } else { url.path() };
    format!("http://{authority}{path}").parse().map_err(|_| TracingError::Endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_http_and_gets_a_path() {
        for (url, to) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("http://collector:4318/", Some("http://collector:4318/v1/traces")),
            ("http://collector/otlp/traces", Some("http://collector/otlp/traces")),
            ("https://collector", None),
            ("http://me:hush@collector", None),
            ("collector:4318", None),
            ("/v1/traces", None),
        ] {
            let endpoint = endpoint(url);
            let told = endpoint.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert!(!told.contains("hush"), "{told}");
            assert_eq!(endpoint.ok().map(|url| url.to_string()).as_deref(), to, "{url}");
        }
    }
}
