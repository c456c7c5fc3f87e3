use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::server::of_client;

/// An authority and what it has signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate as PEM, and its key.
struct Signed {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    fn sign(&self) -> Signed {
        let params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Signed { der: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

/// Files of a port, in a folder of their own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn put_pair(&self, signed: &Signed) {
        self.put("cert.pem", &signed.pem);
        self.put("key.pem", &signed.key.serialize_pem());
    }

    fn files(&self) -> TlsFiles {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.0.path().join(name));
        let flags = ["--tls-cert", "--tls-key", "--admin-client-ca"];
        TlsFiles { cert, key, client_ca: None, flags, http2: true }
    }

    fn problem(&self) -> String {
        self.files().check().unwrap_err().to_string()
    }
}

/// What a client trusts and shows, and which protocols it speaks.
fn client(authority: &Authority, own: Option<&Signed>, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
            config.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// A client's connection and the server's, as far as each of them gets.
async fn meet(tls: &Tls, client: &TlsConnector) -> (io::Result<TlsStream<TcpStream>>, io::Result<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let name = ServerName::try_from("gateway.example").unwrap();
    tokio::join!(client.connect(name, stream), tls.accept(of_client(accepted), CancellationToken::new()))
}

/// The certificate that a client is shown.
async fn shown(tls: &Tls, client: &TlsConnector) -> CertificateDer<'static> {
    let (stream, accepted) = meet(tls, client).await;
    accepted.unwrap();
    stream.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_and_can_talk() {
    let (place, authority) = (Place::new(), Authority::new());
    let signed = authority.sign();
    place.put_pair(&signed);
    let tls = Tls::new(place.files()).unwrap();
    for (protocols, http2) in
        [(&[][..], false), (&["http/1.1"], false), (&["h2", "http/1.1"], true), (&["http/1.1", "h2"], true)]
    {
        let (near, far) = meet(&tls, &client(&authority, None, protocols)).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.get_ref().1.peer_certificates().unwrap()[0], signed.der);
        assert_eq!((far.is_tls(), far.has_agreed_on_http2()), (true, http2), "{protocols:?}");
        near.write_all(b"to").await.unwrap();
        far.write_all(b"fro").await.unwrap();
        far.flush().await.unwrap();
        let (mut to, mut fro) = ([0; 2], [0; 3]);
        far.read_exact(&mut to).await.unwrap();
        near.read_exact(&mut fro).await.unwrap();
        assert_eq!((&to, &fro), (b"to", b"fro"));
    }
    let only_http1 = TlsFiles { http2: false, ..place.files() };
    let (_, far) = meet(&Tls::new(only_http1).unwrap(), &client(&authority, None, &["h2", "http/1.1"])).await;
    assert!(!far.unwrap().has_agreed_on_http2());
}

#[tokio::test]
async fn what_is_read_again_counts_for_new_connections_and_only_if_it_fits() {
    let (place, authority) = (Place::new(), Authority::new());
    let [first, second] = [authority.sign(), authority.sign()];
    place.put_pair(&first);
    let tls = Tls::new(place.files()).unwrap();
    let gauge = IntGauge::new("a", "b").unwrap();
    tls.show_end(gauge.clone());
    let ends = gauge.get();
    assert!(ends > 1_700_000_000);
    let client = client(&authority, None, &[]);
    let (near, far) = meet(&tls, &client).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());

    place.put("cert.pem", &second.pem);
    tls.reload().await;
    assert_eq!(shown(&tls, &client).await, first.der, "the key is not its own");
    place.put("key.pem", "rubbish");
    tls.reload().await;
    assert_eq!(shown(&tls, &client).await, first.der);
    gauge.set(0);
    place.put_pair(&second);
    tls.clone().reload().await;
    assert_eq!(shown(&tls, &client).await, second.der, "all clones change");
    assert_eq!(gauge.get(), ends);

    far.write_all(b"x").await.unwrap();
    far.flush().await.unwrap();
    assert_eq!(near.read_u8().await.unwrap(), b'x', "what is open stays as it is");
}

