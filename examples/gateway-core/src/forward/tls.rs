//! How an `https` upstream is verified. There is no way not to.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::config::{ForwardConfig, ForwardConfigError};

/// The protocols that can be agreed on, by their names in ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Who an upstream has to be, and by whose word.
#[derive(Clone)]
pub(super) struct Tls {
    name: ServerName<'static>,
    roots: Arc<RootCertStore>,
}

impl Tls {
    /// For the upstream's host, which may be an IP address.
    pub(super) fn new(config: &ForwardConfig, host: &str) -> Result<Self, ForwardConfigError> {
        // A URL has brackets around an IPv6 address, a certificate has none.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ForwardConfigError::Host)?;
        let roots = match &config.ca_file {
            Some(file) => of_file(file)?,
            None => of_system()?,
        };
        Ok(Self { name, roots: Arc::new(roots) })
    }

    /// Opens connections of one protocol.
    pub(super) fn connector(
        &self,
        http: HttpConnector,
        protocol: Protocol,
    ) -> Result<HttpsConnector<HttpConnector>, ForwardConfigError> {
        // Not the process-wide provider, which may be another one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ForwardConfigError::Tls(error.to_string()))?;
        let mut config = config.with_root_certificates(Arc::clone(&self.roots)).with_no_client_auth();
        config.alpn_protocols = vec![match protocol {
            Protocol::Http1 => b"http/1.1".to_vec(),
            Protocol::Http2 => b"h2".to_vec(),
        }];
        let name = FixedServerNameResolver::new(self.name.clone());
        Ok(HttpsConnector::new(http, config, true, Arc::new(name)))
    }
}

/// The certificates of a file, which are all that is believed then.
fn of_file(file: &Path) -> Result<RootCertStore, ForwardConfigError> {
    let wrong = |problem: String| ForwardConfigError::CaFile(file.to_owned(), problem);
    let unread = |error: PemError| {
        wrong(match error {
            PemError::Io(error) => error.to_string(),
            error => format!("this is no PEM: {error}"),
        })
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unread)? {
        let number = roots.len().saturating_add(1);
        let unusable = |error| wrong(format!("certificate {number} cannot be used: {error}"));
        roots.add(certificate.map_err(unread)?).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(wrong(
            "there is no certificate in the file; write the authority's into it, as PEM".into(),
        ));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, ForwardConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system may have some that are too old to be understood.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    Err(ForwardConfigError::NoSystemRoots(found.errors.first().map(ToString::to_string)))
}
