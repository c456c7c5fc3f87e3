//! What must hold for the workspace as a whole.

use std::process::Command;

/// A Rust version as three numbers.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().expect("a version"));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// No other Rust version is tested, so at least no dependency may ask for more than the workspace declares.
#[test]
fn no_dependency_asks_for_a_newer_rust_than_declared() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--all-features"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let declared = packages
        .iter()
        .find(|package| package["name"] == "voicegain-auth-core")
        .and_then(|package| package["rust_version"].as_str())
        .expect("the core declares a version");
    assert!(packages.len() > 50, "only {} packages were found", packages.len());
    for package in packages {
        if let Some(asked) = package["rust_version"].as_str() {
            assert!(
                version(asked) <= version(declared),
                "{} {} asks for Rust {asked}, the workspace declares {declared}",
                package["name"],
                package["version"]
            );
        }
    }
}
