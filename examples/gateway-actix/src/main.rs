//! The same gateway on actix-web: its middleware, and what both example gateways share.
//!
//! actix's workers parse and write HTTP. Everything else, the store's change feed, the admin port and the exchanges with
//! the upstream, runs on one tokio runtime beside them.

mod body;
mod connection;
mod convert;
mod gate;
mod serve;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use voicegain_gateway_core::cli::{Args, Start};
use voicegain_gateway_core::server::serve_router;
use voicegain_gateway_core::setup::{Setup, SetupError};
use voicegain_gateway_core::{last_uses, logging, signals};

/// How long what was accepted has to begin before the workers are told to end: actix does not say when it has.
const PAUSE: Duration = Duration::from_millis(500);

/// Flags besides.
#[derive(clap::Args)]
struct OwnArgs {
    /// Take HTTP/2 too, without limits on what it may cost: only behind a proxy that has them
    #[arg(long)]
    http2: bool,
}

fn main() -> ExitCode {
    let start = Start::parse(env!("CARGO_BIN_NAME"), env!("CARGO_PKG_VERSION"));
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string());
    let (args, own): (_, OwnArgs) = match (start, &runtime) {
        (Start::Serve(args, own), _) => (args, own),
        (Start::Do(job), Ok(runtime)) => return runtime.block_on(job.run()),
        (Start::Do(_), Err(error)) => {
            eprintln!("{}: {error}", env!("CARGO_BIN_NAME"));
            return ExitCode::FAILURE;
        }
    };
    logging::init_as(args.log_format);
    let ended = runtime.and_then(|runtime| run(&args, &own, runtime).map_err(|error| error.to_string()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_BIN_NAME"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, own: &OwnArgs, runtime: Runtime) -> Result<(), SetupError> {
    let (setup, shutdown) = runtime.block_on(async {
        let setup = Setup::new(args, own.http2).await?;
        let shutdown = signals::listen(setup.reloads()).map_err(SetupError::Signals)?;
        Ok::<_, SetupError>((setup, shutdown))
    })?;
    let listen = |error| SetupError::Listen("--listen", args.listen, error);
    setup.announce().map_err(listen)?;
    let Setup { gateway, admin, listener, admin_listener, store, tls, admin_tls, .. } = setup;

    let admin = runtime.spawn(serve_router(admin_listener, admin_tls, admin, shutdown.clone()));
    let handle = runtime.handle().clone();
    let cache = gateway.verifier().cache().clone();
    let spans = gateway.clone();
    let served = actix_web::rt::System::new().block_on(async {
        let server = server::new(listener, tls, gateway, handle, own.http2, shutdown.clone())?;
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            shutdown.cancelled().await;
            // Workers that stop drop what is still accepted for them, so nothing may be by then.
            handle.pause().await;
            tokio::time::sleep(PAUSE).await;
            handle.stop(true).await;
        });
        server.await
    });
    served.map_err(listen)?;
    if runtime.block_on(admin).is_err() {
        tracing::error!("the admin port has failed");
    }
    runtime.block_on(last_uses::write(&cache));
    drop(cache);
    runtime.block_on(spans.flush());
    drop(spans);
    // Ends the change feed, which reads the store.
    drop(runtime);
    if let Some(store) = store {
        // actix does not wait for its workers' threads, which may still hold a handle.
        store.close();
    }
    Ok(())
}
