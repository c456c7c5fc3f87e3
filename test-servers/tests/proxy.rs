//! Each fault, seen by a client of a server that sends back what it gets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use test_servers::{Fault, Proxy};

/// Long enough for a byte to pass, were it not held.
const SHORT: Duration = Duration::from_millis(300);
/// Guards against hanging. It decides no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends back what it gets, after a prefix of its own; says what it got.
fn echo(prefix: &'static [u8]) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (got, gets) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let got = got.clone();
            thread::spawn(move || {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let _ = got.send(buffer[..length].to_vec());
                    if stream.write_all(prefix).and_then(|()| stream.write_all(&buffer[..length])).is_err() {
                        break;
                    }
                }
                let _ = got.send(b"end".to_vec());
            });
        }
    });
    (address, gets)
}

struct Client(TcpStream);

impl Client {
    fn connect(proxy: &Proxy) -> Self {
        Self(TcpStream::connect(proxy.address()).expect("a connection"))
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sending");
    }

    /// The next byte, or the end, or an error.
    fn next(&mut self, limit: Duration) -> Result<Option<char>, ErrorKind> {
        let mut byte = [0];
        self.0.set_read_timeout(Some(limit)).expect("a timeout");
        match self.0.read(&mut byte) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(byte[0].into())),
            Err(error) => Err(error.kind()),
        }
    }

    fn expect(&mut self, text: &str) {
        for expected in text.chars() {
            assert_eq!(self.next(PATIENCE), Ok(Some(expected)), "{text}");
        }
    }

    fn expect_silence(&mut self) {
        assert_eq!(self.next(SHORT), Err(ErrorKind::WouldBlock));
    }
}

fn eventually(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

#[test]
fn without_a_fault_bytes_and_ends_pass_and_are_counted() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    client.send("abc");
    client.expect("abc");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("bytes"), b"abc");
    // What has been passed on is counted a moment later.
    eventually(|| (proxy.connections_open(), proxy.accepted(), proxy.bytes()) == (1, 1, 6));
    client.0.shutdown(std::net::Shutdown::Write).expect("an end");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("the end"), b"end");
    assert_eq!(client.next(PATIENCE), Ok(None));
    eventually(|| proxy.connections_open() == 0);
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn refused_is_refused_by_the_system_until_it_is_lifted() {
    let (server, _gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut before = Client::connect(&proxy);
    before.send("a");
    before.expect("a");
    proxy.set(Fault::Refuse);
    assert_eq!(before.next(PATIENCE), Ok(None));
    let refused = TcpStream::connect(proxy.address()).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(proxy.connections_open(), 0);
    proxy.set(Fault::None);
    let mut after = Client::connect(&proxy);
    after.send("b");
    after.expect("b");
}

#[test]
fn stalled_bytes_flow_when_it_is_lifted() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut before = Client::connect(&proxy);
    before.send("a");
    before.expect("a");
    gets.recv_timeout(PATIENCE).expect("bytes");
    proxy.set(Fault::Stall);
    before.send("b");
    let mut during = Client::connect(&proxy);
    during.send("c");
    before.expect_silence();
    during.expect_silence();
    gets.try_recv().expect_err("the server hears nothing either");
    assert_eq!(proxy.connections_open(), 2);
    proxy.set(Fault::None);
    before.expect("b");
    during.expect("c");
}

#[test]
fn a_stalled_connection_does_not_even_end() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    client.send("a");
    client.expect("a");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("bytes"), b"a");
    proxy.set(Fault::Stall);
    drop(client);
    gets.recv_timeout(SHORT).expect_err("the server does not notice");
    proxy.set(Fault::None);
    assert_eq!(gets.recv_timeout(PATIENCE).expect("the end"), b"end");
}

#[test]
fn what_is_lost_to_the_server_stays_lost_and_the_other_way_is_open() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    client.send("a");
    client.expect("a");
    gets.recv_timeout(PATIENCE).expect("bytes");
    proxy.set(Fault::BlackholeToServer);
    client.send("b");
    client.expect_silence();
    gets.try_recv().expect_err("lost");
    proxy.set(Fault::None);
    client.send("c");
    client.expect_silence();
    gets.try_recv().expect_err("a stream with a gap is no stream");
    let mut after = Client::connect(&proxy);
    after.send("d");
    after.expect("d");
}

#[test]
fn what_is_lost_to_the_client_was_heard_by_the_server() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    let mut idle = Client::connect(&proxy);
    client.send("a");
    client.expect("a");
    gets.recv_timeout(PATIENCE).expect("bytes");
    proxy.set(Fault::BlackholeToClient);
    client.send("b");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("bytes"), b"b");
    client.expect_silence();
    proxy.set(Fault::None);
    client.expect_silence();
    idle.send("c");
    idle.expect("c");
}

#[test]
fn delayed_bytes_take_their_time_each_way() {
    let (server, _gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    proxy.set(Fault::Delay(SHORT));
    let begun = Instant::now();
    client.send("a");
    client.expect("a");
    assert!(begun.elapsed() >= 2 * SHORT);
}

#[test]
fn reset_connections_say_so_on_both_sides() {
    let (server, gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut before = Client::connect(&proxy);
    before.send("a");
    before.expect("a");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("bytes"), b"a");
    proxy.set(Fault::Reset);
    assert_eq!(before.next(PATIENCE), Err(ErrorKind::ConnectionReset));
    assert_eq!(gets.recv_timeout(PATIENCE).expect("the end"), b"end");
    let during = TcpStream::connect(proxy.address()).map(Client).map(|mut client| client.next(PATIENCE));
    // It may come before the connection is known to be made.
    let kind = during.unwrap_or_else(|error| Err(error.kind())).expect_err("reset");
    assert_eq!(kind, ErrorKind::ConnectionReset);
    proxy.set(Fault::None);
    let mut after = Client::connect(&proxy);
    after.send("b");
    after.expect("b");
}

#[test]
fn connections_can_be_dropped_forgotten_or_led_elsewhere() {
    let (server, gets) = echo(b"");
    let (other, _other_gets) = echo(b"2");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut dropped = Client::connect(&proxy);
    dropped.send("a");
    dropped.expect("a");
    proxy.drop_connections();
    assert_eq!(dropped.next(PATIENCE), Ok(None));
    assert_eq!(gets.recv_timeout(PATIENCE).expect("bytes"), b"a");
    assert_eq!(gets.recv_timeout(PATIENCE).expect("the end"), b"end");

    let mut forgotten = Client::connect(&proxy);
    forgotten.send("b");
    forgotten.expect("b");
    proxy.set_upstream(other);
    proxy.forget_connections();
    forgotten.send("c");
    let mut new = Client::connect(&proxy);
    new.send("d");
    new.expect("2d");
    forgotten.expect_silence();
    proxy.set(Fault::Stall);
    proxy.set(Fault::None);
    forgotten.expect_silence();
    assert_eq!(proxy.connections_open(), 2);
    assert_eq!(proxy.accepted(), 3);
}

#[test]
fn upstream_that_is_not_there_closes_the_connection() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], test_servers::free_port().expect("a port")));
    let proxy = Proxy::start(nobody).expect("a proxy");
    assert_eq!(Client::connect(&proxy).next(PATIENCE), Ok(None));
}

#[tokio::test]
async fn it_goes_on_while_a_runtime_is_blocked() {
    let (server, _gets) = echo(b"");
    let proxy = Proxy::start(server).expect("a proxy");
    let mut client = Client::connect(&proxy);
    client.send("a");
    client.expect("a");
}