/// As Kubernetes does it: the names stay, and where they lead to changes.
#[tokio::test]
async fn files_that_change_are_noticed_behind_a_link_too() {
    let (place, authority) = (Place::new(), Authority::new());
    let [first, second] = [authority.sign(), authority.sign()];
    let root = place.0.path();
    let put = |folder: &Path, signed: &Signed| {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("cert.pem"), &signed.pem).unwrap();
        fs::write(folder.join("key.pem"), signed.key.serialize_pem()).unwrap();
        fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    let link = |name: &str, to: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
    put(&root.join("1"), &first);
    link("data", "1");
    link("cert.pem", "data/cert.pem");
    link("key.pem", "data/key.pem");
    let tls = Tls::new(place.files()).unwrap();
    let client = client(&authority, None, &[]);
    assert_eq!(shown(&tls, &client).await, first.der);
    put(&root.join("2"), &second);
    link("new", "2");
    fs::rename(root.join("new"), root.join("data")).unwrap();
    for _ in 0..600 {
        if shown(&tls, &client).await == second.der {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody looks");
}

#[tokio::test]
async fn a_client_needs_a_certificate_where_one_is_asked_for() {
    let (place, authority, stranger) = (Place::new(), Authority::new(), Authority::new());
    place.put_pair(&authority.sign());
    place.put("ca.pem", &authority.pem);
    let files = TlsFiles { client_ca: Some(place.0.path().join("ca.pem")), ..place.files() };
    let tls = Tls::new(files).unwrap();
    let good = authority.sign();
    assert!(meet(&tls, &client(&authority, Some(&good), &[])).await.1.is_ok());
    for bad in [None, Some(&stranger.sign())] {
        assert!(meet(&tls, &client(&authority, bad, &[])).await.1.is_err());
    }
    // Whose authority is another one from now on.
    place.put("ca.pem", &stranger.pem);
    tls.reload().await;
    assert!(meet(&tls, &client(&authority, Some(&good), &[])).await.1.is_err());
    assert!(meet(&tls, &client(&authority, Some(&stranger.sign()), &[])).await.1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_is_given_up_on() {
    let (place, authority) = (Place::new(), Authority::new());
    place.put_pair(&authority.sign());
    let tls = Tls::new(place.files()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let begun = Instant::now();
    let error = tls.accept(of_client(accepted), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(begun.elapsed() >= HANDSHAKE_TIMEOUT && begun.elapsed() < HANDSHAKE_TIMEOUT * 2);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_does_not_keep_the_gateway_from_its_end() {
    let (place, authority) = (Place::new(), Authority::new());
    place.put_pair(&authority.sign());
    let tls = Tls::new(place.files()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (begun, shutdown) = (Instant::now(), CancellationToken::new());
    shutdown.cancel();
    tls.accept(of_client(accepted), shutdown).await.unwrap_err();
    assert!(begun.elapsed() >= WELCOME && begun.elapsed() < HANDSHAKE_TIMEOUT / 2);
}

#[test]
fn the_end_of_a_certificate_is_said() {
    let (place, authority) = (Place::new(), Authority::new());
    for (year, past) in [(2020, true), (2999, false)] {
        let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = KeyPair::generate().unwrap();
        place.put("cert.pem", &params.signed_by(&key, &authority.issuer).unwrap().pem());
        place.put("key.pem", &key.serialize_pem());
        let said = place.files().check().unwrap();
        assert!(said.starts_with("--tls-cert "), "{said}");
        assert!(said.contains(&format!("good until {year}-02-03T00:00:00Z")), "{said}");
        assert_eq!(said.contains("renew it"), past, "{said}");
    }
}

#[tokio::test]
async fn http_without_tls_is_no_handshake() {
    let (place, authority) = (Place::new(), Authority::new());
    place.put_pair(&authority.sign());
    let tls = Tls::new(place.files()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    assert!(tls.accept(of_client(accepted), CancellationToken::new()).await.is_err());
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_the_flag() {
    let (place, authority) = (Place::new(), Authority::new());
    let [signed, other] = [authority.sign(), authority.sign()];
    assert!(place.problem().starts_with("--tls-cert "), "{}", place.problem());
    place.put("cert.pem", "");
    assert!(place.problem().contains("there is no certificate in the file"), "{}", place.problem());
    place.put("cert.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    assert!(place.problem().contains("this is no PEM"), "{}", place.problem());
    place.put("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(place.problem().contains("the certificate cannot be used"), "{}", place.problem());
    place.put("cert.pem", &signed.pem);
    assert!(place.problem().starts_with("--tls-key "), "{}", place.problem());
    place.put("key.pem", &signed.pem);
    assert!(place.problem().contains("there is no private key in the file"), "{}", place.problem());
    place.put("key.pem", &other.key.serialize_pem());
    assert!(place.problem().contains("the one that the certificate was made for"), "{}", place.problem());
    place.put("key.pem", &signed.key.serialize_pem());
    assert!(place.files().check().is_ok());
    let key = place.0.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.problem().contains("chmod 600"), "{}", place.problem());
    let before = place.files().stamp();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert_ne!(place.files().stamp(), before, "a key that is closed to others is read again");
    // Root's own may be shared with a group, nobody else's.
    assert_eq!(place.files().check().is_ok(), rustix::process::geteuid().is_root());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    place.put("ca.pem", "");
    let files = TlsFiles { client_ca: Some(place.0.path().join("ca.pem")), ..place.files() };
    let problem = files.check().unwrap_err().to_string();
    assert!(problem.starts_with("--admin-client-ca ") && problem.contains("no certificate"), "{problem}");
    for text in [&signed.key.serialize_pem(), &other.key.serialize_pem()] {
        let secret = text.lines().nth(1).unwrap();
        assert!(!problem.contains(secret));
    }
}
