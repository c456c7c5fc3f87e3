use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::forward::{BoxError, ForwardBody};

/// The body of a gateway's answer: its own, or the upstream's.
pub struct GatewayBody(Kind);

enum Kind {
    Own(Full<Bytes>),
    Upstream(ForwardBody),
}

impl Default for GatewayBody {
    fn default() -> Self {
        Self(Kind::Own(Full::default()))
    }
}

impl From<Bytes> for GatewayBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Own(Full::new(bytes)))
    }
}

impl From<String> for GatewayBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<ForwardBody> for GatewayBody {
    fn from(body: ForwardBody) -> Self {
        Self(Kind::Upstream(body))
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Kind::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Own(body) => body.is_end_stream(),
            Kind::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Own(body) => body.size_hint(),
            Kind::Upstream(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for GatewayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Own(_) => "GatewayBody::Own",
            Kind::Upstream(_) => "GatewayBody::Upstream",
        })
    }
}
