//! W3C Trace Context, as it comes and as it goes.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a client sent of it.
struct Received {
    parent: String,
    state: String,
}

impl Extractor for Received {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(&self.parent),
            "tracestate" => Some(&self.state),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The client's context; an empty one if it sent none, or none that can be read.
pub(super) fn received(headers: &HeaderMap) -> Context {
    let mut parents = headers.get_all(TRACEPARENT).iter().filter_map(|value| value.to_str().ok());
    let parent = match (parents.next(), parents.next()) {
        (Some(parent), None) if is_well_formed(parent) => parent.to_owned(),
        _ => return Context::new(),
    };
    let states: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let received = Received { parent, state: states.join(",") };
    TraceContextPropagator::new().extract_with_context(&Context::new(), &received)
}

/// Whether the fields have their lengths and digits. The propagator takes shorter ones, too.
fn is_well_formed(parent: &str) -> bool {
    let hex = |field: Option<&str>, length: usize| {
        field.is_some_and(|field| {
            field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let mut fields = parent.split('-');
    [2, 32, 16, 2].into_iter().all(|length| hex(fields.next(), length))
        && (fields.next().is_none() || !parent.starts_with("00"))
}

struct Fields<'a>(&'a mut Vec<(HeaderName, HeaderValue)>);

impl Injector for Fields<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = match key {
            "traceparent" => TRACEPARENT,
            "tracestate" if !value.is_empty() => TRACESTATE,
            _ => return,
        };
        if let Ok(value) = HeaderValue::try_from(value) {
            self.0.push((name, value));
        }
    }
}

/// Adds the fields that pass it on.
pub(super) fn send(context: &Context, fields: &mut Vec<(HeaderName, HeaderValue)>) {
    TraceContextPropagator::new().inject_context(context, &mut Fields(fields));
}
