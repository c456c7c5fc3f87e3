use std::path::{Path, PathBuf};

use crate::private_file::Exposure;

/// Why a port cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {file}: {problem}", file = .file.display())]
pub struct TlsError {
    flag: &'static str,
    file: PathBuf,
    problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Unreadable(#[from] std::io::Error),
    #[error(transparent)]
    Exposed(#[from] Exposure),
    #[error("this is no PEM: {0}")]
    NoPem(rustls::pki_types::pem::Error),
    #[error(
        "there is no certificate in the file; write it there as PEM, and behind it those between it and its authority"
    )]
    NoCertificate,
    #[error("there is no private key in the file; write it there as PEM (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    #[error("the key cannot be used: {0}; it has to be the one that the certificate was made for")]
    Key(String),
    #[error("the authority cannot be used: {0}")]
    Authority(String),
}

impl TlsError {
    pub(super) fn new(flag: &'static str, file: &Path, problem: impl Into<Problem>) -> Self {
        Self { flag, file: file.to_owned(), problem: problem.into() }
    }

    /// The setting that names the file.
    pub(crate) fn settings(&self) -> &'static [&'static str] {
        match self.flag {
            "--tls-cert" => &["tls-cert"],
            "--tls-key" => &["tls-key"],
            "--admin-tls-cert" => &["admin-tls-cert"],
            "--admin-tls-key" => &["admin-tls-key"],
            _ => &["admin-client-ca"],
        }
    }
}
