//! A request for these tests.

use voicegain_auth_core::{Field, RequestHead, RequestId};

/// A request that has a token, or an id, and nothing else.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) authorization: Option<String>,
    pub(crate) id: Option<RequestId>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/v1/x"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn request_id(&self) -> Option<RequestId> {
        self.id
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        let token = self.authorization.as_deref().filter(|_| field == Field::Authorization);
        token.map(str::as_bytes).into_iter()
    }
}
