//! TLS on both ports.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, BINARY, Gateway, call, connect, failure, head, read_head, set_mode, upstream};

/// A client's connection.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and a folder with its certificate and a pair that it has signed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    place: TempDir,
}

/// A client's own certificate and key.
type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let (certificate, place) = (root.der().clone(), TempDir::new().unwrap());
        fs::write(place.path().join("ca.pem"), root.pem()).unwrap();
        let authority = Self { issuer: Issuer::new(params, key), certificate, place };
        let (signed, key) = authority.sign();
        fs::write(authority.path("cert.pem"), signed.pem()).unwrap();
        fs::write(authority.path("key.pem"), key.serialize_pem()).unwrap();
        set_mode(authority.path("key.pem").as_ref(), 0o600);
        authority
    }

    fn sign(&self) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    /// A gateway with TLS on the API's port alone.
    pub fn gateway(&self, args: &[&str]) -> Gateway {
        let tls = ["--tls-cert", &self.path("cert.pem"), "--tls-key", &self.path("key.pem")];
        let args = [&tls, args].concat();
        Gateway::launch_with(Command::new(BINARY), "memory:", &args, Stdio::null(), ["https", "http"])
    }

    /// One with TLS on both, and only for clients with a certificate on the admin port.
    fn closed_gateway(&self) -> Gateway {
        let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| self.path(name));
        let tls = ["--tls-cert", &cert, "--tls-key", &key];
        let admin = ["--admin-tls-cert", &cert, "--admin-tls-key", &key, "--admin-client-ca", &ca];
        let args = [&tls[..], &admin].concat();
        Gateway::launch_with(Command::new(BINARY), "memory:", &args, Stdio::null(), ["https", "https"])
    }

    /// A connection of a client that trusts the authority.
    pub fn connect(&self, address: SocketAddr, own: Option<Own>, protocols: &[&str]) -> Secured {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, connect(address))
    }

    /// What is agreed on with a client that speaks both.
    pub fn protocol(&self, address: SocketAddr, own: Option<Own>) -> String {
        let mut client = self.connect(address, own, &["h2", "http/1.1"]);
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        String::from_utf8(client.conn.alpn_protocol().unwrap().to_vec()).unwrap()
    }
}

/// One exchange, after which the connection ends. It has to end as TLS does.
fn ask(mut client: Secured, method: &str, target: &str, token: &str, body: &str) -> std::io::Result<Answer> {
    let (bearer, length) = (format!("Bearer {token}"), body.len().to_string());
    let headers = [("authorization", bearer.as_str()), ("connection", "close"), ("content-length", &length)];
    client.write_all((head(method, target, &headers) + body).as_bytes())?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    if answer.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(Answer::parse(&answer)) }
}

fn not_after(metrics: &str, port: &str) -> Option<f64> {
    let name = format!("voicegain_gateway_tls_certificate_not_after_timestamp_seconds{{port=\"{port}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse().unwrap())
}

#[test]
fn a_token_is_accepted_over_tls_and_the_upstream_told_of_it() {
    let authority = Authority::new();
    let gateway = authority.gateway(&[]);
    let (_, token) = gateway.create();
    let client = authority.connect(gateway.api, None, &[]);
    let accepted = ask(client, "GET", "/v1/hello", &token, "").unwrap();
    assert_eq!(accepted.status, 200);
    let echo: Value = serde_json::from_slice(&accepted.body).unwrap();
    assert_eq!(echo["headers"]["x-forwarded-proto"], json!(["https"]));
    let client = authority.connect(gateway.api, None, &[]);
    assert_eq!(ask(client, "GET", "/v1/hello", "wrong", "").unwrap().status, 401);

    // Without TLS nothing of HTTP is said.
    let mut plain = connect(gateway.api);
    plain.write_all(head("GET", "/v1/hello", &[("connection", "close")]).as_bytes()).unwrap();
    let mut answer = Vec::new();
    _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let metrics = String::from_utf8(call(gateway.admin, "GET", "/metrics", &[], b"").body).unwrap();
    assert!(not_after(&metrics, "api").unwrap() > 1.7e9);
    assert_eq!(not_after(&metrics, "admin"), None);
}

#[test]
fn the_admin_port_takes_only_clients_with_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let gateway = authority.closed_gateway();
    let own = |by: &Authority| {
        let (signed, key) = by.sign();
        (signed.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    };
    let admin = |method: &str, target: &str, own: Option<Own>, body: &str| {
        ask(authority.connect(gateway.admin, own, &[]), method, target, &gateway.admin_token, body)
    };
    for target in ["/healthz", "/readyz", "/metrics", "/api/web-configs"] {
        assert!(admin("GET", target, None, "").is_err(), "{target}");
        assert!(admin("GET", target, Some(own(&stranger)), "").is_err(), "{target}");
    }
    let new = json!({"accountId": "acc", "contextId": "ctx", "name": "test"}).to_string();
    let created = admin("POST", "/api/web-configs", Some(own(&authority)), &new).unwrap();
    assert_eq!(created.status, 201);
    let created: Value = serde_json::from_slice(&created.body).unwrap();
    let token = created["jwt"].as_str().unwrap();
    let client = authority.connect(gateway.api, None, &[]);
    let minted = ask(client, "GET", "/v1/security/jwt?aud=*&expInSec=60", token, "").unwrap();
    let short_lived = String::from_utf8(minted.body).unwrap();
    let client = authority.connect(gateway.api, None, &[]);
    assert_eq!(ask(client, "GET", "/v1/hello", &short_lived, "").unwrap().status, 200);

    let metrics = admin("GET", "/metrics", Some(own(&authority)), "").unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    for port in ["api", "admin"] {
        assert!(not_after(&metrics, port).unwrap() > 1.7e9, "{port}");
    }
    assert_eq!(authority.protocol(gateway.admin, Some(own(&authority))), "h2");
}

#[test]
fn an_exchange_over_tls_ends_with_its_client() {
    let authority = Authority::new();
    let (url, requests) = upstream();
    let gateway = authority.gateway(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    for says_so in [true, false] {
        let mut client = authority.connect(gateway.api, None, &[]);
        client.write_all(head("GET", "/v1/x", &[("authorization", &bearer)]).as_bytes()).unwrap();
        let (_, mut upstream) = requests.recv().unwrap();
        if says_so {
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
        drop(client);
        assert_eq!(upstream.read(&mut [0]).unwrap(), 0, "{says_so}");
    }
}

/// A body waits in the gateway's buffers, in those of TLS and in the system's, and comes in order.
#[test]
fn uploads_over_tls_arrive_whole() {
    let authority = Authority::new();
    let (url, requests) = upstream();
    let gateway = authority.gateway(&["--upstream", &url]);
    let (_, token) = gateway.create();
    for size in [0, 1, 16 << 10, 40 << 10, 1 << 20] {
        let body = (b'!'..=b'z').cycle().take(size).map(char::from).collect::<String>();
        let client = authority.connect(gateway.api, None, &[]);
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(client, "POST", "/v1/up", &token, &body));
            let (_, mut stream) = requests.recv_timeout(super::PATIENCE).unwrap();
            // For a while nobody takes the body, and the gateway looks only for the connection's end.
            std::thread::sleep(std::time::Duration::from_millis(100));
            let mut got = vec![0; size];
            stream.read_exact(&mut got).unwrap();
            assert!(got == body.as_bytes(), "of {size}");
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            asking.join().unwrap().unwrap()
        });
        assert_eq!(answer.status, 204, "{size}");
    }
}

