use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use voicegain_auth_core::{
    CreateRequest, Generation, Issuer, MemoryStore, RestoredWebConfig, Secret, SecretCache, WebConfigId,
};
use voicegain_auth_store::sealing::MasterKeys;

use super::document::{self, Document, Header};
use super::export::all;
use super::import::into;
use super::{Import, counted, listed, thousands};

const API_URL: &str = "https://api.voicegain.ai/v1";

fn keys(id: &str, byte: u8) -> MasterKeys {
    MasterKeys::parse(&format!("{id}:{}", BASE64_STANDARD.encode([byte; 32]))).unwrap()
}

fn issuer() -> Issuer {
    let store = MemoryStore::new().unwrap();
    Issuer::new(SecretCache::builder(store).build().unwrap(), API_URL).unwrap()
}

/// Of a secret that is easily found again.
fn config(number: u8) -> RestoredWebConfig {
    RestoredWebConfig {
        id: WebConfigId::from_bytes([number; 16]),
        account_id: "account".parse().unwrap(),
        context_id: "context".parse().unwrap(),
        name: format!("B\u{fc}ro \"{number}\""),
        allowed_origins: vec!["https://*.example.com".to_owned()],
        secret: Secret::from_bytes(&[b'a' + number; 32]).unwrap(),
        generation: Generation::new(u64::from(number)),
        created_at: 1_234_567_890,
        secret_created_at: 1_345_678_901,
        revive: false,
    }
}

fn written(configs: &[RestoredWebConfig], keys: Option<&MasterKeys>) -> Vec<u8> {
    let mut text = Vec::new();
    let header = Header::new(1_700_000_000, "program 1".to_owned(), API_URL);
    document::write(&mut text, header, configs, keys).unwrap();
    text
}

fn read(text: &[u8], keys: Option<&MasterKeys>) -> Document {
    document::read(text, keys).unwrap()
}

/// What is said of a file that does not count; never a part of what stands there.
fn refused(text: &[u8], keys: Option<&MasterKeys>) -> String {
    let said = document::read(text, keys).unwrap_err();
    for number in 1..5 {
        let shown = BASE64_STANDARD.encode(&[b'a' + number; 32][..12]);
        assert!(!said.contains(&shown), "{said}");
    }
    said
}

fn flags() -> Import {
    let [file, key_file] = [PathBuf::from("file"), PathBuf::new()];
    Import { file, key_file: Some(key_file), dry_run: false, skip_existing: false, revive: false }
}

fn shown(web_configs: &[RestoredWebConfig]) -> Vec<String> {
    web_configs.iter().map(|config| format!("{config:?} {:?}", config.secret.expose())).collect()
}

#[test]
fn what_was_written_is_read() {
    let configs = [config(1), config(2), config(3)];
    for keys in [None, Some(keys("k", 1))] {
        for configs in [&configs[..], &configs[..1], &[]] {
            let text = written(configs, keys.as_ref());
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), configs.len() + 2);
            let document = read(&text, keys.as_ref());
            let found: Vec<_> = document.web_configs.into_values().collect();
            assert_eq!(shown(&found), shown(configs));
        }
        let text = String::from_utf8(written(&configs, keys.as_ref())).unwrap();
        let plain = BASE64_STANDARD.encode(configs[0].secret.expose());
        assert_eq!(text.contains(&plain), keys.is_none());
    }
    // The digest of the contents is of them alone.
    let [plain, sealed] =
        [None, Some(keys("k", 1))].map(|keys| read(&written(&configs, keys.as_ref()), keys.as_ref()));
    assert_eq!(plain.contents, sealed.contents);
    for (index, other) in [
        RestoredWebConfig { name: "other".to_owned(), ..config(2) },
        RestoredWebConfig { secret: Secret::from_bytes(&[7; 32]).unwrap(), ..config(2) },
        RestoredWebConfig { generation: Generation::new(9), ..config(2) },
        RestoredWebConfig { created_at: 1, ..config(2) },
        RestoredWebConfig { secret_created_at: 1, ..config(2) },
        RestoredWebConfig { allowed_origins: Vec::new(), ..config(2) },
        RestoredWebConfig { account_id: "b".parse().unwrap(), ..config(2) },
        RestoredWebConfig { context_id: "b".parse().unwrap(), ..config(2) },
        config(4),
    ]
    .into_iter()
    .enumerate()
    {
        let changed = read(&written(&[config(1), other, config(5)], None), None);
        let same = read(&written(&[config(1), config(2), config(5)], None), None);
        assert_ne!(changed.contents, same.contents, "{index}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_found() {
    for keys in [None, Some(keys("k", 1))] {
        let text = written(&[config(1), config(2)], keys.as_ref());
        for at in 0..text.len() {
            for bit in [0x01, 0x20] {
                let mut changed = text.clone();
                changed[at] ^= bit;
                refused(&changed, keys.as_ref());
            }
        }
        for end in 0..text.len() {
            refused(&text[..end], keys.as_ref());
        }
        let longer = [text.as_slice(), b"\n"].concat();
        refused(&longer, keys.as_ref());
        read(&text, keys.as_ref());
    }
}

#[test]
fn a_line_that_is_missing_doubled_or_moved_is_found() {
    let keys = keys("k", 1);
    let text = String::from_utf8(written(&[config(1), config(2)], Some(&keys))).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [header, one, two, end] = *lines else { panic!("{text}") };
    for lines in [
        &[header, one, end] as &[_],
        &[header, one, two, two, end],
        &[header, two, one, end],
        &[header, one, two],
        &[header, one, two, end, end],
        &[one, two, end],
        &[header, end],
        &[header],
        &[end],
    ] {
        let said = refused((lines.join("\n") + "\n").as_bytes(), Some(&keys));
        assert!(!said.is_empty());
    }
    // Whoever can compute a digest still has no key.
    let plain = String::from_utf8(written(&[config(1)], None)).unwrap();
    let forged = plain.replacen("\"secrets\":\"plain\"", "\"secrets\":\"sealed\",\"keyId\":\"k\"", 1);
    let said = refused(&with_its_digest(&forged), Some(&keys));
    assert!(said.contains("no export"), "{said}");
    let other = self::keys("k", 2);
    let said = refused(&written(&[config(1)], Some(&other)), Some(&keys));
    assert!(said.contains("not the key it was sealed under"), "{said}");
}

/// With the digest of its lines put right.
fn with_its_digest(text: &str) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let end = text.trim_end().rfind('\n').unwrap() + 1;
    let digest = super::record::hex(&Sha256::digest(&text[..end]));
    let at = text.find("\"sha256\":\"").unwrap() + 10;
    [&text[..at], &digest, &text[at + 64..]].concat().into_bytes()
}

