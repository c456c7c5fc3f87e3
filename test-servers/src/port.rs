use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

use crate::{Result, ServerError};

const LOWEST: u16 = 15_000;

/// The reservations of this process: each is an abstract socket, which the kernel gives back when the process
/// ends.
static RESERVED: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nobody listens on.
///
/// It is this process's until that ends: no other call hands it out, here or in another process, also while
/// the server it was taken for is down. It lies below the range from which the system takes ports by itself.
///
/// # Errors
/// If no port is free.
pub fn free_port() -> Result<u16> {
    let highest = first_ephemeral_port().max(LOWEST + 1000);
    let random = RandomState::new().build_hasher().finish();
    let count = u64::from(highest - LOWEST);
    for step in 0..count {
        let port = LOWEST + u16::try_from((random % count + step) % count).unwrap_or_default();
        let Ok(name) = SocketAddr::from_abstract_name(format!("voicegain-test-servers-port-{port}")) else {
            continue;
        };
        let Ok(reservation) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(reservation);
            return Ok(port);
        }
    }
    Err(ServerError::failed("a free port", format!("none from {LOWEST} to {highest} is")))
}

fn first_ephemeral_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768)
}
