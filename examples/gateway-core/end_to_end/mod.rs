//! A gateway's binary from its start to its end, as programs and people use it. Both gateways pass the same tests; the
//! binary is `BINARY`.

mod audit;
mod command_line;
mod deployments;
mod exchanges;
mod master_keys;
mod moving;
mod observing;
#[cfg(any(feature = "postgres", feature = "etcd"))]
mod servers;
pub mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::BINARY;

/// Keeps a broken test from hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway.
pub struct Gateway {
    pub process: Child,
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub admin_token: String,
}

impl Gateway {
    /// With a store in memory.
    pub fn start(args: &[&str]) -> Self {
        Self::with_store("memory:", args)
    }

    pub fn with_store(url: &str, args: &[&str]) -> Self {
        Self::launch(Command::new(BINARY), url, args, Stdio::null())
    }

    pub fn launch(command: Command, url: &str, args: &[&str], log: Stdio) -> Self {
        let gateway = Self::launch_with(command, url, args, log, ["http", "http"]);
        assert_eq!(gateway.admin("GET", "/readyz", None).0, 200, "it is ready, or waits until it is");
        gateway
    }

    /// With these schemes on the API's port and the admin port.
    fn launch_with(
        mut command: Command,
        url: &str,
        args: &[&str],
        log: Stdio,
        [api, admin]: [&str; 2],
    ) -> Self {
        let mut process = without_variables(&mut command)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", url])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut after = |start: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(start).unwrap_or_else(|| panic!("{line:?} instead of {start:?}")).to_owned()
        };
        let api = after(&format!("listening on {api}://")).parse().unwrap();
        let admin = after(&format!("admin on {admin}://")).parse().unwrap();
        let admin_token = after("admin token (generated, shown only now): ");
        Self { process, api, admin, admin_token }
    }

    pub fn admin(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        for _ in 0..500 {
            let body = body.as_ref().map(Value::to_string).unwrap_or_default();
            let token = format!("Bearer {}", self.admin_token);
            let answer = call(self.admin, method, path, &[("authorization", &token)], body.as_bytes());
            if path != "/readyz" || answer.status == 200 {
                return (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        (503, Value::Null)
    }

    /// A new web config's id and long-lived token.
    pub fn create(&self) -> (String, String) {
        let new = json!({"accountId": "acc", "contextId": "ctx", "name": "test"});
        let (status, created) = self.admin("POST", "/api/web-configs", Some(new));
        assert_eq!(status, 201, "{created}");
        (created["id"].as_str().unwrap().to_owned(), created["jwt"].as_str().unwrap().to_owned())
    }

    pub fn regenerate(&self, id: &str) -> String {
        let (status, regenerated) = self.admin("POST", &format!("/api/web-configs/{id}/regenerate"), None);
        assert_eq!(status, 200, "{regenerated}");
        regenerated["jwt"].as_str().unwrap().to_owned()
    }

    pub fn get(&self, target: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [&[("authorization", token.as_str())], headers].concat();
        call(self.api, "GET", target, &headers, b"")
    }

    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

/// A gateway that does not know what the environment of the tests says.
fn without_variables(command: &mut Command) -> &mut Command {
    const NAMES: [&str; 8] = [
        "ADMIN_TOKEN",
        "ADMIN_TOKEN_FILE",
        "STORE",
        "MASTER_KEY_FILE",
        "MASTER_KEYS",
        "CONFIG",
        "AUDIT_LOG",
        "LOG_FORMAT",
    ];
    for name in NAMES {
        command.env_remove(format!("VOICEGAIN_{name}"));
    }
    command
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What a gateway that does not start says.
fn failure(args: &[&str]) -> String {
    failure_with(args, &[])
}

fn failure_with(args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(BINARY);
    without_variables(&mut command)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(args)
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{args:?}: {text}");
    assert!(!text.contains("hush"), "{args:?}: {text}");
    text
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks until the answer is good.
fn wait_until(what: &str, good: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if good() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} does not come");
}

pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub head_as_sent: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer");
        let head_as_sent = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let head = head_as_sent.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, head_as_sent, body: bytes[end + 4..].to_vec() }
    }

    pub fn reason(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

pub fn call(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    let length = body.len().to_string();
    let more = [("connection", "close"), ("content-length", length.as_str())];
    stream.write_all(head(method, target, &[headers, &more].concat()).as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&answer)
}

/// Reads to the end of a head.
pub fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Plays the upstream by hand: each connection it gets, once a head has come.
pub fn upstream() -> (String, Receiver<(String, TcpStream)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let head = read_head(&mut stream);
            if sender.send((head, stream)).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn a_token_from_its_creation_to_its_end() {
    let gateway = Gateway::start(&[]);
    let (id, long_lived) = gateway.create();

    let refused = call(gateway.api, "GET", "/v1/hello", &[], b"");
    assert_eq!((refused.status, refused.reason().as_str()), (401, "missing_token"));
    let accepted = gateway.get("/v1/hello?x=1", &long_lived, &[("X_Voicegain.Account-Id", "evil")]);
    let echo: Value = serde_json::from_slice(&accepted.body).unwrap();
    assert_eq!(
        (&echo["method"], &echo["path"], &echo["query"]),
        (&json!("GET"), &json!("/v1/hello"), &json!("x=1"))
    );
    assert_eq!(echo["bodyBytes"], 0);
    let headers = echo["headers"].as_object().unwrap();
    let ours: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.replace(['_', '.'], "-").starts_with("x-voicegain-"))
        .collect();
    assert_eq!(ours.len(), 4, "V8: {ours:?}");
    assert_eq!(headers["x-voicegain-account-id"], json!(["acc"]));
    assert!(!headers.contains_key("authorization"));

    let minted = gateway.get("/v1/security/jwt?aud=https://app.example&expInSec=60", &long_lived, &[]);
    assert!(minted.status == 200 && minted.head.contains("cache-control: no-store"), "{}", minted.head);
    let short_lived = String::from_utf8(minted.body).unwrap();
    let page = |token: &str, origin: &str| gateway.get("/v1/hello", token, &[("origin", origin)]);
    let readable = page(&short_lived, "https://app.example");
    assert_eq!(readable.status, 200);
    assert!(
        readable.head.contains("access-control-allow-origin: https://app.example\r\n"),
        "O10: {}",
        readable.head
    );
    let other = page(&short_lived, "https://other.example");
    assert_eq!((other.status, other.reason().as_str()), (403, "origin_not_allowed"));
    assert!(other.head.contains("access-control-allow-origin: *"), "O10: {}", other.head);
    assert_eq!(page(&long_lived, "https://app.example").status, 403, "O8");
    assert_eq!(
        gateway.get("/v1/security/jwt?aud=a.example", &short_lived, &[]).reason(),
        "insufficient_scope",
        "M3"
    );

    let newer = gateway.regenerate(&id);
    for (token, status) in [(&long_lived, 401), (&short_lived, 401), (&newer, 200)] {
        assert_eq!(gateway.get("/v1/hello", token, &[]).status, status, "right after Regenerate");
    }
}

#[test]
fn sigterm_lets_a_request_under_way_finish() {
    let (url, requests) = upstream();
    let mut gateway = Gateway::start(&["--upstream", &url]);
    let (_, token) = gateway.create();
    let mut client = connect(gateway.api);
    let token = format!("Bearer {token}");
    client.write_all(head("GET", "/v1/slow", &[("authorization", &token)]).as_bytes()).unwrap();
    let (_, mut stream) = requests.recv_timeout(PATIENCE).unwrap();

    gateway.terminate();
    // It is ending once nobody new gets in.
    for attempt in 0.. {
        assert!(attempt < 1_000, "it still listens");
        if TcpStream::connect(gateway.api).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let answer = Answer::parse(&answer);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"late".as_slice()));
    assert!(gateway.process.wait().unwrap().success());
}

#[test]
fn after_sigterm_the_store_is_one_file_with_everything_in_it() {
    let place = tempfile::TempDir::new().unwrap();
    let store = |name: &str| format!("sqlite://{}", place.path().join(name).display());
    for number in 0..5 {
        let (file, copy) = (format!("{number}.db"), format!("{number}-copy.db"));
        let mut gateway = Gateway::with_store(&store(&file), &[]);
        let (_, token) = gateway.create();
        assert_eq!(gateway.get("/v1/hello", &token, &[]).status, 200);
        gateway.terminate();
        assert!(gateway.process.wait().unwrap().success());

        for beside in ["-wal", "-shm"] {
            assert!(!place.path().join(format!("{file}{beside}")).exists(), "{file}{beside}");
        }
        for end in ["", ".key"] {
            let path = |name: &str| place.path().join(format!("{name}{end}"));
            std::fs::copy(path(&file), path(&copy)).unwrap();
        }
        let gateway = Gateway::with_store(&store(&copy), &[]);
        assert_eq!(gateway.get("/v1/hello", &token, &[]).status, 200, "{copy}");
    }
}

#[test]
fn m1_a_bulk_end_ends_tokens_at_once_and_no_others() {
    let place = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}", place.path().join("store.db").display());
    let gateway = Gateway::with_store(&url, &["--preload", "--max-cached", "3"]);
    let create = |account: &str, context: &str| {
        let new = json!({"accountId": account, "contextId": context, "name": "test"});
        let (status, created) = gateway.admin("POST", "/api/web-configs", Some(new));
        assert_eq!(status, 201, "{created}");
        created["jwt"].as_str().unwrap().to_owned()
    };
    let tokens =
        [("a", "c"), ("a", "c"), ("a", "d"), ("b", "c")].map(|(account, context)| create(account, context));
    let statuses = || tokens.each_ref().map(|token| gateway.get("/v1/x", token, &[]).status);
    assert_eq!(statuses(), [200; 4]);
    assert_eq!(gateway.admin("POST", "/api/contexts/a/c/end", None), (200, json!({"ended": 2})));
    assert_eq!(statuses(), [401, 401, 200, 200]);
    let later = create("a", "c");
    assert_eq!(gateway.get("/v1/x", &later, &[]).status, 200, "what is created there later lives");
    assert_eq!(gateway.admin("POST", "/api/accounts/a/end", None), (200, json!({"ended": 2})));
    assert_eq!(statuses(), [401, 401, 401, 200]);
    assert_eq!(gateway.get("/v1/x", &later, &[]).status, 401);
    assert_eq!(
        call(gateway.admin, "POST", "/api/accounts/b/end", &[], b"").status,
        401,
        "the token is asked for"
    );
    assert_eq!(statuses()[3], 200);
}

#[test]
fn v10_c8_a_websocket_opens_carries_and_ends_with_its_token() {
    let (url, requests) = upstream();
    let gateway = Gateway::start(&["--upstream", &url, "--token-sources", "protocol"]);
    let (id, token) = gateway.create();
    let mut client = connect(gateway.api);
    let protocols = format!("bearer.{token}, chat");
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", &protocols),
    ];
    // The first bytes come too early, and wait for the 101.
    client.write_all((head("GET", "/v1/ws", &handshake) + "early").as_bytes()).unwrap();
    let (head, mut stream) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("sec-websocket-protocol: chat\r\n"),
        "{head}"
    );
    assert!(head.contains("x-voicegain-account-id: acc\r\n"), "{head}");
    let mut early = [0; 5];
    stream.set_nonblocking(true).unwrap();
    assert!(stream.read(&mut early).is_err(), "no byte before the 101");
    stream.set_nonblocking(false).unwrap();
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let agreed = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(agreed.as_bytes()).unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("upgrade: websocket\r\n") && head.contains("sec-websocket-protocol: chat\r\n"),
        "V1: {head}"
    );
    stream.read_exact(&mut early).unwrap();
    assert_eq!(&early, b"early");
    stream.write_all(b"down").unwrap();
    let mut down = [0; 4];
    client.read_exact(&mut down).unwrap();
    assert_eq!(&down, b"down");

    gateway.regenerate(&id);
    assert_eq!(client.read(&mut down).unwrap_or_default(), 0, "the client's side is closed");
    assert_eq!(stream.read(&mut down).unwrap_or_default(), 0, "the upstream's side is closed");
}