#[test]
fn the_key_must_be_the_right_one() {
    let text = written(&[config(1)], Some(&keys("k", 1)));
    let said = refused(&text, None);
    assert!(said.contains("under the key k") && said.contains("--key-file"), "{said}");
    let said = refused(&text, Some(&keys("k", 2)));
    assert!(said.contains("--key-file: it does not open under the key k"), "{said}");
    let said = refused(&text, Some(&keys("other", 1)));
    assert!(said.contains("--key-file") && said.contains("under the key k, which is not among"), "{said}");
    let said = refused(&written(&[config(1)], None), Some(&keys("k", 1)));
    assert!(said.contains("nothing to open"), "{said}");
}

#[test]
fn what_create_would_refuse_is_found_with_its_line() {
    for (bad, told) in [
        (RestoredWebConfig { name: String::new(), ..config(2) }, "line 3: name: "),
        (RestoredWebConfig { name: "a\u{1b}[2J".to_owned(), ..config(2) }, "line 3: name: "),
        (
            RestoredWebConfig { allowed_origins: vec!["*.com".to_owned()], ..config(2) },
            "line 3: allowedOrigins: pattern 1",
        ),
        (RestoredWebConfig { generation: Generation::new(0), ..config(2) }, "line 3: generation: "),
        (RestoredWebConfig { created_at: u64::MAX, ..config(2) }, "line 3: createdAt: "),
        (config(1), "line 3: the web config 01010101-0101-0101-0101-010101010101 stands on line 2 already"),
    ] {
        for keys in [None, Some(keys("k", 1))] {
            let said = refused(&written(&[config(1), bad.clone(), config(3)], keys.as_ref()), keys.as_ref());
            assert!(said.starts_with(told), "{told}: {said}");
        }
    }
    let text = String::from_utf8(written(&[config(1)], None)).unwrap();
    let plain = BASE64_STANDARD.encode(config(1).secret.expose());
    for (from, to, told) in [
        ("\"version\":1", "\"version\":2", "use the newer program"),
        ("voicegain-auth web configs", "something else", "no export"),
        ("\"name\":", "\"nam\":", "line 2, column "),
        ("\"name\":", "\"more\":1,\"name\":", "line 2, column "),
        ("\"generation\":1", "\"generation\":\"1\"", "line 2, column "),
        ("\"generation\":1", "\"generation\":1,\"generation\":1", "line 2, column "),
        ("\"count\":1,\"secrets\"", "\"count\":2,\"secrets\"", "it says that it holds 2"),
        (&*plain, "YWJj", "line 2: secret: a secret must be 32"),
        (&*plain, "a", "line 2: secret: is not base64"),
        (&*plain, &format!("{plain}\",\"secret\":\"{plain}"), "line 2, column "),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let said = refused(&with_its_digest(&changed), None);
        assert!(said.contains(told), "{told}: {said}");
    }
    read(&with_its_digest(&text), None);
    for other in ["", "\n", "{}\n", "\0", "{\"format\":1}\n"] {
        assert!(refused(other.as_bytes(), None).contains("no export"), "{other:?}");
    }
}

