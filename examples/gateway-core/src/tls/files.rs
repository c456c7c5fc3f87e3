use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode as _};

use super::error::{Problem, TlsError};
use crate::private_file;

/// The files that a port's TLS is made of, and the flags that name them.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The certificate and what is between it and its authority, the certificate first.
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// The authorities one of which must have signed a client's certificate, if clients need one.
    pub(crate) client_ca: Option<PathBuf>,
    /// The flags for the three of them.
    pub(crate) flags: [&'static str; 3],
    /// Whether HTTP/2 is offered too.
    pub(crate) http2: bool,
}

/// What was read.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since the Unix epoch.
    pub(super) not_after: i64,
}

impl Loaded {
    /// When the certificate ends, as people write it.
    pub(super) fn end(&self) -> String {
        let since_epoch = Duration::from_secs(u64::try_from(self.not_after).unwrap_or_default());
        DateTime::from_unix_duration(since_epoch)
            .map_or_else(|_| "for ever".to_owned(), |end| end.to_string())
    }

    pub(super) fn has_ended(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(self.not_after).is_ok_and(|end| end < now.as_secs())
    }
}

/// What tells one version of the files from another, without reading them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<Version>>);

/// Its device, number, mode and owner, and when any of them or the text was changed (0 where files have none of it), when the
/// text was, and its length. A key may come first and be closed to others only then.
type Version = ([u64; 4], [i64; 2], Option<SystemTime>, u64);

impl TlsFiles {
    pub(super) fn stamp(&self) -> Stamp {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        Stamp(files.into_iter().flatten().map(|file| version(file)).collect())
    }

    /// Until when the certificate is good, if the files can be used.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn check(&self) -> Result<String, TlsError> {
        let loaded = self.load()?;
        let [flag, ..] = self.flags;
        let past = if loaded.has_ended() { ", which is past: clients will refuse it; renew it" } else { "" };
        Ok(format!("{flag} {}: good until {}{past}", self.cert.display(), loaded.end()))
    }

    /// What the files hold.
    ///
    /// # Errors
    /// If they are no certificate and its key, or no authority.
    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let [cert_flag, key_flag, ca_flag] = self.flags;
        let of_cert = |problem| TlsError::new(cert_flag, &self.cert, problem);
        let chain = certificates(&self.cert).map_err(of_cert)?;
        let not_after = chain.first().ok_or(Problem::NoCertificate).and_then(end_of).map_err(of_cert)?;
        let of_key = |problem| TlsError::new(key_flag, &self.key, problem);
        let key = self.private_key().map_err(of_key)?;

        // Not the one of the process, which may be another.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| of_cert(Problem::Certificate(error.to_string())))?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(file) => {
                let verifier = client_verifier(file, provider)
                    .map_err(|problem| TlsError::new(ca_flag, file, problem))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        // What is wrong with the certificate alone has been found by now.
        let config = config.with_single_cert(chain, key);
        let mut config = config.map_err(|error| of_key(Problem::Key(error.to_string())))?;
        if self.http2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        config.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Loaded { config: Arc::new(config), not_after })
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Problem> {
        let (text, privacy) = private_file::read_shared(&self.key)?;
        privacy?;
        PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
            PemError::NoItemsFound => Problem::NoKey,
            error => Problem::NoPem(error),
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let text = fs::read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Problem::NoCertificate),
        Ok(all) => Ok(all),
        Err(error) => Err(Problem::NoPem(error)),
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Result<i64, Problem> {
    let certificate =
        Certificate::from_der(certificate).map_err(|error| Problem::Certificate(error.to_string()))?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    Ok(i64::try_from(end.as_secs()).unwrap_or(i64::MAX))
}

fn client_verifier(
    file: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| Problem::Authority(error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| Problem::Authority(error.to_string()))
}

/// Of the file that the name leads to.
fn version(file: &Path) -> Option<Version> {
    let metadata = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let (marks, changed) = {
        use std::os::unix::fs::MetadataExt as _;
        let marks = [metadata.dev(), metadata.ino(), metadata.mode().into(), metadata.uid().into()];
        (marks, [metadata.ctime(), metadata.ctime_nsec()])
    };
    #[cfg(not(unix))]
    let (marks, changed) = ([0; 4], [0; 2]);
    Some((marks, changed, metadata.modified().ok(), metadata.len()))
}
