//! The contenders: each a process that passes requests on to the same upstream, with as many threads.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::load::{Loader, Protocol};
use crate::process::{Process, free_port, program};
use crate::tokens::{ADMIN_TOKEN, SECRET, Sent, Tokens};

/// What a proxy looks at before it passes a request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verifies {
    Nothing,
    Signature,
    /// And whether the token has expired.
    Expiry,
}

pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) verifies: Verifies,
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
    pub(crate) process: Process,
}

pub(crate) const BARE: &str = "bare proxy of the gateway's making";
pub(crate) const GATE: &str = "the same with the gateway's gate";
pub(crate) const GATEWAY: &str = "voicegain-gateway";
pub(crate) const HAPROXY: &str = "HAProxy";
pub(crate) const HAPROXY_JWT: &str = "HAProxy, jwt_verify";
pub(crate) const HAPROXY_EXP: &str = "HAProxy, jwt_verify and exp";
pub(crate) const NGINX: &str = "nginx";

/// What everything is started with.
pub(crate) struct Ground<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) upstream: SocketAddr,
    pub(crate) threads: usize,
    pub(crate) gateway: &'a Path,
    pub(crate) bare_proxy: &'a Path,
}

/// What all requests end at: it costs the cores, which all share, as little as any server.
pub(crate) fn upstream(folder: &Path) -> Result<(Process, SocketAddr), Box<dyn Error>> {
    let address = free_port()?;
    let server = format!(
        "server {{ listen {address}; location / {{ default_type text/plain; return 200 \"passed on\\n\"; }} }}"
    );
    let process = nginx("upstream", folder, 1, &[address], &server)?;
    Ok((process, address))
}