#[tokio::test]
async fn from_one_store_to_another_and_on() {
    let (from, to) = (issuer(), issuer());
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let request = CreateRequest::new("a".parse().unwrap(), "c".parse().unwrap(), name);
        ids.push(from.create(request).await.unwrap().config.id);
    }
    from.regenerate(ids[0]).await.unwrap();
    from.regenerate(ids[0]).await.unwrap();
    from.delete(ids[1]).await.unwrap();
    let configs = all(&from).await.unwrap();
    let document = read(&written(&configs, None), None);

    let dry_run = into(&to, &document, &Import { dry_run: true, ..flags() }).await.unwrap();
    assert!(dry_run.contains("2 web configs would be imported; nothing was changed"), "{dry_run}");
    assert!(all(&to).await.unwrap().is_empty());
    let said = into(&to, &document, &flags()).await.unwrap();
    assert_eq!(
        said,
        format!(
            "2 web configs imported; contents, read back: sha256:{}, as in the file\n",
            document.contents
        )
    );
    assert_eq!(shown(&all(&to).await.unwrap()), shown(&configs));
    assert_eq!(to.get(ids[0]).await.unwrap().generation.get(), 3);

    // Once more is an error, unless they may be there.
    let said = into(&to, &document, &flags()).await.unwrap_err();
    assert!(said.contains("nothing was imported: 2 web configs of the file live"), "{said}");
    assert!(said.contains(&format!("{}: is there already, the same", ids[0])), "{said}");
    let again = Import { skip_existing: true, ..flags() };
    let said = into(&to, &document, &again).await.unwrap();
    assert!(said.starts_with("0 web configs imported, 2 there already; contents, read back"), "{said}");

    // What was regenerated here since differs.
    to.regenerate(ids[0]).await.unwrap();
    let said = into(&to, &document, &again).await.unwrap_err();
    let told = format!("{}: is there already, with a different generation, secret", ids[0]);
    assert!(said.contains("nothing was imported: 1 web config of") && said.contains(&told), "{said}");
}

#[tokio::test]
async fn what_was_deleted_in_the_store_is_refused_and_the_rest_is_imported() {
    let to = issuer();
    let document = read(&written(&[config(1), config(2), config(3)], None), None);
    into(&to, &document, &flags()).await.unwrap();
    for number in 1..=3 {
        to.delete(config(number).id).await.unwrap();
    }
    // The file has a later generation of the second one by now, and one that is new.
    let later = RestoredWebConfig { generation: Generation::new(7), ..config(2) };
    let document = read(&written(&[config(1), later, config(4)], None), None);
    let said = into(&to, &document, &flags()).await.unwrap_err();
    for told in [
        "1 web config imported, and read back as they are in the file. 2 were refused".to_owned(),
        format!("{}: was deleted in this store, at the generation that the file has", config(1).id),
        format!("{}: was deleted in this store; --revive", config(2).id),
    ] {
        assert!(said.contains(&told), "{told}: {said}");
    }
    assert_eq!(shown(&all(&to).await.unwrap()), shown(&[config(4)]));
    let revive = Import { skip_existing: true, revive: true, ..flags() };
    let said = into(&to, &document, &revive).await.unwrap_err();
    assert!(
        said.contains("1 web config imported, 1 there already") && said.contains("1 was refused"),
        "{said}"
    );
    assert_eq!(to.get(config(2).id).await.unwrap().generation.get(), 7);
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on() {
    let to = issuer();
    let configs: Vec<_> = (1..=20).map(config).collect();
    let document = read(&written(&configs, None), None);
    for config in &configs[3..12] {
        to.restore(config.clone()).await.unwrap();
    }
    let said = into(&to, &document, &Import { skip_existing: true, ..flags() }).await.unwrap();
    assert!(said.starts_with("11 web configs imported, 9 there already; contents"), "{said}");
    assert_eq!(shown(&all(&to).await.unwrap()), shown(&configs));
}

#[test]
fn numbers_and_lists_for_people() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(thousands(number), text);
    }
    assert_eq!((counted(1), counted(1_000)), ("1 web config".to_owned(), "1,000 web configs".to_owned()));
    let lines: Vec<_> = (0..25).map(|number| number.to_string()).collect();
    assert!(listed(&lines[..20]).ends_with("\n  19") && listed(&lines).ends_with("\n  19\n  and 5 more"));
}
