use std::io;
use std::path::{Path, PathBuf};

/// Why a server is not as a test wants it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A program is not installed.
    #[error("{program} was not found: run `cargo xtask servers`, or install the Debian package {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A server, or a tool of it, did not do what it was asked for.
    #[error("{what}: {said}")]
    Failed {
        /// What was asked for.
        what: String,
        /// What the server or the tool said.
        said: String,
    },
    /// A file, a port or a process could not be handled.
    #[error("{subject}: {source}")]
    Io {
        /// The file, port or program.
        subject: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ServerError {
    pub(crate) fn failed(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), said: said.into() }
    }

    pub(crate) fn io(subject: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let subject = subject.as_ref().to_path_buf();
        move |source| Self::Io { subject, source }
    }
}
