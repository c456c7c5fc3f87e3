//! Ports that whoever started the process had opened already, by systemd's protocol: they stay open, and connections wait in
//! them, while one process ends and the next one starts.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

/// What a socket is called that the API is served on (systemd: `FileDescriptorName=`).
const API: &str = "api";
/// What a socket is called that the admin port is.
const ADMIN: &str = "admin";

/// The sockets that were passed.
#[derive(Debug, Default)]
pub(crate) struct PassedSockets {
    pub(crate) api: Option<TcpListener>,
    pub(crate) admin: Option<TcpListener>,
}

/// Why passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedSocketsError {
    /// It is not clear what a socket is for.
    #[error(
        "a socket called `{0}` was passed: call the API's `api` and the admin port's `admin` (FileDescriptorName= in a systemd \
         socket unit)"
    )]
    UnknownName(String),
    /// Two are for the same.
    #[error("two sockets called `{0}` were passed; pass one of each")]
    Twice(&'static str),
    /// It is no TCP socket that listens.
    #[error(
        "the passed socket `{0}`: {1}; pass a TCP socket (ListenStream= with a port in a systemd socket unit)"
    )]
    Unfit(String, #[source] io::Error),
}

impl PassedSockets {
    /// Takes them from the environment, once, so that no other process gets them.
    pub(crate) fn take() -> Result<Self, PassedSocketsError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let names = names_of(&names, sockets.len());
        let mut passed = Self::default();
        for (at, name) in names.into_iter().enumerate() {
            let (place, known) = match &*name {
                API => (&mut passed.api, API),
                ADMIN => (&mut passed.admin, ADMIN),
                _ => return Err(PassedSocketsError::UnknownName(name)),
            };
            if place.is_some() {
                return Err(PassedSocketsError::Twice(known));
            }
            let socket = sockets.take_tcp_listener(at).and_then(|socket| {
                let socket = socket.ok_or(io::ErrorKind::NotFound)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            *place = Some(socket.map_err(|error| PassedSocketsError::Unfit(name, error))?);
        }
        Ok(passed)
    }
}

/// What each is called. A single one needs no name of ours: it is the API's.
fn names_of(names: &str, count: usize) -> Vec<String> {
    let mut names: Vec<String> = names.split(':').map(str::to_owned).collect();
    names.resize(count, String::new());
    match &mut *names {
        [only] if only != ADMIN => API.clone_into(only),
        _ => {}
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_socket_needs_no_name() {
        assert_eq!(names_of("", 0), [""; 0]);
        assert_eq!(names_of("", 1), ["api"]);
        assert_eq!(names_of("voicegain-gateway.socket", 1), ["api"]);
        assert_eq!(names_of("admin", 1), ["admin"]);
        assert_eq!(names_of("admin:api", 2), ["admin", "api"]);
        assert_eq!(names_of("api", 2), ["api", ""], "which is nothing that is known");
    }
}
