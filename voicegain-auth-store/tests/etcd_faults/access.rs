//! Passwords, roles, certificates, addresses.

use std::error::Error;
use std::net::{SocketAddr, TcpListener};

use test_servers::EtcdCluster;
use voicegain_auth_core::store::{SecretStore as _, StoreError};
use voicegain_auth_store::etcd::{EtcdOptions, EtcdStore, OpenError};
use voicegain_auth_store::sealing::Sealing;

use crate::cluster::{cluster, new_config, open, secret, soon, until_ok, url};

const PASSWORD: &str = "s3cr3t-word";

/// The error and its causes.
fn chain(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn with_user(address: SocketAddr, user: &str, password: &str, prefix: &str) -> String {
    format!("etcd://{user}:{password}@{address}{prefix}")
}

async fn refused(url: &str) -> String {
    let error = soon(EtcdStore::open(url, Sealing::Plain)).await.unwrap_err();
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let text = format!("{error:?} {}", chain(&error));
    assert!(!text.contains("password-") && !text.contains(PASSWORD), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_lets_in_and_a_wrong_one_is_said_at_once() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).password(PASSWORD).start().unwrap();
    let address = cluster.addresses()[0];
    let store =
        EtcdStore::open(&with_user(address, "root", PASSWORD, "/store"), Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;

    refused(&with_user(address, "root", "password-wrong", "/store")).await;
    refused(&with_user(address, "nobody", PASSWORD, "/store")).await;
    refused(&format!("etcd://{address}/store")).await;
    // What the options say counts.
    let options = EtcdOptions::new().user("root", PASSWORD);
    let wrong = with_user(address, "root", "password-wrong", "/store");
    options.open(&wrong, Sealing::Plain).await.unwrap();

    // A server that was restarted has forgotten all logins.
    cluster.kill(0).unwrap();
    cluster.start_again(0).unwrap();
    until_ok(|| store.regenerate(id, secret())).await;

    // A password that was changed under a running store is the operator's to give anew.
    cluster.etcdctl(&["user", "add", "gateway:password-one"]).unwrap();
    cluster.etcdctl(&["user", "grant-role", "gateway", "root"]).unwrap();
    let url = with_user(address, "gateway", "password-one", "/store");
    let store = EtcdStore::open(&url, Sealing::Plain).await.unwrap();
    cluster.etcdctl(&["user", "delete", "gateway"]).unwrap();
    let error = soon(store.load(id)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.chain().contains("check the user"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_the_prefix_is_enough_and_for_that_prefix_only() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).password(PASSWORD).start().unwrap();
    let address = cluster.addresses()[0];
    cluster.etcdctl(&["role", "add", "gateway"]).unwrap();
    cluster
        .etcdctl(&["role", "grant-permission", "gateway", "readwrite", "/store/", "--prefix=true"])
        .unwrap();
    cluster.etcdctl(&["user", "add", "gateway:password-one"]).unwrap();
    cluster.etcdctl(&["user", "grant-role", "gateway", "gateway"]).unwrap();
    let url = |prefix| with_user(address, "gateway", "password-one", prefix);
    let store = EtcdStore::open(&url("/store"), Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    store.regenerate(id, secret()).await.unwrap();
    store.delete(id).await.unwrap();
    let text = refused(&url("/store2")).await;
    assert!(text.contains("permission denied") && text.contains("/store2"), "{text}");

    // A change of any user or role does not disturb.
    cluster.etcdctl(&["role", "add", "another"]).unwrap();
    store.create(new_config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_believes_the_named_authority_and_no_other() {
    let cluster = EtcdCluster::builder().members(1).fsync(false).tls(true).start().unwrap();
    let (address, authority) = (cluster.addresses()[0], cluster.ca_certificate().unwrap());
    let authority = authority.to_str().unwrap();
    let url = format!("etcds://{address}/store?cacert={authority}");
    let store = EtcdStore::open(&url, Sealing::Plain).await.unwrap();
    let id = store.create(new_config()).await.unwrap().id;
    store.regenerate(id, secret()).await.unwrap();

    let (without, plain) = (format!("etcds://{address}/store"), format!("etcd://{address}/store"));
    let (without, plain) = soon(async {
        tokio::join!(EtcdStore::open(&without, Sealing::Plain), EtcdStore::open(&plain, Sealing::Plain))
    })
    .await;
    // The system does not know that authority.
    let text = chain(&without.unwrap_err()).to_lowercase();
    assert!(text.contains("certificate") || text.contains("unknownissuer"), "{text}");
    assert!(matches!(plain, Err(OpenError::Unreachable { .. })), "{plain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_do_not_answer_are_passed_over() {
    let cluster = cluster(1);
    let good = cluster.addresses()[0];
    // Nobody listens here.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Here connections are made, and nobody ever says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for first in [closed, silent.local_addr().unwrap()] {
        let store = soon(EtcdStore::open(&url(&[first, good]), Sealing::Plain)).await.unwrap();
        soon(store.create(new_config())).await.unwrap();
    }
    let alone = [silent.local_addr().unwrap()];
    let error = soon(EtcdStore::open(&url(&alone), Sealing::Plain)).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    drop(open(&[good]).await);
}
