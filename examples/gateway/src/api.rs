//! The main port: gate, layer, and what is behind them.

use std::convert::Infallible;
use std::future::{self, Future, Ready};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_layer::Layer as _;
use tower_service::Service;
use tracing::span::Entered;
use voicegain_auth_core::Caller;
use voicegain_auth_tower::{AuthLayer, AuthService};
use voicegain_gateway_core::gate::Route;
use voicegain_gateway_core::head::REQUEST_ID;
use voicegain_gateway_core::otel::Trace;
use voicegain_gateway_core::{Arrival, Began, Connected, Gateway, GatewayBody, cors};

type Answered = Result<Response<GatewayBody>, Infallible>;

/// What a connection is served with.
#[derive(Clone)]
pub struct Api {
    gateway: Gateway,
    auth: AuthLayer,
    client: IpAddr,
    /// Dropped with the connection.
    _connected: Arc<Connected>,
}

impl Api {
    pub fn new(gateway: Gateway, auth: AuthLayer, client: SocketAddr) -> Self {
        let connected = Arc::new(gateway.connected());
        Self { gateway, auth, client: client.ip(), _connected: connected }
    }
}

/// The answer to one request.
type Answer = Either<Ready<Answered>, Answering>;

impl Api {
    fn answer(&self, request: Request<Incoming>) -> Answer {
        let (mut head, body) = request.into_parts();
        let began = Began::now();
        head.extensions.insert(began.id);
        let trace = self.gateway.trace(began, &mut head);
        let finish = Finish { gateway: self.gateway.clone(), began, trace };
        let logged = finish.logged();
        let route = match self.gateway.admit(&mut head) {
            Ok(route) => route,
            Err(response) => return Either::Left(future::ready(Ok(finish.finish(*response)))),
        };
        let behind = Behind { gateway: self.gateway.clone(), client: self.client, route };
        // It is ready whenever what is behind it is, and that is always.
        let answered = self.auth.layer(behind).call(Request::from_parts(head, body));
        drop(logged);
        Either::Right(Answering { answered, finish })
    }
}

/// What is done once there is an answer.
pub struct Finish {
    gateway: Gateway,
    began: Began,
    trace: Option<Trace>,
}

impl Finish {
    /// Lines of the log belong to the request's trace until what is returned is dropped.
    fn logged(&self) -> Option<Entered<'_>> {
        self.trace.as_ref().map(|trace| trace.log().enter())
    }

    fn finish(&self, mut response: Response<GatewayBody>) -> Response<GatewayBody> {
        cors::finish(&mut response);
        let refusal = self.trace.as_ref().and_then(|_| response.extensions().get());
        self.gateway.answered(self.began, response.status(), self.trace.as_ref(), refusal);
        if let Some(id) = self.began.header() {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

pin_project! {
    /// An answer that comes by way of the layer.
    pub struct Answering {
        #[pin]
        answered: <AuthService<Behind> as Service<Request<Incoming>>>::Future,
        finish: Finish,
    }
}

impl Future for Answering {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let this = self.project();
        let answered = {
            let _logged = this.finish.logged();
            this.answered.poll(cx)
        };
        let response = ready!(answered)?;
        Poll::Ready(Ok(this.finish.finish(response)))
    }
}

impl hyper::service::Service<Request<Incoming>> for Api {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Either<Answer, Pin<Box<dyn Future<Output = Answered> + Send>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.version() != Version::HTTP_2 {
            return Either::Left(self.answer(request));
        }
        // hyper calls this in the connection's own task, and what it returns in one for each stream: there nobody waits for
        // what another stream begins with.
        let api = self.clone();
        Either::Right(Box::pin(async move { api.answer(request).await }))
    }
}

/// What is behind the layer, for one request.
#[derive(Clone)]
pub struct Behind {
    gateway: Gateway,
    client: IpAddr,
    route: Route,
}

impl Service<Request<Incoming>> for Behind {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let caller = request.extensions_mut().remove::<Caller>();
        let arrival = Arrival { caller, route: self.route, client: self.client, upgrade: None };
        Box::pin(self.gateway.serve(request, arrival).map(Ok))
    }
}
