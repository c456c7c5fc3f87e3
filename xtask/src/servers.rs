//! The servers and the browser that tests start, and what building for them takes, from the system's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Outcome, run};

/// Programs, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 9] = [
    ("postgres", "postgresql"),
    ("psql", "postgresql-client"),
    ("etcd", "etcd-server"),
    ("etcdctl", "etcd-client"),
    ("protoc", "protobuf-compiler"),
    ("openssl", "openssl"),
    // libFuzzer is C++.
    ("c++", "g++"),
    ("chromium", "chromium"),
    ("promtool", "prometheus"),
];

/// What the gateway is measured beside, and by.
const PROXIES: [(&str, &str); 3] =
    [("haproxy", "haproxy"), ("nginx", "nginx-light"), ("h2load", "nghttp2-client")];

/// Installs what is missing, where that can be done; otherwise says what to install.
pub fn install() -> Outcome {
    let mut missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if !protoc_finds_its_own_types() {
        missing.push("libprotobuf-dev");
    }
    if missing.is_empty() {
        println!("PostgreSQL, etcd, protoc, a C++ compiler, Chromium and promtool are there");
        return Ok(());
    }
    install_packages(&missing)
}

/// The same for what the gateway is measured beside.
pub fn install_proxies() -> Outcome {
    let missing: Vec<_> =
        PROXIES.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        println!("HAProxy, nginx and h2load are there");
        return Ok(());
    }
    install_packages(&missing)
}

/// The same for what Pingora is built with.
pub fn install_cmake() -> Outcome {
    if is_there("cmake") {
        println!("cmake is there");
        return Ok(());
    }
    install_packages(&["cmake"])
}

fn install_packages(missing: &[&str]) -> Outcome {
    let by_hand =
        format!("install these Debian packages, or what has their programs elsewhere: {}", missing.join(" "));
    let as_root: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    let apt = |arguments: &[&str]| {
        let words: Vec<_> =
            as_root.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).copied().collect();
        let (program, rest) = words.split_first().expect("at least apt-get");
        run(Command::new(program).args(rest).args(arguments).stdin(Stdio::null()))
    };
    println!("installing {}", missing.join(" "));
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(missing);
    // The package lists may be old or not there at all.
    let installed = apt(&["update"]).and_then(|()| apt(&install));
    installed.map_err(|problem| format!("{problem}\n{by_hand}"))
}

/// Whether there is a protoc that has the types which every other `.proto` file imports: Debian packs them apart from it.
fn protoc_finds_its_own_types() -> bool {
    let name = format!("voicegain-auth-{}.proto", std::process::id());
    let file = std::env::temp_dir().join(&name);
    let text = "syntax = \"proto3\";\nimport \"google/protobuf/descriptor.proto\";\n";
    let compiled = fs::write(&file, text).and_then(|()| {
        let folder = std::env::temp_dir();
        Command::new("protoc")
            .args(["--descriptor_set_out=/dev/null", &name])
            .current_dir(&folder)
            .stderr(Stdio::null())
            .status()
    });
    // Nothing depends on its being gone.
    let _ = fs::remove_file(&file);
    compiled.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.starts_with(b"0\n") || output.stdout == b"0")
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Debian keeps servers out of everybody's PATH.
    folders.push(PathBuf::from("/usr/sbin"));
    folders.extend(
        fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("bin")),
    );
    folders.iter().any(|folder| Path::new(folder).join(program).is_file())
}