impl Ground<'_> {
    /// Starts all, and has the gateway make the tokens.
    pub(crate) fn contenders(&self) -> Result<(Vec<Proxy>, Tokens), Box<dyn Error>> {
        let (gateway, tokens) = self.our_gateway()?;
        let signature = format!(
            "http-request set-var(txn.bearer) http_auth_bearer\n    \
             http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(\"HS256\",\"{SECRET}\") -m int 1 }}\n"
        );
        let expiry = "    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')\n    \
                      http-request set-var(txn.now) date()\n    \
                      http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int le 0 }\n";
        let proxies = vec![
            self.bare(BARE, None)?,
            self.bare(GATE, Some("gate"))?,
            gateway,
            self.haproxy(HAPROXY, Verifies::Nothing, "")?,
            self.haproxy(HAPROXY_JWT, Verifies::Signature, &signature)?,
            self.haproxy(HAPROXY_EXP, Verifies::Expiry, &format!("{signature}{expiry}"))?,
            self.nginx()?,
        ];
        Ok((proxies, tokens))
    }

    fn our_gateway(&self) -> Result<(Proxy, Tokens), Box<dyn Error>> {
        let upstream = format!("http://{}", self.upstream);
        let arguments = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", "memory:"];
        let arguments = arguments.into_iter().chain(["--upstream", &upstream]);
        let threads = self.threads.to_string();
        let environment =
            [("TOKIO_WORKER_THREADS", threads.as_str()), ("VOICEGAIN_ADMIN_TOKEN", ADMIN_TOKEN)];
        let mut process = Process::start(GATEWAY, self.gateway, arguments, &environment, self.folder)?;
        let api = process.address_behind("listening on http://")?;
        let admin = process.address_behind("admin on http://")?;
        let tokens = Tokens::make(api, admin)?;
        let proxy = Proxy { name: GATEWAY, verifies: Verifies::Expiry, http1: api, http2: api, process };
        Ok((proxy, tokens))
    }

    fn bare(&self, name: &'static str, gate: Option<&str>) -> Result<Proxy, Box<dyn Error>> {
        let upstream = format!("http://{}", self.upstream);
        let arguments = std::iter::once(upstream.as_str()).chain(gate);
        let threads = self.threads.to_string();
        let environment = [("TOKIO_WORKER_THREADS", threads.as_str())];
        let mut process = Process::start(name, self.bare_proxy, arguments, &environment, self.folder)?;
        let address = process.address_behind("listening on http://")?;
        Ok(Proxy { name, verifies: Verifies::Nothing, http1: address, http2: address, process })
    }

    fn haproxy(&self, name: &'static str, verifies: Verifies, rules: &str) -> Result<Proxy, Box<dyn Error>> {
        let (address, upstream, threads) = (free_port()?, self.upstream, self.threads);
        let config = format!(
            "global\n    nbthread {threads}\n    maxconn 4096\n\
             defaults\n    mode http\n    timeout connect 10s\n    timeout client 60s\n    timeout server 60s\n    \
             http-reuse always\n\
             frontend api\n    bind {address}\n    {rules}\n    default_backend upstream\n\
             backend upstream\n    server one {upstream}\n"
        );
        let file = self.folder.join(format!("haproxy-{}.cfg", address.port()));
        fs::write(&file, config)?;
        let arguments = ["-db".as_ref(), "-f".as_ref(), file.as_os_str()];
        let mut process = Process::start(name, &program("haproxy")?, arguments, &[], self.folder)?;
        process.wait_for(address)?;
        // It tells the two protocols apart by their first bytes.
        Ok(Proxy { name, verifies, http1: address, http2: address, process })
    }

    fn nginx(&self) -> Result<Proxy, Box<dyn Error>> {
        let (http1, http2, upstream) = (free_port()?, free_port()?, self.upstream);
        // Before version 1.25 a port without TLS speaks one of the two.
        let server = format!(
            "upstream api {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
             server {{ listen {http1}; listen {http2} http2; location / {{ proxy_pass http://api; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}"
        );
        let process = nginx(NGINX, self.folder, self.threads, &[http1, http2], &server)?;
        Ok(Proxy { name: NGINX, verifies: Verifies::Nothing, http1, http2, process })
    }
}

fn nginx(
    name: &'static str,
    folder: &Path,
    workers: usize,
    listening: &[SocketAddr],
    server: &str,
) -> Result<Process, Box<dyn Error>> {
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    let at = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {at}/{what};\n"))
        .concat();
    let config = format!(
        "daemon off;\nworker_processes {workers};\npid {at}/pid;\nerror_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000000;\n{temporary}{server}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let prefix = folder.as_os_str();
    let arguments =
        ["-p".as_ref(), prefix, "-e".as_ref(), "stderr".as_ref(), "-c".as_ref(), file.as_os_str()];
    let mut process = Process::start(name, &program("nginx")?, arguments, &[], &folder)?;
    for address in listening {
        process.wait_for(*address)?;
    }
    Ok(process)
}

/// Whoever claims to verify must let the good in and refuse the forged and, where it says so, the expired; and who
/// does not must let all of them in. Otherwise the figures mean nothing.
pub(crate) fn prove(proxies: &[Proxy], tokens: &Tokens, loader: &Loader) -> Result<(), Box<dyn Error>> {
    for proxy in proxies {
        for protocol in Protocol::ALL {
            let status = |sent: &Sent| loader.status(protocol, proxy, sent);
            let expect = |what: &str, sent: &Sent, refused: bool| {
                let (status, expected) = (status(sent)?, if refused { 401 } else { 200 });
                if status == expected {
                    return Ok::<_, Box<dyn Error>>(());
                }
                let (name, protocol) = (proxy.name, protocol.name());
                Err(format!("{name} answers {what} with {status} over {protocol}").into())
            };
            expect("the long-lived token", &tokens.long_lived, false)?;
            expect("the short-lived token", &tokens.short_lived, false)?;
            let (forged, expired) =
                (proxy.verifies >= Verifies::Signature, proxy.verifies >= Verifies::Expiry);
            expect("a forged long-lived token", &tokens.long_lived.forged(), forged)?;
            expect("a forged short-lived token", &tokens.short_lived.forged(), forged)?;
            expect("an expired token", &tokens.expired, expired)?;
        }
    }
    Ok(())
}
