//! What loading many web configs at once goes on without.

use voicegain_auth_core::{StoreError, StoredWebConfig, WebConfigId};

/// The web configs of one page, as far as they can be read. One that cannot must not keep the others from being loaded; a
/// request for it will be told why.
#[derive(Default)]
pub(crate) struct Readable {
    pub(crate) stored: Vec<StoredWebConfig>,
    left_out: u64,
    first: Option<(WebConfigId, StoreError)>,
}

impl Readable {
    pub(crate) fn take(&mut self, id: WebConfigId, read: Result<StoredWebConfig, StoreError>) {
        match read {
            Ok(stored) => self.stored.push(stored),
            Err(error) => {
                self.left_out = self.left_out.saturating_add(1);
                self.first.get_or_insert((id, error));
            }
        }
    }

    /// Says in the log how many were left out, if any were. One line a page: a missing key may be that of all of them.
    pub(crate) fn finish(self) -> Vec<StoredWebConfig> {
        if let Some((id, error)) = self.first {
            let error = error.chain();
            tracing::warn!(left_out = self.left_out, first = %id, error, "web configs were left out of loading many at once");
        }
        self.stored
    }
}
