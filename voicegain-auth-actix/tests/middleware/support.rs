use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt::System;
use tokio::runtime::Runtime;
use voicegain_auth_actix::Auth;
use voicegain_auth_core::{
    Caller, CreateRequest, Field, Issued, Issuer, MemoryStore, Policy, PolicyBuilder, RequestHead,
    SecretCache, TokenSources, Verifier,
};

/// Where feeds and look-ups run: a runtime that no worker owns.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

pub(crate) struct World {
    pub(crate) cache: SecretCache,
    pub(crate) issuer: Issuer,
    pub(crate) config: Issued,
}

impl World {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new().unwrap();
        let cache = SecretCache::builder(store).runtime(RUNTIME.handle().clone()).build().unwrap();
        let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
        let config = Self::create(&issuer);
        Self { cache, issuer, config }
    }

    pub(crate) fn create(issuer: &Issuer) -> Issued {
        let request = CreateRequest::new("acc-1".parse().unwrap(), "ctx-1".parse().unwrap(), "test");
        RUNTIME.block_on(issuer.create(request)).unwrap()
    }

    /// The long-lived token.
    pub(crate) fn token(&self) -> &str {
        &self.config.jwt
    }

    pub(crate) fn auth(&self, policy: PolicyBuilder) -> Auth {
        Auth::new(Verifier::new(self.cache.clone(), policy.build().unwrap()))
    }

    /// A short-lived token, from the parameters of a mint request.
    pub(crate) fn mint(&self, query: &str) -> String {
        let verifier = Verifier::new(self.cache.clone(), Policy::default());
        let head = Bearer(format!("Bearer {}", self.token()));
        let admitted = RUNTIME.block_on(verifier.authorize(&head)).unwrap();
        let Caller::Identified(identity) = admitted.into_caller() else { panic!("not identified") };
        self.issuer.mint(&identity, Some(query)).unwrap()
    }
}

struct Bearer(String);

impl RequestHead for Bearer {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        "/v1/security/jwt"
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        (field == Field::Authorization).then_some(self.0.as_bytes()).into_iter()
    }
}

/// All four token sources, the cookie's name being `token`.
pub(crate) fn all_sources() -> PolicyBuilder {
    let mut sources = TokenSources::default();
    sources.query = true;
    sources.protocol = true;
    sources.cookie = Some("token".into());
    Policy::builder().token_sources(sources)
}

/// A server on threads of its own, gone when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Serves an `App` on a free port: `serve!(app)`, or `serve!(workers, app)`.
macro_rules! serve {
    ($app:expr) => {
        $crate::support::serve!(1, $app)
    };
    ($workers:expr, $app:expr) => {
        $crate::support::Served::start(move |listener| {
            let server = actix_web::HttpServer::new(move || $app).workers($workers).disable_signals();
            server.listen_auto_h2c(listener).unwrap().run()
        })
    };
}
pub(crate) use serve;

impl Served {
    pub(crate) fn start(build: impl FnOnce(TcpListener) -> Server + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            System::new().block_on(async move {
                let server = build(listener);
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, handle: receiver.recv().unwrap(), thread: Some(thread) }
    }

    /// Sends these bytes and reads until the server closes, or the head of its answer says that it switches protocols.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_ref()).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return answer,
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return answer,
                Err(error) => panic!("{error}, after {:?}", String::from_utf8_lossy(&answer)),
            }
            if answer.starts_with(b"HTTP/1.1 101") && answer.ends_with(b"\r\n\r\n") {
                return answer;
            }
        }
    }

    /// Sends a request with these header lines; `Host` is `own.test` unless they have one.
    pub(crate) fn send(&self, start: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("{start} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str("Host: own.test\r\n");
        }
        if !headers.iter().any(|(name, _)| *name == "Connection") {
            request.push_str("Connection: close\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        Answer::parse(&self.raw(request))
    }

    pub(crate) fn bearer(&self, start: &str, token: &str) -> Answer {
        self.send(start, &[("Authorization", &format!("Bearer {token}"))])
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// The values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.headers.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }

    /// The status, and the reason of a refusal.
    pub(crate) fn verdict(&self) -> (u16, Option<String>) {
        let reason = serde_json::from_str::<serde_json::Value>(&self.body)
            .ok()
            .and_then(|body| body["error"]["reason"].as_str().map(str::to_owned));
        (self.status, reason)
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, reason: &str) {
        assert_eq!(self.verdict(), (status, Some(reason.to_owned())), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn accepted(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        &self.body
    }
}
