//! What the admin API says of itself, in the words of OpenAPI.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json")).into_response()
}
