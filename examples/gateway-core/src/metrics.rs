//! What a gateway measures beside what its verifier counts, for Prometheus.

use std::fmt;
use std::time::Instant;

use http::{HeaderValue, StatusCode};
use prometheus::{Encoder as _, Histogram, HistogramOpts, IntGauge, Opts, Registry, TextEncoder};
use voicegain_auth_core::RequestId;

/// In seconds. The longest are those of uploads that are transcribed while they are sent.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// The gateway's own metrics.
pub(crate) struct Metrics {
    registry: Registry,
    /// Of answers whose status begins with this digit.
    durations: [Histogram; 5],
    connections: IntGauge,
}

/// A connection of a client's, counted until this is dropped.
#[derive(Debug)]
pub struct Connected(IntGauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// What it is called.
    pub id: RequestId,
    at: Instant,
}

impl Began {
    /// Names a request that has just come.
    #[must_use]
    pub fn now() -> Self {
        Self { id: RequestId::new(), at: Instant::now() }
    }

    /// The id as it stands in the answer, in [`REQUEST_ID`](crate::head::REQUEST_ID).
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.id.to_string()).ok()
    }
}

impl Metrics {
    /// # Errors
    /// None that could come of these names.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let of_status = |digit: &str| {
            let options = HistogramOpts::new(
                "voicegain_gateway_request_duration_seconds",
                "How long it took from a request's head to that of its answer, by the first digit of the answer's status.",
            );
            let options = options.buckets(BUCKETS.to_vec()).const_label("status", format!("{digit}xx"));
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let durations = [of_status("1")?, of_status("2")?, of_status("3")?, of_status("4")?, of_status("5")?];
        let options = Opts::new("voicegain_build_info", "Always 1; which version this is.");
        let build = IntGauge::with_opts(options.const_label("version", env!("CARGO_PKG_VERSION")))?;
        build.set(1);
        registry.register(Box::new(build))?;
        let connections = IntGauge::new(
            "voicegain_gateway_connections",
            "How many connections that speak HTTP are open on the port of the API; what has become a WebSocket may not count.",
        )?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self { registry, durations, connections })
    }

    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// For when the certificate of this port ends.
    pub(crate) fn certificate(&self, port: &str) -> Result<IntGauge, prometheus::Error> {
        let options = Opts::new(
            "voicegain_gateway_tls_certificate_not_after_timestamp_seconds",
            "When the certificate that is served on a port ends, in seconds since the Unix epoch.",
        );
        let gauge = IntGauge::with_opts(options.const_label("port", port))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    pub(crate) fn answered(&self, began: Began, status: StatusCode) {
        let digit = usize::from(status.as_u16() / 100);
        if let Some(histogram) = digit.checked_sub(1).and_then(|at| self.durations.get(at)) {
            histogram.observe(began.at.elapsed().as_secs_f64());
        }
    }

    /// In the text format.
    pub(crate) fn exposition(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the gateway's own metrics cannot be told");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_the_first_digit_of_their_status() {
        let metrics = Metrics::new().unwrap();
        for status in [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::UNAUTHORIZED] {
            metrics.answered(Began::now(), status);
        }
        let text = metrics.exposition();
        for line in [
            "voicegain_gateway_request_duration_seconds_count{status=\"2xx\"} 2",
            "voicegain_gateway_request_duration_seconds_count{status=\"4xx\"} 1",
            "voicegain_gateway_request_duration_seconds_count{status=\"5xx\"} 0",
            "voicegain_gateway_request_duration_seconds_bucket{status=\"2xx\",le=\"60\"} 2",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("# TYPE voicegain_gateway_request_duration_seconds histogram").count(), 1);
        assert!(text.contains("voicegain_build_info{version="), "{text}");

        let connected = [metrics.connected(), metrics.connected()];
        assert!(metrics.exposition().contains("\nvoicegain_gateway_connections 2\n"));
        drop(connected);
        assert!(metrics.exposition().contains("\nvoicegain_gateway_connections 0\n"));
    }
}
