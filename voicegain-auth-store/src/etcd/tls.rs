//! From files to what the client needs.

use std::fs;
use std::path::Path;

use etcd_client::{Certificate, Identity, TlsOptions};

use super::error::OpenError;
use super::url::TlsFiles;

pub(super) fn options(files: &TlsFiles) -> Result<TlsOptions, OpenError> {
    let mut options = TlsOptions::new();
    options = match &files.authorities {
        Some(path) => options.ca_certificate(Certificate::from_pem(read(path)?)),
        None => options.with_native_roots(),
    };
    if let Some((certificate, key)) = &files.identity {
        options = options.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(options)
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|source| OpenError::TlsFile { path: path.to_owned(), source })
}