#[test]
fn an_upstream_that_is_not_there_is_a_502() {
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let gateway = Gateway::start(&["--upstream", &format!("http://{unused}")]);
    let (_, token) = gateway.create();
    let answer = gateway.get("/v1/x", &token, &[]);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unavailable"));
    assert!(
        answer.head.contains("access-control-allow-origin: *")
            && answer.head.contains("cache-control: no-store")
    );
}

#[test]
fn e_limits_have_answers() {
    let gateway = Gateway::start(&["--max-body-bytes", "10"]);
    let (_, token) = gateway.create();
    let bearer = format!("Bearer {token}");
    let post = |body: &[u8]| call(gateway.api, "POST", "/v1/x", &[("authorization", &bearer)], body);
    assert_eq!(post(&[b'a'; 10]).status, 200);
    assert_eq!(post(&[b'a'; 11]).reason(), "request_too_large");
    let long = "a".repeat(40_000);
    let answer = gateway.get("/v1/x", &token, &[("x-long", &long)]);
    assert_eq!((answer.status, answer.reason().as_str()), (431, "headers_too_large"));
}

/// A gateway in whose shell this was said first.
#[cfg(unix)]
fn limited(limit: &str) -> Gateway {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit} && exec \"$0\" \"$@\""), BINARY]);
    Gateway::launch(command, "memory:", &[], Stdio::null())
}

