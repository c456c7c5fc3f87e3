//! Tokens in logs: actix's `Logger` on either side.

use std::sync::{Mutex, Once};

use actix_web::middleware::Logger;
use actix_web::{App, web};

use super::account;
use crate::support::{Served, World, all_sources, serve};

/// The lines of actix's `Logger`.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "around" {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn v1_a_logger_inside_logs_no_token_and_one_outside_needs_a_format_without_the_query() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
    let world = World::new();
    let auth = world.auth(all_sources());
    let logger = |format: &str| Logger::new(format).log_target("around");
    let token = world.token();
    let send = |server: Served| {
        let same = ("Sec-Fetch-Site", "same-origin");
        server.bearer("GET /v1/x?a=1", token).accepted();
        server.send(&format!("GET /v1/x?a=1&access_token={token}"), &[same]).accepted();
        server.send("GET /v1/x?a=1", &[same, ("Cookie", &format!("token={token}"))]).accepted();
        drop(server);
        std::mem::take(&mut *LINES.lock().unwrap())
    };
    let within = auth.clone();
    let inside = send(serve!(
        App::new()
            .wrap(logger("%r %{Cookie}i %{Authorization}i"))
            .wrap(within.clone())
            .default_service(web::to(account))
    ));
    assert_eq!(
        inside.iter().filter(|line| line.starts_with("GET /v1/x?a=1 HTTP/1.1")).count(),
        3,
        "{inside:?}"
    );
    assert!(!inside.concat().contains(token), "{inside:?}");
    let outside = |format: &'static str| {
        let auth = auth.clone();
        send(serve!(App::new().wrap(auth.clone()).wrap(logger(format)).default_service(web::to(account))))
    };
    assert!(outside("%r").concat().contains(token), "the README need not warn of this any longer");
    let lines = outside("%U %s");
    assert_eq!(lines, ["/v1/x 200"; 3]);
}
