//! How a step must end.

use super::Expect;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// How a step ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// `accept`: the handler is reached, with the token's identity.
    #[default]
    Accept,
    /// `anonymous`: the handler is reached, without an identity.
    Anonymous,
    /// `preflight`: a gateway answers it, a layer passes it on as a preflight.
    Preflight,
    /// `minted`: a short-lived token.
    Minted,
    /// `refused`: one of `reasons`.
    Refused,
    /// `status`: this code, and nothing else is judged by itself.
    Status,
    /// `any`: whatever comes, `not_codes` aside.
    Any,
    /// `grpc`: a trailers-only refusal with this gRPC status.
    Grpc(String),
    /// `switched`: a 101.
    Switched,
    /// `done` and `denied`, of a change through the admin interface.
    Done,
    /// The change is not made.
    Denied,
    /// A reason of rule E.
    Reason(String),
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "accept" => Self::Accept,
            "anonymous" => Self::Anonymous,
            "preflight" => Self::Preflight,
            "minted" => Self::Minted,
            "refused" => Self::Refused,
            "status" => Self::Status,
            "any" => Self::Any,
            "switched" => Self::Switched,
            "done" => Self::Done,
            "denied" => Self::Denied,
            reason => match reason.strip_prefix("grpc ") {
                Some(reason) if crate::check::row(reason).is_some() => Self::Grpc(reason.to_owned()),
                None if crate::check::row(reason).is_some() => Self::Reason(reason.to_owned()),
                _ => return Err(D::Error::custom(format!("no such outcome: {text:?}"))),
            },
        })
    }
}

impl Outcome {
    /// Whether it is the accepting side of a rule, the refusing one, or neither.
    pub fn accepts(&self, expect: &Expect) -> Option<bool> {
        match self {
            Self::Accept | Self::Anonymous | Self::Preflight | Self::Minted | Self::Switched | Self::Done => {
                Some(true)
            }
            Self::Refused | Self::Denied | Self::Reason(_) | Self::Grpc(_) => Some(false),
            Self::Status => expect.code.map(|code| code < 400),
            Self::Any => None,
        }
    }
}