#[cfg(unix)]
#[test]
fn as_many_files_may_be_open_as_the_system_allows() {
    let gateway = limited("ulimit -Sn 64");
    let (_, token) = gateway.create();
    let _silent: Vec<_> = (0..200).map(|_| connect(gateway.api)).collect();
    assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
}

#[cfg(unix)]
#[test]
fn silent_connections_leave_files_for_everything_else() {
    let gateway = limited("ulimit -n 256");
    let (_, token) = gateway.create();
    let silent: Vec<_> = (0..300).map(|_| connect(gateway.api)).collect();
    // Whatever can be accepted has been.
    std::thread::sleep(Duration::from_millis(500));
    let begun = Instant::now();
    assert_eq!(gateway.admin("GET", "/readyz", None).0, 200);
    let (_, other) = gateway.create();
    // And not only because the silent ones have been given up on.
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
    drop(silent);
    for token in [token, other] {
        assert_eq!(gateway.get("/v1/x", &token, &[]).status, 200);
    }
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    for (args, said) in [
        (
            ["--store", "redis://user:hush@host/db"],
            "--store redis:…: this gateway knows sqlite://FILE, postgres://",
        ),
        (["--store", "sqlite:hush.db"], "this gateway knows sqlite://FILE"),
        (["--store", "host=db user=g password=hush"], "--store (not shown): this gateway knows"),
        (["--store", "user:hush@host:5432/db"], "this gateway knows"),
        (["--store", "sqlite://"], "write a file's name"),
        (["--upstream", "ftp://api.example"], "--upstream: the upstream must be an absolute URL"),
        (["--upstream-ca", "/nowhere"], "--upstream-ca: is for an --upstream that begins with https://"),
        (["--base-path", "v1"], "base path"),
        (["--api-url", "api.example"], "API URL"),
        (["--leeway", "10m"], "--leeway must"),
        (["--max-revocation-delay", "1s"], "--max-revocation-delay must"),
        (["--token-sources", "smoke"], "smoke"),
        (["--store", "foo.db"], "--store foo.db: this gateway knows sqlite://FILE, postgres://"),
        (["--max-cached", "0"], "--max-cached must be at least 1"),
        (["--admin-host", "bad host!"], "--admin-host"),
        (["--admin-token", ""], "at least 16 characters"),
        (["--admin-token", "hush-hush-hush-"], "at least 16 characters"),
        (["--admin-token", "hush hush hush hush"], "visible ASCII"),
    ] {
        let memory = if args[0] == "--store" { &[] as &[&str] } else { &["--store", "memory:"] };
        let text = failure(&[memory, &args].concat());
        assert!(text.contains(said), "{args:?}: {text}");
    }
    let text =
        failure(&["--store", "memory:", "--upstream", "https://api.example", "--upstream-ca", "/nowhere"]);
    assert!(text.contains("--upstream-ca /nowhere: No such file"), "{text}");
}

