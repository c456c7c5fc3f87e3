//! A gRPC service whose callers are known, and the server that knows them.

use std::pin::Pin;

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use voicegain_auth_core::Caller;

mod generated {
    #![allow(missing_docs, clippy::all, reason = "not written by people")]
    include!(concat!(env!("OUT_DIR"), "/example.Talk.rs"));
}

mod revoked;
mod server;

pub use generated::{talk_client, talk_server};
pub use revoked::{EndRevoked, EndRevokedService};
pub use server::server;

/// The message of every method.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Text {
    /// What it says.
    #[prost(string, tag = "1")]
    pub text: String,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text }
    }
}

/// The account that calls. The layer has refused whoever has no token, so that this fails only where it is missing.
fn account<T>(request: &Request<T>) -> Result<String, Status> {
    match request.extensions().get() {
        Some(Caller::Identified(identity)) => Ok(identity.account_id().to_string()),
        _ => Err(Status::internal("nobody knows who calls")),
    }
}

/// Says who calls, in all four ways there are. Counting goes up to what is said, or to three.
#[derive(Clone, Copy, Debug)]
pub struct Talk;

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

#[tonic::async_trait]
impl talk_server::Talk for Talk {
    async fn hello(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        let text = format!("{} says {}", account(&request)?, request.get_ref().text);
        Ok(Response::new(text.into()))
    }

    async fn collect(&self, request: Request<Streaming<Text>>) -> Result<Response<Text>, Status> {
        let mut text = format!("{} says", account(&request)?);
        let mut messages = request.into_inner();
        while let Some(message) = messages.message().await? {
            text = format!("{text} {}", message.text);
        }
        Ok(Response::new(text.into()))
    }

    type CountStream = Texts;

    async fn count(&self, request: Request<Text>) -> Result<Response<Texts>, Status> {
        let account = account(&request)?;
        let last: u64 = request.get_ref().text.parse().unwrap_or(3);
        let numbers =
            tokio_stream::iter(1..=last).map(move |number| Ok(format!("{account} {number}").into()));
        Ok(Response::new(Box::pin(numbers)))
    }

    type ChatStream = Texts;

    async fn chat(&self, request: Request<Streaming<Text>>) -> Result<Response<Texts>, Status> {
        let account = account(&request)?;
        let answers =
            request.into_inner().map(move |message| Ok(format!("{account} says {}", message?.text).into()));
        Ok(Response::new(Box::pin(answers)))
    }
}
