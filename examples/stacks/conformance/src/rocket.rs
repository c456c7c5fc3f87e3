//! Rocket, with the fairing of its example.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Mutex;

use ::rocket::config::{LogLevel, Shutdown};
use ::rocket::data::ToByteUnit as _;
use ::rocket::fairing::AdHoc;
use ::rocket::http::{ContentType, Method, Status};
use ::rocket::route::{Handler, Outcome};
use ::rocket::{Config, Data, Request, Response, Route, async_trait};
use conformance::stack::{Running, Variant};
use conformance::stacks::library::LibraryStack;
use conformance::stacks::{echo, in_process};
use rocket_app::{Auth, Caller};
use tokio::sync::oneshot;
use voicegain_auth_core as core;

/// Rocket, with `Auth` of its example.
pub fn rocket() -> LibraryStack {
    LibraryStack::new("rocket", true, start)
}

async fn start(variant: Variant) -> Result<Running, String> {
    use Method::{Connect, Delete, Get, Options, Patch, Post, Put, Trace};
    const METHODS: [Method; 8] = [Get, Put, Post, Delete, Options, Trace, Connect, Patch];

    let (verifier, issuer) = in_process::verifier(variant)?;
    let (sender, receiver) = oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let started = AdHoc::on_liftoff("started", move |rocket| {
        let addr = SocketAddr::new(rocket.config().address, rocket.config().port);
        let sender = sender.lock().ok().and_then(|mut sender| sender.take());
        let _ = sender.map(|sender| sender.send(addr));
        Box::pin(async {})
    });
    let shutdown = Shutdown { ctrlc: false, signals: [].into(), ..Shutdown::default() };
    // Below that Rocket logs every request whole, with its token, before any code of ours sees it.
    log::set_max_level(log::LevelFilter::Info);
    let config =
        Config { port: 0, log_level: LogLevel::Normal, cli_colors: false, shutdown, ..Config::default() };
    let routes: Vec<_> = METHODS.map(|method| Route::new(method, "/<path..>", Echo)).into();
    let app = ::rocket::custom(config).attach(Auth(verifier)).attach(started).mount("/", routes);
    let server = tokio::spawn(async move {
        if let Err(error) = app.launch().await {
            println!("Rocket has ended: {error}");
        }
    });
    let addr = receiver.await.map_err(|_| "Rocket did not start")?;
    Ok(in_process::running(addr, issuer, server))
}

#[derive(Clone)]
struct Echo;

#[async_trait]
impl Handler for Echo {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let caller = match request.guard::<Caller>().await {
            ::rocket::outcome::Outcome::Success(Caller(caller)) => caller,
            ::rocket::outcome::Outcome::Error((status, _)) => return Outcome::Error(status),
            ::rocket::outcome::Outcome::Forward(status) => return Outcome::forward(data, status),
        };
        let mut response = Response::new();
        if matches!(caller, core::Caller::Preflight) {
            response.set_status(Status::NoContent);
            response.set_raw_header("x-caller", "preflight");
            return Outcome::Success(response);
        }
        let Ok(body) = data.open(1.mebibytes()).into_bytes().await else {
            return Outcome::Error(Status::BadRequest);
        };
        let headers: Vec<_> = request.headers().iter().collect();
        let headers = headers.iter().map(|line| (line.name().as_str(), line.value().as_bytes()));
        let uri = request.uri();
        let query = uri.query().map(|query| query.as_str());
        let (method, path) = (request.method().as_str(), uri.path().as_str());
        let text = echo::answer(&caller, method, path, query, headers, body.len());
        response.set_header(ContentType::JSON);
        response.set_sized_body(text.len(), Cursor::new(text));
        Outcome::Success(response)
    }
}
