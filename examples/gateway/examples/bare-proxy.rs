//! What the gateway is without its tokens: the same server and the same forwarding, to measure what they cost. It lets
//! everybody through, and is no part of the gateway.
//!
//! ```text
//! bare-proxy http://127.0.0.1:9000        # forwards, and no more
//! bare-proxy http://127.0.0.1:9000 gate   # also what the gateway does around its decisions about tokens
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::ORIGIN;
use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use voicegain_auth_core::BasePath;
use voicegain_gateway_core::forward::{ForwardConfig, ForwardContext, Forwarder};
use voicegain_gateway_core::gate::{self, Route};
use voicegain_gateway_core::head::{HttpHead, check_size, remove_reserved};
use voicegain_gateway_core::signals::{self, Reloads};
use voicegain_gateway_core::{GatewayBody, Refusal, cors, is_grpc, logging, open_files, server};

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    logging::init();
    let mut words = std::env::args().skip(1);
    let upstream = words.next().ok_or("name the upstream, as in http://127.0.0.1:9000")?;
    let gate: Option<BasePath> = match words.next().as_deref() {
        None => None,
        Some("gate") => Some("/v1".parse()?),
        Some(other) => return Err(format!("`{other}` is neither nothing nor gate").into()),
    };

    // As the gateway has it.
    let mut config = ForwardConfig::new(upstream.parse()?);
    config.max_body_bytes = Some(1 << 30);
    config.via = Some("voicegain-gateway".to_owned());
    open_files::raise_limit();
    config.max_exchanges = Some(open_files::max_connections());
    let forwarder = Forwarder::new(config)?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let make = |client: SocketAddr| {
        let (forwarder, gate) = (forwarder.clone(), gate.clone());
        service_fn(move |request| {
            let (forwarder, gate) = (forwarder.clone(), gate.clone());
            async move {
                let response = match gate {
                    Some(base) => gated(&base, &forwarder, request, client.ip()).await,
                    None => forward(&forwarder, request, client.ip()).await,
                };
                Ok::<_, Infallible>(response)
            }
        })
    };
    let shutdown = signals::listen(Reloads::default())?;
    server::serve(listener, None, make, true, open_files::max_connections(), shutdown).await;
    Ok(())
}

async fn forward(forwarder: &Forwarder, request: Request<Incoming>, client: IpAddr) -> Response<GatewayBody> {
    let grpc = is_grpc(request.headers());
    match forwarder.forward(request, ForwardContext::new(client, Scheme::HTTP)).await {
        Ok(response) => response.map(GatewayBody::from),
        Err(error) => Refusal::from(error).into_response(grpc),
    }
}

/// The steps of the gateway before and after the middleware.
async fn gated(
    base: &BasePath,
    forwarder: &Forwarder,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<GatewayBody> {
    let (mut head, body) = request.into_parts();
    remove_reserved(&mut head.headers);
    let decided =
        check_size(&head).map_err(Refusal::from).and_then(|()| gate::decide(&HttpHead(&head), base));
    match decided {
        Ok(Route::Preflight) => cors::preflight(&head.headers),
        Ok(_) => {
            let origin = head.headers.get(ORIGIN).cloned();
            let mut response = forward(forwarder, Request::from_parts(head, body), client).await;
            cors::accept(&mut response, origin.as_ref());
            response
        }
        Err(refusal) => cors::refused(refusal, is_grpc(&head.headers)),
    }
}
