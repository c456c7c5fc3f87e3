//! Two gateways on one store across a network.

use std::fs::{self, File};
use std::process::Command;

#[cfg(feature = "etcd")]
use test_servers::EtcdCluster;
#[cfg(feature = "postgres")]
use test_servers::Postgres;

use serde_json::json;

use super::exchanges::Exchanges;
use super::master_keys::{KEYS, own_file, resealed};
use super::{BINARY, Gateway, upstream, wait_until};

/// The status of an answer that the upstream has no part in.
fn mint(gateway: &Gateway, token: &str) -> u16 {
    gateway.get("/v1/security/jwt?aud=a.example", token, &[]).status
}

/// Everything that a gateway does with a store, on two of them; then the store goes, and comes back.
fn on_two_gateways(url: &str, stop: impl FnOnce(), start_again: impl FnOnce()) {
    let (upstream, requests) = upstream();
    let place = tempfile::TempDir::new().unwrap();
    let keys = place.path().join("master.keys");
    let [old, new] = KEYS;
    own_file(&keys, old);
    let key_file = keys.to_str().unwrap();
    let args =
        ["--upstream", &upstream, "--max-revocation-delay", "3s", "--master-key-file", key_file, "--preload"];
    let logs = ["one", "two"].map(|name| place.path().join(name));
    let gateways = logs
        .each_ref()
        .map(|log| Gateway::launch(Command::new(BINARY), url, &args, File::create(log).unwrap().into()));
    let [one, two] = &gateways;
    // What SIGHUP has come to, so many times by now.
    let reloaded = |to: &str, times: usize| {
        gateways.iter().for_each(|gateway| gateway.signal("-HUP"));
        for log in &logs {
            let logged = || fs::read_to_string(log).unwrap().matches(to).count() == times;
            wait_until("a word about the keys", logged);
        }
    };

    let (id, token) = one.create();
    let exchanges = Exchanges::begin(two, &requests, &token);
    let newer = one.regenerate(&id);
    exchanges.have_ended();
    let mut exchanges = Exchanges::begin(two, &requests, &newer);
    assert_eq!([mint(one, &token), mint(two, &token)], [401; 2]);
    assert_eq!(resealed(two), json!({"resealed": 0, "skipped": 0, "retired": [], "known": ["old"]}));
    let (status, ended) = one.admin("POST", "/api/contexts/acc/other/end", None);
    assert_eq!((status, ended), (200, json!({"ended": 0})));
    exchanges.go_on();

    stop();
    exchanges.have_ended();
    for gateway in &gateways {
        wait_until("the end of the last proof", || mint(gateway, &newer) == 503);
    }
    // Keys that the store has not been asked about are not used.
    own_file(&keys, &[new, old].join("\n"));
    reloaded("the master keys stay as they are", 1);
    start_again();
    for gateway in &gateways {
        assert_eq!(gateway.admin("GET", "/readyz", None).0, 200, "it is ready again");
        wait_until("an answer", || mint(gateway, &newer) == 200);
    }
    let nothing = json!({"resealed": 0, "skipped": 0, "retired": [], "known": ["old"]});
    assert_eq!(resealed(one), nothing, "still under the old key");
    reloaded("the master keys were read again", 1);
    assert_eq!(resealed(one), json!({"resealed": 1, "skipped": 0, "retired": ["old"], "known": ["new"]}));
    own_file(&keys, new);
    reloaded("the master keys were read again", 2);
    assert_eq!([mint(one, &newer), mint(two, &newer)], [200; 2]);
    assert_eq!(one.admin("POST", "/api/accounts/acc/end", None), (200, json!({"ended": 1})));
    assert_eq!(mint(one, &newer), 401, "at once where it was ended");
    wait_until("the end of the account elsewhere, within the bound", || mint(two, &newer) == 401);
}

#[cfg(feature = "postgres")]
#[test]
fn c8_c4_on_postgres() {
    let server = Postgres::start().unwrap();
    let url = format!("{}?sslmode=disable", server.create_database().unwrap());
    on_two_gateways(&url, || server.kill().unwrap(), || server.start_again().unwrap());
}

#[cfg(feature = "etcd")]
#[test]
fn c8_c4_on_etcd() {
    let cluster = EtcdCluster::start(1).unwrap();
    let url = format!("etcd://{}/gateways", cluster.addresses()[0]);
    on_two_gateways(&url, || cluster.kill(0).unwrap(), || cluster.start_again(0).unwrap());
}
