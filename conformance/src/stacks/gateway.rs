//! A gateway as a child process, and its admin API over plain HTTP/1.1.

use crate::http1::{self, Answer, Response};
use crate::stack::{
    Admin, AdminError, BoxFuture, Guard, Issued, Kind, NewWebConfig, Running, Stack, Variant,
};
use crate::template;
use crate::token;
use crate::upstream::Upstream;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How long a gateway may take to be ready.
const START: Duration = Duration::from_secs(20);

/// The leeway of the variant `leeway`, as the flag takes it.
pub const LEEWAY: &str = "60s";

/// A gateway's binary.
#[derive(Clone, Debug)]
pub struct GatewayProcess {
    name: String,
    binary: PathBuf,
    extra_args: Vec<String>,
    http2: bool,
}

impl GatewayProcess {
    /// A gateway to be started from this binary.
    pub fn new(name: &str, binary: &Path, extra_args: &[String], http2: bool) -> Self {
        Self { name: name.to_owned(), binary: binary.to_owned(), extra_args: extra_args.to_vec(), http2 }
    }

    async fn run(&self, variant: Variant) -> Result<Running, String> {
        let upstream = match variant {
            Variant::Upstream => Some(Upstream::start().await.map_err(|err| format!("upstream: {err}"))?),
            _ => None,
        };
        let folder = TempDir::new().map_err(|err| err.to_string())?;
        let [main, admin] = free_ports().map_err(|err| err.to_string())?;
        let token = token::encode(&template::random::<32>());
        let log = folder.path().join("log");
        let out = std::fs::File::create(&log).map_err(|err| err.to_string())?;
        let err = out.try_clone().map_err(|err| err.to_string())?;
        let mut command = Command::new(&self.binary);
        command
            .args(["--listen", &main.to_string(), "--admin-listen", &admin.to_string()])
            .args(["--admin-token", &token, "--store", "memory:"])
            .args(["--token-sources", variant.token_sources()])
            .args(["--base-path", variant.base(), "--api-url", variant.api_url()])
            .args(&self.extra_args);
        if variant == Variant::Leeway {
            command.args(["--leeway", LEEWAY]);
        }
        if let Some(upstream) = &upstream {
            command.args(["--upstream", &format!("http://{}", upstream.addr())]);
        }
        // All of it is searched, whatever the caller would like to see.
        command.env("RUST_LOG", "debug");
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .map_err(|err| format!("{}: {err}", self.binary.display()))?;
        let mut process = Process { child, log, _folder: folder };
        process.ready(admin).await?;
        Ok(Running {
            addr: main,
            admin: Box::new(HttpAdmin::new(admin, token.clone())),
            admin_port: Some((admin, token)),
            upstream,
            guard: Box::new(process),
        })
    }
}

impl Stack for GatewayProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Gateway
    }

    fn http2(&self) -> bool {
        self.http2
    }

    fn lacks(&self, variant: Variant) -> Option<&'static str> {
        match variant {
            Variant::Optional => Some("a gateway has no optional mode"),
            Variant::Relaxed => Some("a gateway has no flag that relaxes rule O8"),
            _ => None,
        }
    }

    fn start(&self, variant: Variant) -> BoxFuture<'_, Result<Running, String>> {
        Box::pin(async move {
            // Between finding free ports and the gateway's taking them, somebody else may.
            for _ in 0..3 {
                match self.run(variant).await {
                    Err(problem) if problem.contains("Address already in use") => {}
                    outcome => return outcome,
                }
            }
            self.run(variant).await
        })
    }
}

/// Two ports nobody listens on.
///
/// # Errors
/// If there are none.
pub fn free_ports() -> std::io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, two) = (listen()?, listen()?);
    Ok([one.local_addr()?, two.local_addr()?])
}

/// Whether the gateway with this admin port says that it can decide about requests.
pub async fn is_ready(admin: SocketAddr) -> bool {
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let answer = http1::exchange(admin, request.as_bytes(), "GET", b"").await;
    matches!(answer, Ok(Answer::Response(response)) if response.status == 200)
}

