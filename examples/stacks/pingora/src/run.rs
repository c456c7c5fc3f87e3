//! From flags to a running gateway.

use std::process::ExitCode;
use std::sync::Arc;

use pingora::apps::HttpServerOptions;
use pingora::proxy::ProxyServiceBuilder;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use voicegain_gateway_core::cli::Args;
use voicegain_gateway_core::setup::Setup;
use voicegain_gateway_core::{logging, server};

use crate::proxy::Proxy;

/// Runs the gateway until a signal ends it.
pub fn main() -> ExitCode {
    let args = Args::parse("pingora-gateway", env!("CARGO_PKG_VERSION"));
    logging::init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pingora-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let upstream = args.upstream.as_ref().and_then(|upstream| upstream.authority());
    let upstream = upstream.ok_or("--upstream is needed here: there is no built-in echo")?;
    // The cache lives here. Pingora brings runtimes of its own for what it serves.
    let runtime = Runtime::new()?;
    if args.tls_cert.is_some() {
        return Err("--tls-cert does nothing here: leave it out, and have a proxy end TLS".into());
    }
    let setup = runtime.block_on(Setup::new(args, false))?;
    setup.announce()?;
    let Setup { gateway, admin, listener, admin_listener, admin_tls, .. } = setup;
    runtime.spawn(server::serve_router(admin_listener, admin_tls, admin, CancellationToken::new()));

    let conf = ServerConf { threads: 2, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let port = upstream.port_u16().unwrap_or(80);
    let proxy = Proxy::new(gateway, upstream.host(), port, args.max_body_bytes);
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    let mut service = ProxyServiceBuilder::new(&Arc::clone(&server.configuration), proxy)
        .name("gateway")
        .server_options(options)
        .build();
    // Pingora listens by itself.
    service.add_tcp(&listener.local_addr()?.to_string());
    drop(listener);
    server.add_service(service);
    server.run_forever()
}
