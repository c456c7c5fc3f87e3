//! The case table on the HTTP stacks beside axum and actix-web: each with the layer or the adapter that its example shows.

mod answer;
mod hyper;
pub mod marks;
mod pingora;
mod poem;
mod rocket;
mod salvo;
pub mod summary;
mod tonic;
mod warp;

pub use self::hyper::{hyper, serve};
pub use self::pingora::Pingora;
pub use self::poem::poem;
pub use self::rocket::rocket;
pub use self::salvo::salvo;
pub use self::tonic::tonic;
pub use self::warp::warp;