#[cfg(not(feature = "etcd"))]
#[test]
fn a_store_that_is_not_built_in_says_how_to_build_it() {
    let said = failure(&["--store", "etcd://user:hush@host:2379/prefix"]);
    let program = std::path::Path::new(BINARY).file_name().unwrap().to_str().unwrap();
    let command = format!("`cargo build --release -p {program} --features etcd`");
    assert!(said.contains(&command) && said.contains("needs protoc"), "{said}");
}

#[cfg(feature = "etcd")]
#[test]
fn etcd_needs_keys_and_a_prefix() {
    let said = failure(&["--store", "etcd://user:hush@127.0.0.1:1/prefix"]);
    assert!(said.contains("--master-key-file FILE") && said.contains("--plain-secrets"), "{said}");
    let said = failure(&["--store", "etcd://user:hush@127.0.0.1:1", "--plain-secrets"]);
    assert!(said.contains("there is no prefix after the endpoints"), "{said}");
    let said = failure(&["--store", "etcd://user:hush@127.0.0.1:1/prefix", "--plain-secrets"]);
    assert!(said.contains("no etcd member of") && said.contains("127.0.0.1:1"), "{said}");
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_needs_keys_and_a_server() {
    for scheme in ["postgres", "postgresql"] {
        let url = format!("{scheme}://user:hush@127.0.0.1:1/db");
        let said = failure(&["--store", &url]);
        assert!(said.contains("--master-key-file FILE") && said.contains("--plain-secrets"), "{said}");
        let said = failure(&["--store", &url, "--plain-secrets"]);
        assert!(said.contains("127.0.0.1:1") && said.contains("cannot be reached"), "{said}");
    }
    let said =
        failure_with(&["--plain-secrets"], &[("VOICEGAIN_STORE", "postgres://user:hush@127.0.0.1:1/db?x=1")]);
    assert!(said.contains("a parameter that is not known here"), "{said}");
}

#[test]
fn what_is_wrong_with_an_admin_token_names_where_it_is_from() {
    let place = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        set_mode(&path, 0o600);
        path.into_os_string().into_string().unwrap()
    };
    let (empty, short) = (file("empty", "\n"), file("short", "hush"));
    #[cfg(unix)]
    {
        let open = file("open", "hush-hush-hush-hush");
        set_mode(open.as_ref(), 0o644);
        let text = failure(&["--store", "memory:", "--admin-token-file", &open]);
        assert!(text.contains(&format!("open to other users (mode 0644): chmod 600 {open}")), "{text}");
    }
    for (variable, args, said) in [
        ("", vec!["--admin-token-file", &empty], format!("{empty}: the file is empty")),
        (
            "",
            vec!["--admin-token-file", &short],
            format!("{short}: an admin token has at least 16 characters"),
        ),
        ("hush", vec![], "VOICEGAIN_ADMIN_TOKEN: an admin token has at least 16".to_owned()),
        ("hush", vec!["--admin-token-file", &short], "environment variable VOICEGAIN_ADMIN_TOKEN".to_owned()),
    ] {
        let args = [&["--store", "memory:"], args.as_slice()].concat();
        let text = failure_with(&args, &[("VOICEGAIN_ADMIN_TOKEN", variable)]);
        assert!(text.contains(&said), "{args:?}: {text}");
    }
}

#[test]
fn a_port_in_use_names_its_flag() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--admin-listen"), ("--admin-listen", "--listen")] {
        let args = [flag, &taken, other, "127.0.0.1:0", "--store", "memory:"];
        let output = Command::new(BINARY).args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let said = format!("choose another address with {flag}\n");
        assert!(!output.status.success() && text.contains(&taken) && text.ends_with(&said), "{text}");
    }
}

#[test]
fn nobody_has_to_read_what_it_says() {
    // It cannot say which port it took.
    let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut process = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0", "--admin-listen", &admin.to_string(), "--store", "memory:"])
        .stdout(Stdio::from(closed_pipe()))
        .stderr(Stdio::from(closed_pipe()))
        .spawn()
        .unwrap();
    while TcpStream::connect(admin).is_err() {
        assert!(process.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(call(admin, "GET", "/healthz", &[], b"").status, 200);
    // It logs that it ends. A panic there would keep it from ending.
    Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    for _ in 0..1_000 {
        if let Some(status) = process.try_wait().unwrap() {
            assert!(status.success());
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    process.kill().unwrap();
    panic!("it does not end");
}

/// The end to write to of a pipe that has lost the other one.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}
