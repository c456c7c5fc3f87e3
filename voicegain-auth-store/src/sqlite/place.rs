use std::sync::Arc;

use super::files::Files;
use crate::sealing::Sealing;

/// What both threads know of the store besides their connections.
pub(super) struct Place {
    pub(super) files: Arc<Files>,
    pub(super) sealing: Sealing,
    pub(super) log_capacity: u32,
}
