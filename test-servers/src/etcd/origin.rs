//! Which member a connection to another one comes from.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::proxy::Origin;

/// Tells by whose socket it is which member a connection comes from: they all connect from the same address.
pub(super) fn origin(members: Vec<Arc<AtomicU32>>) -> Origin {
    Arc::new(move |from, to| {
        let socket = format!("socket:[{}]", inode(from, to)?);
        members.iter().position(|id| {
            let files = fs::read_dir(format!("/proc/{}/fd", id.load(Ordering::SeqCst)));
            files.into_iter().flatten().flatten().any(|file| {
                fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
            })
        })
    })
}

/// The inode of the socket with this local and this remote address. One local address may have several sockets, to
/// different ends, some of them long closed.
fn inode(local: SocketAddr, remote: SocketAddr) -> Option<u64> {
    let ends = [hexadecimal(local)?, hexadecimal(remote)?];
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|fields| fields.get(1..3).is_some_and(|found| found == ends))?.get(9)?.parse().ok()
}

/// An address as `/proc/net/tcp` writes it.
fn hexadecimal(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_le_bytes(address.ip().octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::AsRawFd as _;

    use tokio::net::TcpSocket;

    use super::*;
    use crate::free_port;

    #[tokio::test]
    async fn a_socket_is_told_from_others_of_its_local_address() {
        let servers = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let mut clients = Vec::new();
        for server in &servers {
            let client = TcpSocket::new_v4().unwrap();
            client.set_reuseaddr(true).unwrap();
            client.bind(local).unwrap();
            clients.push(client.connect(server.local_addr().unwrap()).await.unwrap());
        }
        for client in &clients {
            let file = fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
            let found = inode(local, client.peer_addr().unwrap()).unwrap();
            assert_eq!(file.as_os_str(), format!("socket:[{found}]").as_str());
        }
        assert_eq!(inode(local, SocketAddr::from((Ipv4Addr::LOCALHOST, 1))), None);
    }
}
