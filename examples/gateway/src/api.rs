//! The main port: gate, layer, and what is behind them.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use voicegain_auth_core::Caller;
use voicegain_auth_tower::{AuthLayer, AuthService};
use voicegain_gateway_core::gate::Route;
use voicegain_gateway_core::{Arrival, Gateway, GatewayBody, cors};

type Answer = Pin<Box<dyn Future<Output = Result<Response<GatewayBody>, Infallible>> + Send>>;

/// What a connection is served with.
#[derive(Clone)]
pub struct Api {
    gateway: Gateway,
    behind: AuthService<Behind>,
}

impl Api {
    pub fn new(gateway: Gateway, auth: AuthLayer, client: SocketAddr) -> Self {
        let behind = Behind { gateway: gateway.clone(), client: client.ip() };
        Self { gateway, behind: tower::Layer::layer(&auth, behind) }
    }
}

impl hyper::service::Service<Request<Incoming>> for Api {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let (mut head, body) = request.into_parts();
        let route = match self.gateway.admit(&mut head) {
            Ok(route) => route,
            Err(response) => return Box::pin(async { Ok(*response) }),
        };
        head.extensions.insert(route);
        let answer = self.behind.clone().oneshot(Request::from_parts(head, body));
        Box::pin(async {
            let mut response = answer.await?;
            cors::finish(&mut response);
            Ok(response)
        })
    }
}

/// What is behind the layer.
#[derive(Clone)]
struct Behind {
    gateway: Gateway,
    client: IpAddr,
}

impl tower_service::Service<Request<Incoming>> for Behind {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Answer {
        let caller = request.extensions_mut().remove::<Caller>();
        let route = request.extensions_mut().remove::<Route>().unwrap_or(Route::Upstream);
        let arrival = Arrival { caller, route, client: self.client, upgrade: None };
        let gateway = self.gateway.clone();
        Box::pin(async move { Ok(gateway.serve(request, arrival).await) })
    }
}