/// More than the gateway reads ahead.
#[test]
fn requests_that_are_sent_ahead_over_tls_are_all_answered() {
    const REQUESTS: usize = 300;
    let authority = Authority::new();
    let gateway = authority.gateway(&[]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let authorization = ("authorization", bearer.as_str());
    for body in ["", "12345"] {
        let length = body.len().to_string();
        let request = head("POST", "/v1/x", &[authorization, ("content-length", &length)]) + body;
        let last = head("GET", "/v1/last", &[authorization, ("connection", "close")]);
        let mut client = authority.connect(gateway.api, None, &[]);
        client.write_all((request.repeat(REQUESTS) + &last).as_bytes()).unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200").count(), REQUESTS + 1);
        let counted = answers.matches(&format!("\"bodyBytes\":{length}}}")).count();
        assert_eq!(counted, REQUESTS + usize::from(body.is_empty()));
    }
}

#[test]
fn what_is_wrong_with_tls_is_said_with_what_to_do() {
    let authority = Authority::new();
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| authority.path(name));
    let wrong = authority.path("wrong.pem");
    fs::copy(&cert, &wrong).unwrap();
    set_mode(wrong.as_ref(), 0o600);
    let store = ["--store", "memory:"];
    for (args, parts) in [
        (vec!["--tls-cert", &cert], ["--tls-cert is of no use without --tls-key", "name that too"]),
        (vec!["--tls-key", &key], ["--tls-key is of no use without --tls-cert", "leave it out"]),
        (vec!["--admin-tls-cert", &cert], ["--admin-tls-cert is of no use without", "--admin-tls-key"]),
        (vec!["--admin-tls-key", &key], ["--admin-tls-key is of no use without", "--admin-tls-cert"]),
        (vec!["--admin-client-ca", &ca], ["--admin-client-ca is of no use without", "--admin-tls-key"]),
        (
            vec!["--tls-cert", &cert, "--tls-key", &wrong],
            ["--tls-key ", "there is no private key in the file"],
        ),
    ] {
        let mut command = Command::new(BINARY);
        let checked = super::without_variables(&mut command).arg("check").args(store).args(&args).output();
        let checked = checked.unwrap();
        assert!(!checked.status.success());
        let checked = [checked.stdout, checked.stderr].concat();
        for said in [failure(&[&store, &args[..]].concat()), String::from_utf8(checked).unwrap()] {
            assert!(parts.iter().all(|part| said.contains(part)), "{args:?}: {said}");
        }
    }
    let config = authority.path("config.toml");
    fs::write(&config, format!("store = \"memory:\"\n\ntls-cert = \"{cert}\"\n")).unwrap();
    let said = failure(&["--config", &config]);
    assert!(said.contains(&format!("{config}:3:12: --tls-cert is of no use without --tls-key")), "{said}");
}

#[test]
fn a_websocket_goes_over_tls() {
    let authority = Authority::new();
    let (url, requests) = upstream();
    let gateway = authority.gateway(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let handshake = [
        ("authorization", bearer.as_str()),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut client = authority.connect(gateway.api, None, &["http/1.1"]);
    client.write_all(head("GET", "/v1/ws", &handshake).as_bytes()).unwrap();
    let (_, mut upstream) = requests.recv_timeout(super::PATIENCE).unwrap();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    upstream.write_all(answer.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("http/1.1 101"));
    let mut frame = [0; 5];
    client.write_all(b"frame").unwrap();
    upstream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"frame");
    upstream.write_all(b"other").unwrap();
    client.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"other");
    drop(client);
    assert_eq!(upstream.read(&mut frame).unwrap(), 0, "it ends with its client");
}
