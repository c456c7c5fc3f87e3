use std::net::SocketAddr;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use super::*;

/// What an Edge says of itself.
const DOCUMENT: &str = r#"{"name":"e","version":"1","status":"ready","configuration":{"apiUrl":"https://e.example/ascalon-web-api","maxRevocationDelaySeconds":30}}"#;

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Something that answers like this on every connection, and all that it is asked.
async fn serving(answer: String, tls: Option<TlsAcceptor>) -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, all) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, asked, tls) = (answer.clone(), asked.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => exchange(&mut stream, &answer, &asked).await,
                    Some(tls) => {
                        let Ok(mut stream) = tls.accept(stream).await else { return };
                        exchange(&mut stream, &answer, &asked).await;
                    }
                }
            });
        }
    });
    (address, all)
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    answer: &str,
    asked: &UnboundedSender<String>,
) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
    }
    let _ = asked.send(String::from_utf8(head).unwrap());
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.flush().await;
    // Whoever asks ends it.
    let _ = stream.read(&mut byte).await;
}

fn edges(urls: &[String]) -> Edges {
    edges_trusting(RootCertStore::empty(), urls)
}

fn edges_trusting(authorities: RootCertStore, urls: &[String]) -> Edges {
    let named = |(number, url): (usize, &String)| Configured::of(&format!("edge{number}={url}")).unwrap();
    Edges::trusting(authorities, urls.iter().enumerate().map(named).collect()).unwrap()
}

/// Whether each has answered with a document, and everything that is known of it.
async fn asked(edges: &Edges) -> Vec<(bool, String)> {
    edges.ask().await.iter().map(|edge| (edge.api_url().is_some(), format!("{edge:?}"))).collect()
}

#[tokio::test]
async fn each_is_asked_for_its_document_and_told_nothing() {
    let (address, mut requests) = serving(answer("200 OK", DOCUMENT), None).await;
    let edges = edges(&[format!("http://{address}"), format!("http://{address}/below/")]);
    let answers = edges.ask().await;
    let names: Vec<_> = answers.iter().map(|edge| (edge.name(), edge.api_url())).collect();
    let api_url = Some("https://e.example/ascalon-web-api");
    assert_eq!(names, [("edge0", api_url), ("edge1", api_url)]);
    let mut heads = [requests.recv().await.unwrap(), requests.recv().await.unwrap()];
    heads.sort();
    let expected =
        |path| format!("GET {path} HTTP/1.1\r\naccept: application/json\r\nhost: {address}\r\n\r\n");
    assert_eq!(heads, ["/below/deployment", "/deployment"].map(expected), "no credentials are among it");
}

#[tokio::test]
async fn what_is_no_document_is_told_and_leads_nowhere() {
    let (elsewhere, mut requests) = serving(answer("200 OK", DOCUMENT), None).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let large = format!("{DOCUMENT}{}", " ".repeat(Edge::MAX_BYTES));
    let endless = "x".repeat(Edge::MAX_BYTES + 1);
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n{endless}");
    let head = "x".repeat(MAX_HEAD_BYTES);
    let head = format!("HTTP/1.1 200 OK\r\nx: {head}\r\ncontent-length: 0\r\n\r\n");
    let mut urls = vec![format!("http://{closed}")];
    let mut words = vec!["No connection"];
    for (answer, word) in [
        (redirect, "a redirect, which is not followed"),
        (answer("200 OK", "hello"), "not with the status document"),
        (answer("400 Bad Request", ""), "--admin-host"),
        (answer("404 Not Found", ""), "that of its admin port"),
        (answer("500 Oops", DOCUMENT), "look at its log"),
        (answer("200 OK", &large), "more than a status document"),
        (endless, "more than a status document"),
        (head, "does not speak HTTP"),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "does not speak HTTP"),
    ] {
        urls.push(format!("http://{}", serving(answer, None).await.0));
        words.push(word);
    }
    let answers = asked(&edges(&urls)).await;
    assert_eq!(answers.len(), words.len());
    for ((answered, told), word) in answers.iter().zip(words) {
        assert!(!answered && told.contains(word), "{word}: {told}");
    }
    assert!(requests.try_recv().is_err(), "nothing was asked that is not configured");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_late_keeps_nobody_waiting() {
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let began = tokio::time::Instant::now();
    let answers = asked(&edges(&[url.clone(), url.clone(), url])).await;
    assert!(answers.iter().all(|(answered, told)| !answered && told.contains("within 2 s")), "{answers:?}");
    assert!(began.elapsed() < PATIENCE * 2, "all at once: {:?}", began.elapsed());
}

#[tokio::test]
async fn by_https_its_certificate_counts() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let (address, mut requests) = serving(answer("200 OK", DOCUMENT), Some(tls)).await;
    let urls = [format!("https://localhost:{}", address.port())];
    let strangers = asked(&edges(&urls)).await;
    assert!(!strangers[0].0 && strangers[0].1.contains("UnknownIssuer"), "{strangers:?}");
    assert!(requests.try_recv().is_err(), "it is asked nothing");

    let mut authorities = RootCertStore::empty();
    authorities.add(cert.der().clone()).unwrap();
    let known = asked(&edges_trusting(authorities, &urls)).await;
    assert!(known[0].0, "{known:?}");
}
