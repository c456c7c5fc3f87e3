//! Traces: what the upstream and a collector get of them.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};

use crate::BINARY;
use crate::shared::{Gateway, upstream};

/// An upstream that answers everything, and the heads it got.
fn answering() -> (String, Receiver<String>) {
    let (url, requests) = upstream();
    let (sender, heads) = mpsc::channel();
    std::thread::spawn(move || {
        for (head, stream) in requests {
            answer(stream);
            let _ = sender.send(head);
        }
    });
    (url, heads)
}

fn answer(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn without_the_flag_a_context_passes_untouched() {
    let (url, heads) = answering();
    let gateway = Gateway::start(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let sent = [("traceparent", "no-trace"), ("tracestate", "a=1")];
    assert_eq!(gateway.get("/v1/x", &token, &sent).status, 200);
    let head = heads.recv().unwrap();
    assert_eq!(sent.map(|(name, _)| field(&head, name)), sent.map(|(_, value)| Some(value)));
}

#[test]
fn a_collector_that_cannot_be_used_keeps_it_from_starting() {
    let built_in = cfg!(feature = "opentelemetry");
    let said = |otherwise| if built_in { otherwise } else { "--features opentelemetry`" };
    for (args, said) in [
        (["--otlp-endpoint", "https://me:hush@collector"], said("write the URL of a collector")),
        (["--trace-sample-ratio", "2"], "write a number from 0 to 1"),
    ] {
        let output = Command::new(BINARY).args(["--store", "memory:"]).args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said) && !text.contains("hush"), "{text}");
    }
}

#[cfg(feature = "opentelemetry")]
mod spans {
    use std::collections::HashMap;
    use std::fs;
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::process::Stdio;
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;
    use serde_json::Value as Json;

    use super::*;
    use crate::shared::read_head;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";
    const SERVER: i32 = 2;
    const CLIENT: i32 = 3;

    /// What a gateway sends there.
    fn collector() -> (String, Receiver<Span>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, spans) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_head(&mut stream);
                assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
                assert_eq!(field(&head, "content-type"), Some("application/x-protobuf"));
                let mut body = vec![0; field(&head, "content-length").unwrap().parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                let batch = ExportTraceServiceRequest::decode(&*body).unwrap();
                let of_scope = batch.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
                of_scope.flat_map(|spans| spans.spans).for_each(|span| _ = sender.send(span));
                answer(stream);
            }
        });
        (url, spans)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn attributes(span: &Span) -> HashMap<&str, String> {
        let text = |value: &Value| match value {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        };
        let pairs = span.attributes.iter();
        pairs.map(|pair| (&*pair.key, text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
    }

    #[test]
    fn a_trace_goes_on_through_the_gateway() {
        let (url, heads) = answering();
        let (collector, spans) = collector();
        let log = tempfile::NamedTempFile::new().unwrap();
        let args = ["--upstream", &url, "--otlp-endpoint", &collector, "--log-format", "json"];
        let launched = Stdio::from(log.reopen().unwrap());
        let mut gateway = Gateway::launch(Command::new(BINARY), "memory:", &args, launched);
        let (web_config, token) = gateway.create();
        let get = |token: &str, parent: &str| {
            let headers = [("traceparent", parent), ("tracestate", "a=1"), ("cookie", "c=hush")];
            gateway.get("/v1/x?secret=hush", token, &headers).status
        };
        let sampled = format!("00-{TRACE}-{PARENT}-01");
        assert_eq!(get(&token, &sampled), 200);
        let to_upstream = heads.recv().unwrap();
        let other = TRACE.replace('0', "1");
        assert_eq!(get(&token, &format!("00-{other}-{PARENT}-00")), 200);
        let unsampled = heads.recv().unwrap();
        assert_eq!(get(&token, &format!("00-{TRACE}-{PARENT}")), 200);
        let malformed = heads.recv().unwrap();
        let refused = TRACE.replace('0', "2");
        assert_eq!(get("hush.hush.hush", &format!("00-{refused}-{PARENT}-01")), 401);

        gateway.terminate();
        assert!(gateway.process.wait().unwrap().success());
        // All of them were sent before it ended.
        let spans: Vec<_> = std::iter::from_fn(|| spans.recv_timeout(Duration::from_secs(1)).ok()).collect();
        let of = |trace: &str, kind: i32| {
            let mut found = spans.iter().filter(|span| hex(&span.trace_id) == trace && span.kind == kind);
            let span = found.next();
            assert!(found.next().is_none(), "one span of a kind: {spans:?}");
            span
        };
        let (server, client) = (of(TRACE, SERVER).unwrap(), of(TRACE, CLIENT).unwrap());
        assert_eq!(hex(&server.parent_span_id), PARENT);
        assert_eq!(client.parent_span_id, server.span_id);
        let named = format!("00-{TRACE}-{}-01", hex(&client.span_id));
        assert_eq!(field(&to_upstream, "traceparent"), Some(&*named));
        assert_eq!(field(&to_upstream, "tracestate"), Some("a=1"));
        let said = attributes(server);
        for (name, value) in [
            ("http.request.method", "GET"),
            ("url.path", "/v1/x"),
            ("http.response.status_code", "200"),
            ("server.address", "localhost"),
            ("voicegain.web_config_id", &web_config),
        ] {
            assert_eq!(said.get(name).map(String::as_str), Some(value), "{name}: {said:?}");
        }
        assert_eq!(said["voicegain.request_id"].len(), 32);
        assert_eq!(attributes(client)["server.address"], "127.0.0.1");

        let passed_on = field(&unsampled, "traceparent").unwrap();
        assert!(passed_on.starts_with(&format!("00-{other}-")) && passed_on.ends_with("-00"), "{passed_on}");
        assert!(of(&other, SERVER).is_none() && of(&other, CLIENT).is_none());

        let begun = field(&malformed, "traceparent").unwrap().split('-').nth(1).unwrap();
        assert!(begun != TRACE && field(&malformed, "tracestate").is_none(), "{malformed}");
        assert!(of(begun, SERVER).unwrap().parent_span_id.is_empty());

        let of_refused = attributes(of(&refused, SERVER).unwrap());
        assert_eq!(of_refused["voicegain.reason"], "invalid_token");
        assert_eq!(of_refused["http.response.status_code"], "401");
        assert_eq!(spans.len(), 5, "{spans:?}");
        let all = format!("{spans:?}");
        for hidden in token.split('.').chain(["hush"]) {
            assert!(!all.contains(hidden), "{hidden}: {all}");
        }
        let log = fs::read_to_string(log.path()).unwrap();
        let mut lines = log.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        let line = lines.find(|line| line["message"] == "refused").unwrap();
        assert_eq!(line["span"]["trace_id"], *refused, "{line}");
        assert_eq!(line["request"], *of_refused["voicegain.request_id"]);
    }

    #[test]
    fn a_collector_that_is_down_costs_no_request() {
        // Free a moment ago, so nobody listens there.
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(BINARY);
        command.env("OTEL_BSP_SCHEDULE_DELAY", "20");
        let args = ["--otlp-endpoint", &format!("http://{nobody}")];
        let launched = Stdio::from(log.reopen().unwrap());
        let mut gateway = Gateway::launch(command, "memory:", &args, launched);
        let (_, token) = gateway.create();
        let told = || fs::read_to_string(log.path()).unwrap().matches("the collector takes no spans").count();
        while told() == 0 {
            assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
        }
        for _ in 0..100 {
            assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
        }
        gateway.terminate();
        assert!(gateway.process.wait().unwrap().success());
        assert_eq!(told(), 1, "not every time");
    }
}
