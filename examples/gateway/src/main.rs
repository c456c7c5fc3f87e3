//! A gateway that puts Voicegain's tokens in front of an API: hyper, the Tower layer, and what both example gateways
//! share.

mod api;

use std::process::ExitCode;

use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use voicegain_auth_tower::AuthLayer;
use voicegain_gateway_core::cli::{Args, Start};
use voicegain_gateway_core::setup::{Setup, SetupError};
use voicegain_gateway_core::{last_uses, logging, open_files, server, signals};

use crate::api::Api;

/// A request that is passed on allocates three dozen times: with the system's allocator what the tokens cost is half as
/// much again.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Start::parse(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION")) {
        Start::Serve(args, ()) => args,
        Start::Do(job) => return job.run().await,
    };
    logging::init_as(args.log_format);
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_BIN_NAME"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), SetupError> {
    let setup = Setup::new(args, true).await?;
    let shutdown = signals::listen(setup.reloads()).map_err(SetupError::Signals)?;
    let listen = |error| SetupError::Listen("--listen", args.listen, error);
    setup.announce().map_err(listen)?;
    let Setup { gateway, admin, listener, admin_listener, tls, admin_tls, .. } = setup;

    let admin = server::serve_router(admin_listener, admin_tls, admin, shutdown.clone());
    // Nothing in front of the layer changes a path.
    let auth = AuthLayer::new(gateway.verifier().clone()).outermost();
    let cache = gateway.verifier().cache().clone();
    let websockets_over_http2 = gateway.has_upstream();
    let max_connections = open_files::max_connections();
    let make = |client| Api::new(gateway.clone(), auth.clone(), client);
    let listener = TcpListener::from_std(listener).map_err(listen)?;
    let api = server::serve(listener, tls, make, websockets_over_http2, max_connections, shutdown);
    tokio::join!(admin, api);
    last_uses::write(&cache).await;
    gateway.flush().await;
    Ok(())
}
