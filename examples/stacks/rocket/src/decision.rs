use std::io::Cursor;
use std::sync::atomic::AtomicBool;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rocket::http::Status;
use rocket::{Request, Response};
use voicegain_auth_core::{Admitted, Rejection};

/// What was decided about a request, kept in its local cache.
pub enum Decision {
    /// Nothing: the fairing is not attached.
    Missing,
    /// Let in.
    Admitted {
        admitted: Admitted,
        /// A guard has asked for an identity that is not there.
        asked: AtomicBool,
    },
    Refused(Rejection),
}

impl Decision {
    pub fn of<'a>(request: &'a Request<'_>) -> &'a Self {
        request.local_cache(|| Self::Missing)
    }

    pub fn keep(request: &Request<'_>, decision: Result<Admitted, Rejection>) {
        request.local_cache(|| match decision {
            Ok(admitted) => Self::Admitted { admitted, asked: AtomicBool::new(false) },
            Err(rejection) => Self::Refused(rejection),
        });
    }
}

/// The answer of rule E, for gRPC if the request was.
pub fn refusal(request: &Request<'_>, rejection: &Rejection) -> Response<'static> {
    let mut response = Response::new();
    for (name, value) in rejection.headers() {
        response.set_raw_header(name, value.into_owned());
    }
    let is_grpc = request.headers().get_one("content-type").and_then(|value| value.get(..GRPC.len()));
    if is_grpc.is_some_and(|start| start.eq_ignore_ascii_case(GRPC)) {
        let reason = rejection.reason();
        response.set_status(Status::Ok);
        response.set_raw_header("Content-Type", GRPC);
        response.set_raw_header("grpc-status", reason.grpc_status().to_string());
        response.set_raw_header("voicegain-reason", reason.as_str());
        let message = utf8_percent_encode(rejection.detail(), GRPC_MESSAGE).to_string();
        response.set_raw_header("grpc-message", message);
    } else {
        response.set_status(Status::new(rejection.status()));
        response.set_raw_header("Content-Type", Rejection::CONTENT_TYPE);
        let body = rejection.body();
        response.set_sized_body(body.len(), Cursor::new(body));
    }
    response
}

const GRPC: &str = "application/grpc";

/// What the gRPC protocol percent-encodes in `grpc-message`: all but visible ASCII and the space, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');
