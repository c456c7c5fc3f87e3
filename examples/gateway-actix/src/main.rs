//! The same gateway on actix-web: its middleware, and what both example gateways share.
//!
//! actix's workers parse and write HTTP. Everything else, the store's change feed, the admin port and the exchanges with
//! the upstream, runs on one tokio runtime beside them.

mod body;
mod convert;
mod gate;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use actix_web::{App, HttpServer, middleware, web};
use tokio::runtime::{Builder, Runtime};
use voicegain_auth_actix::Auth;
use voicegain_gateway_core::cli::Args;
use voicegain_gateway_core::setup::{Setup, SetupError};
use voicegain_gateway_core::{logging, server, signals};

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let args = Args::parse(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"));
    logging::init();
    let ended = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| run(&args, runtime).map_err(|error| error.to_string()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_BIN_NAME"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, runtime: Runtime) -> Result<(), SetupError> {
    let (setup, shutdown) = runtime.block_on(async {
        let setup = Setup::new(args).await?;
        let shutdown = signals::listen(setup.key_file.clone()).map_err(SetupError::Signals)?;
        Ok::<_, SetupError>((setup, shutdown))
    })?;
    let listen = |error| SetupError::Listen("--listen", args.listen, error);
    setup.announce().map_err(listen)?;
    let Setup { gateway, admin, listener, admin_listener, store, .. } = setup;

    let admin = runtime.spawn(server::serve_router(admin_listener, admin, shutdown.clone()));
    let handle = runtime.handle().clone();
    let app = move || {
        App::new()
            .app_data(web::Data::new(gateway.clone()))
            .app_data(web::Data::new(handle.clone()))
            .wrap(Auth::new(gateway.verifier().clone()))
            .wrap(middleware::from_fn(gate::gate))
            .default_service(web::route().to(serve::serve))
    };
    let served = actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(app)
            .client_request_timeout(HEAD_TIMEOUT)
            .disable_signals()
            .shutdown_timeout(signals::GRACE.as_secs())
            .listen_auto_h2c(listener)?
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            shutdown.cancelled().await;
            handle.stop(true).await;
        });
        server.await
    });
    served.map_err(listen)?;
    if runtime.block_on(admin).is_err() {
        tracing::error!("the admin port has failed");
    }
    // Ends the change feed, which reads the store.
    drop(runtime);
    if let Some(store) = store {
        // actix does not wait for its workers' threads, which may still hold a handle.
        store.close();
    }
    Ok(())
}