struct Process {
    child: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Process {
    async fn ready(&mut self, admin: SocketAddr) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the gateway ended at once, {status}:\n{}", self.tail()));
            }
            if is_ready(admin).await {
                return Ok(());
            }
            if began.elapsed() > START {
                return Err(format!("the gateway is not ready after {START:?}:\n{}", self.tail()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of its log.
    fn tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Guard for Process {
    fn stop(mut self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        Box::pin(async move {
            // A gateway that has died on its own says so in its log; that it died is a finding too.
            let died = matches!(self.child.try_wait(), Ok(Some(_)));
            let _ = self.child.kill().await;
            let mut log = std::fs::read(&self.log).unwrap_or_default();
            if died {
                log.extend_from_slice(DIED.as_bytes());
            }
            log
        })
    }
}

/// What a log ends with if the process had ended before it was asked to.
pub const DIED: &str = "\n(the process ended before the run did)\n";

/// Changes web configs by a gateway's admin API.
pub struct HttpAdmin {
    addr: SocketAddr,
    token: String,
}

impl HttpAdmin {
    /// At this admin port, with its token.
    pub fn new(addr: SocketAddr, token: String) -> Self {
        Self { addr, token }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, AdminError> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.addr,
            self.token,
            body.len()
        );
        let failed = |what: String| AdminError::Failed(format!("{method} {path}: {what}"));
        let answer = http1::exchange(self.addr, request.as_bytes(), method, b"").await;
        let response = match answer {
            Ok(Answer::Response(response)) => response,
            Ok(Answer::Closed(why)) => return Err(failed(why)),
            Err(err) => return Err(failed(err.to_string())),
        };
        let Response { status, body, .. } = response;
        match status {
            200 | 201 => serde_json::from_slice(&body).map_err(|err| failed(err.to_string())),
            204 => Ok(Value::Null),
            400..500 => Err(AdminError::Denied(format!("{status} {}", String::from_utf8_lossy(&body)))),
            _ => Err(failed(format!("{status} {}", String::from_utf8_lossy(&body)))),
        }
    }
}

fn issued(answer: &Value) -> Result<Issued, AdminError> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let others = answer.get("others").and_then(Value::as_array).into_iter().flatten();
    let others = others.filter_map(|other| other.as_str().or_else(|| other.get("id")?.as_str()));
    let all = || {
        Some(Issued {
            id: text("id")?,
            generation: answer.get("generation")?.as_u64()?,
            jwt: text("jwt")?,
            others: others.map(str::to_owned).collect(),
        })
    };
    all().ok_or_else(|| AdminError::Failed("an answer without id, generation or jwt".to_owned()))
}

impl Admin for HttpAdmin {
    fn create(&self, config: NewWebConfig) -> BoxFuture<'_, Result<Issued, AdminError>> {
        Box::pin(async move {
            let mut body = json!({
                "accountId": config.account_id,
                "contextId": config.context_id,
                "name": config.name,
                "allowedOrigins": config.allowed_origins,
            });
            if let Some(id) = config.id {
                body["id"] = id.into();
            }
            if let Some(secret) = config.secret {
                body["secret"] = token::encode(&secret).into();
            }
            if config.revive {
                body["revive"] = true.into();
            }
            issued(&self.call("POST", "/api/web-configs", Some(body)).await?)
        })
    }

    fn regenerate<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Issued, AdminError>> {
        Box::pin(async move {
            issued(&self.call("POST", &format!("/api/web-configs/{id}/regenerate"), None).await?)
        })
    }

    fn allow<'a>(&'a self, id: &'a str, origins: Vec<String>) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            let body = json!({ "allowedOrigins": origins });
            self.call("PATCH", &format!("/api/web-configs/{id}"), Some(body)).await.map(drop)
        })
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move { self.call("DELETE", &format!("/api/web-configs/{id}"), None).await.map(drop) })
    }
}
