//! What comes before the middleware and after it (rules V8, V9, O10).

use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use http::StatusCode;
use tracing::{Instrument as _, Span};
use voicegain_auth_core::{Rejection, is_reserved_header};
use voicegain_gateway_core::head::{REQUEST_ID, Target};
use voicegain_gateway_core::{Began, Gateway, cors};

use crate::body::AnswerBody;
use crate::connection::{LastPart, Requests};
use crate::convert;
use crate::serve::Readable;

/// The gateway's own middleware, outside of the one that decides about tokens.
pub async fn gate<B: MessageBody + Unpin + 'static>(
    gateway: web::Data<Gateway>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<LastPart<EitherBody<B, AnswerBody>>>, Error> {
    let has_rest =
        [CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE].iter().any(|name| request.headers().contains_key(name));
    let under_way = request.conn_data::<Rc<Requests>>().map(|requests| requests.begin(has_rest));
    remove_reserved(request.headers_mut());
    let began = Began::now();
    request.extensions_mut().insert(began.id);
    // A head that cannot be read has none.
    let mut trace = None;
    let admitted = match convert::head(request.head(), Some(began.id)) {
        Ok(mut head) => {
            trace = gateway.trace(began, &mut head);
            if let Some(trace) = &trace {
                request.extensions_mut().insert(trace.clone());
            }
            let _logged = trace.as_ref().map(|trace| trace.log().enter());
            gateway.admit(&mut head)
        }
        Err(refusal) => {
            let (method, path) = (request.method().as_str(), request.uri().path());
            gateway.refused(&Target { method, path, id: began.id }, &refusal);
            Err(Box::new(cors::refused(refusal, false)))
        }
    };
    let mut response = match admitted {
        Ok(route) => {
            request.extensions_mut().insert(route);
            let log = trace.as_ref().map_or_else(Span::none, |trace| trace.log().clone());
            let mut response = next.call(request).instrument(log).await?;
            if response.response().extensions().get::<Readable>().is_none() {
                make_readable(response.headers_mut());
            }
            response.map_into_left_body()
        }
        Err(response) => {
            let response = convert::response(*response, request.method());
            request.into_response(response).map_into_right_body()
        }
    };
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or_default();
    let refusal = trace.as_ref().and_then(|_| response.response().extensions().get::<Rejection>().cloned());
    gateway.answered(began, status, trace.as_ref(), refusal.as_ref());
    if let Some((name, value)) = began.header().and_then(|id| convert::header_to_actix(&REQUEST_ID, &id)) {
        response.headers_mut().insert(name, value);
    }
    Ok(response.map_body(|_, body| LastPart::new(body, under_way)))
}

fn remove_reserved(headers: &mut HeaderMap) {
    let is_reserved = |name: &&HeaderName| is_reserved_header(name.as_str().as_bytes());
    let names: Vec<_> = headers.keys().filter(is_reserved).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Makes a refusal by the middleware readable by any page. It says `Vary: Origin` already (rule E).
fn make_readable(headers: &mut HeaderMap) {
    for (name, value) in &cors::REFUSAL_HEADERS {
        if let Some((name, value)) = convert::header_to_actix(name, value) {
            headers.insert(name, value);
        }
    }
    if !headers.contains_key(VARY) {
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
}
