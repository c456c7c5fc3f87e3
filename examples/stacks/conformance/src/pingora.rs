//! Pingora, as a gateway of its own process: that of its example, in front of an echo of what it is sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use ::hyper::body::Incoming;
use ::hyper::{Request, Response};
use bytes::Bytes;
use conformance::stack::{BoxFuture, Guard, Kind, Running, Stack, Variant};
use conformance::stacks::echo;
use conformance::stacks::gateway::GatewayProcess;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Pingora's gateway.
#[derive(Debug)]
pub struct Pingora(pub PathBuf);

impl Pingora {
    fn process(&self, more: &[String]) -> GatewayProcess {
        GatewayProcess::new("pingora", &self.0, more, true)
    }
}

impl Stack for Pingora {
    fn name(&self) -> &str {
        "pingora"
    }

    fn kind(&self) -> Kind {
        Kind::Gateway
    }

    fn http2(&self) -> bool {
        true
    }

    fn lacks(&self, variant: Variant) -> Option<&'static str> {
        self.process(&[]).lacks(variant)
    }

    fn start(&self, variant: Variant) -> BoxFuture<'_, Result<Running, String>> {
        Box::pin(async move {
            if variant == Variant::Upstream {
                return self.process(&[]).start(variant).await;
            }
            // It has no built-in echo.
            let (addr, server) = upstream().await.map_err(|error| error.to_string())?;
            let process = self.process(&["--upstream".to_owned(), format!("http://{addr}")]);
            let running = process.start(variant).await?;
            Ok(Running { guard: Box::new(Echoing { server, gateway: running.guard }), ..running })
        })
    }
}

struct Echoing {
    server: JoinHandle<()>,
    gateway: Box<dyn Guard>,
}

impl Guard for Echoing {
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        self.server.abort();
        self.gateway.stop()
    }
}

async fn upstream() -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = ::hyper::service::service_fn(handler);
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok((addr, server))
}

/// Everything that came, the identity in the gateway's headers included.
async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let length = body.collect().await.map_or(0, |body| body.to_bytes().len());
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let uri = &head.uri;
    let text = echo::everything(head.method.as_str(), uri.path(), uri.query(), headers, length);
    let mut response = Response::new(Full::from(text));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}
