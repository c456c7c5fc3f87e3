use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;
use voicegain_auth_core::store::BoxError;

/// TLS that verifies the server's certificate and its host name, with a provider of its own: the process-wide one
/// is the application's.
pub(super) fn connector(
    needed: bool,
    root_certificates: Option<&Path>,
) -> Result<MakeRustlsConnect, BoxError> {
    let roots = match root_certificates {
        _ if !needed => RootCertStore::empty(),
        Some(file) => from_file(file)?,
        None => of_the_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn from_file(file: &Path) -> Result<RootCertStore, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in the file".into());
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, BoxError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let error = found.errors.into_iter().next();
    Err(error.map_or_else(|| "the system has no root certificates".into(), Into::into))
}
