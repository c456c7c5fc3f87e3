//! Between our values and PostgreSQL's.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use voicegain_auth_core::WebConfigId;
use voicegain_auth_core::store::EntryId;

use super::error::{Failed, Outcome};

/// A `uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Uuid(pub(super) [u8; 16]);

impl From<WebConfigId> for Uuid {
    fn from(id: WebConfigId) -> Self {
        Self(*id.as_bytes())
    }
}

impl From<EntryId> for Uuid {
    fn from(entry: EntryId) -> Self {
        Self(*entry.as_bytes())
    }
}

impl From<Uuid> for WebConfigId {
    fn from(uuid: Uuid) -> Self {
        Self::from_bytes(uuid.0)
    }
}

impl From<Uuid> for EntryId {
    fn from(uuid: Uuid) -> Self {
        Self::from_bytes(uuid.0)
    }
}

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}

/// A secret on its way into a statement. The client logs parameters as `Debug` shows them.
pub(super) struct Hidden<'a>(pub(super) &'a [u8]);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Hidden<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(of, out)
    }

    fn accepts(of: &Type) -> bool {
        <&[u8] as ToSql>::accepts(of)
    }

    to_sql_checked!();
}

/// A number for PostgreSQL, whose integers are signed.
pub(super) fn to_sql(number: u64) -> Outcome<i64> {
    i64::try_from(number).map_err(Failed::damaged)
}

/// How many rows to ask for.
pub(super) fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_among_the_parameters_is_not_shown() {
        assert_eq!(format!("{:?}", Hidden(&[65; 40])), "…");
    }
}
