use std::path::PathBuf;
use std::time::Duration;

use clap::Command;

use super::*;
use crate::cli::Start;
use crate::cli::parse::Wrong;
use crate::cli::parse::tests::{Own, PROGRAM, both, start};
use crate::cli::program::Program;

/// A config file for its owner alone.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::TempDir::new().unwrap();
    let path = place.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    mode(&path, 0o600);
    (place, path)
}

#[cfg(unix)]
fn mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// What is said about a config file, without its directory.
fn file_problem(text: &str) -> String {
    let (place, path) = file(text);
    match start("", &["--config", path.to_str().unwrap()]) {
        Err(Wrong::File(error, _)) => error.to_string().replace(place.path().to_str().unwrap(), ""),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_flag_may_stand_in_the_file() {
    let command = Program::flags::<Own>(Command::new(""), &ConfigFile::default(), None);
    let names: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    let settings = settings(&command);
    let known: Vec<_> = settings.iter().map(|setting| setting.name.as_str()).collect();
    // None is forgotten, whoever adds one: it is only the name of the file itself that cannot stand in it.
    assert_eq!(names.iter().copied().filter(|name| *name != "config").collect::<Vec<_>>(), known);
    assert!(
        known.contains(&"max-revocation-delay") && known.contains(&"extra") && known.len() > 20,
        "{known:?}"
    );

    // And each can be given there, with what it takes as a flag.
    let value = |name: &str| match name {
        "listen" | "admin-listen" => "\"127.0.0.1:1\"",
        "admin-host" => "[\"a.example\", \"[::1]:8081\"]",
        "edge" => "[\"a=http://a.example\", \"b=http://b.example:8081\"]",
        "max-revocation-delay" | "leeway" => "\"7s\"",
        "plain-secrets"
        | "seal-existing"
        | "preload"
        | "upstream-http2"
        | "extra"
        | "keep-revoked-exchanges"
        | "end-expired-exchanges" => "true",
        "max-cached" | "max-body-bytes" => "0x10",
        "token-sources" => "\"header,cookie:vg\"",
        "upstream" => "\"http://127.0.0.1:9\"",
        "trace-sample-ratio" => "\"0.5\"",
        "log-format" => "\"json\"",
        _ => "\"-text\"",
    };
    for name in known {
        let upstream = if name == "upstream-http2" { "upstream = \"http://127.0.0.1:9\"\n" } else { "" };
        let (_place, path) = file(&format!("{upstream}{name} = {}\n", value(name)));
        let (args, _) = both(&["--config", path.to_str().unwrap()]);
        let line = if upstream.is_empty() { 1 } else { 2 };
        let expected = format!("{}:{line}:{}", path.display(), name.len() + 4);
        assert_eq!(args.places.of(name), Some(expected.as_str()), "{name}");
    }
}

#[test]
fn what_the_file_says_counts() {
    let (_place, path) = file(
        "# all kinds\nlisten = \"127.0.0.1:1\"\nadmin-host = [\"a.example\", \"b.example\"]\npreload = true\n\
         max-cached = 1_000\nmax-revocation-delay = \"5m\"\nadmin-token = \"-hush-hush\"\nextra = true\n\
         extra-text = 'own'\ntoken-sources = \"query\"\nupstream-http2 = true\nupstream = \"http://127.0.0.1:9\"\n",
    );
    let (args, own) = both(&["--config", path.to_str().unwrap()]);
    assert_eq!((args.listen.port(), args.max_cached, args.preload), (1, 1_000, true));
    assert_eq!(args.admin_host, ["a.example", "b.example"]);
    assert_eq!(args.max_revocation_delay, Duration::from_secs(300));
    assert_eq!(args.admin_token.as_deref(), Some("-hush-hush"));
    assert!(args.token_sources.query && !args.token_sources.header && args.upstream_http2);
    assert_eq!((own.extra, own.extra_text.as_deref()), (true, Some("own")));
    assert_eq!(args.admin_listen.port(), 8081, "what it does not say stays");
}

#[test]
fn flags_win_over_the_file() {
    let (_place, path) = file(
        "listen = \"127.0.0.1:1\"\nadmin-host = [\"a.example\"]\npreload = true\nadmin-token-file = \"f\"\n\
         plain-secrets = true\nextra = true\n",
    );
    let config = ["--config", path.to_str().unwrap()];
    let with = |words: &[&str]| both(&[&config, words].concat());
    let (args, _) = with(&["--listen", "127.0.0.1:2", "--admin-host", "b.example", "--preload=false"]);
    assert_eq!((args.listen.port(), args.preload), (2, false));
    assert_eq!(args.admin_host, ["b.example"], "it takes the place of the whole list");
    assert_eq!(args.places.of("listen"), None);
    assert!(args.plain_secrets && with(&["--extra"]).1.extra && !with(&["--extra=false"]).1.extra);

    // And over what says the opposite there.
    let (args, _) = with(&["--admin-token", "t"]);
    assert_eq!((args.admin_token.as_deref(), args.admin_token_file), (Some("t"), None));
    let (args, _) = with(&["--master-key-file", "k"]);
    assert!(!args.plain_secrets && args.master_key_file.is_some());
    let (args, _) = with(&["--seal-existing"]);
    assert!(!args.plain_secrets && args.seal_existing);
    let (args, _) = with(&["--seal-existing=false"]);
    assert!(args.plain_secrets);
    let Start::Serve(args, _) = start("k:hush", &config).unwrap() else { panic!("it serves") };
    assert!(!args.plain_secrets && args.master_keys.is_some());
}

#[test]
fn what_is_wrong_in_the_file_names_its_place() {
    for (text, said) in [
        (
            "listn = \"127.0.0.1:1\"",
            "/gateway.toml:1:1: listn: there is no such setting; did you mean `listen`?",
        ),
        (
            "\n max_cached = 1",
            "/gateway.toml:2:2: max_cached: there is no such setting; did you mean `max-cached`?",
        ),
        (
            "--leeway = \"1s\"",
            "/gateway.toml:1:1: --leeway: there is no such setting; did you mean `leeway`?",
        ),
        ("zzz = 1", "/gateway.toml:1:1: zzz: there is no such setting; settings are named as the flags"),
        ("config = \"x\"", "/gateway.toml:1:1: config: there is no such setting"),
        ("[gateway]\nlisten = \"x\"", "/gateway.toml:1:2: gateway: there is no such setting"),
        (
            "preload = \"yes\"",
            "/gateway.toml:1:11: preload: must be true or false, without quotes, not a text",
        ),
        ("preload = 1", "preload: must be true or false, without quotes, not a whole number"),
        ("max-cached = \"1\"", "max-cached: must be a whole number, without quotes, not a text"),
        ("max-cached = 1.5", "not a number with a fraction"),
        ("max-cached = -1", "/gateway.toml:1:14: max-cached: "),
        ("max-cached = 99999999999999999999", "/gateway.toml:1:14: "),
        ("leeway = 1", "leeway: must be a text in quotes, as in leeway = \"DURATION\", not a whole number"),
        (
            "leeway = \"1d\"",
            "/gateway.toml:1:10: leeway: write a whole number and a unit, as in 500ms, 30s, 5m or 1h",
        ),
        ("listen = \"\"", "listen: is empty; write a IP:PORT, or leave the setting out"),
        (
            "admin-host = [\"a\", 2]",
            "must be a list of texts, as in admin-host = [\"NAME\", \"NAME\"], not a whole number",
        ),
        ("admin-host = [\"a b\"]", "admin-host: write a host name or an IP address"),
        ("listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"", "/gateway.toml:2:1: "),
        ("plain-secrets = true\nmaster-key-file = \"k\"", "cannot stand beside"),
        (
            "seal-existing = true\nplain-secrets = true",
            ":1:17: seal-existing: cannot stand beside `plain-secrets`",
        ),
        ("leeway", "/gateway.toml:1:"),
    ] {
        let problem = file_problem(text);
        assert!(problem.contains(said), "{text}: {problem}");
    }
    let all = file_problem("zzz = 1\nleeway = 1\npreload = 1");
    assert_eq!(all.lines().count(), 3, "{all}");
    let missing = start("", &["--config", "/nowhere/gateway.toml"]).unwrap_err();
    assert!(format!("{missing:?}").contains("NotFound"), "{missing:?}");
}

#[test]
fn what_is_wrong_in_the_file_shows_no_secret() {
    for text in [
        "admin-token = hush-hush",
        "admin-token = \"hush-hush",
        "admin-token = hush-hush\"",
        "admin-token: hush-hush",
        "admin-token = \"hush\\q\"",
        "admin-token = \"\"\"hush",
        "admin-token = [\"hush\"]",
        "admin-token = { a = \"hush\" }",
        "store = [\"postgres://u:hush@h/d\"]",
        "store = postgres://u:hush@h/d",
        "admin-token = \"hush-hush\"\nadmin-token = \"hush-hush\"",
        "admin-token = \"hush-hush\"\nadmin-token-file = \"f\"",
        "admin-token = \"hush-hush\" hush",
    ] {
        let problem = file_problem(text);
        assert!(!problem.contains("hush"), "{text}: {problem}");
    }
    let (_place, path) = file("admin-token = \"hush-hush\"");
    let read = ConfigFile::read(&path, &settings(&PROGRAM.command::<Own>(&ConfigFile::default()))).unwrap();
    assert_eq!(format!("{read:?}"), "{\"admin-token\"}");
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_is_for_its_owner_alone() {
    for (text, refused) in [
        ("admin-token = \"hush-hush\"", true),
        ("store = \"postgres://user:hush@host/db\"", true),
        ("store = \"postgres://host/db?user=u&password=hush\"", true),
        ("store = \"postgres://host/db\"", false),
        ("store = \"sqlite://a@b.db\"", false),
        ("admin-token-file = \"f\"\nlisten = \"127.0.0.1:1\"", false),
    ] {
        let (_place, path) = file(text);
        let config = ["--config", path.to_str().unwrap()];
        assert!(start("", &config).is_ok(), "{text}");
        mode(&path, 0o640);
        match start("", &config) {
            Err(Wrong::File(error, _)) => {
                let error = error.to_string();
                assert!(
                    refused && error.ends_with(&format!("chmod 600 {}", path.display())),
                    "{text}: {error}"
                );
                assert!(!error.contains("hush"), "{error}");
            }
            other => assert!(!refused, "{text}: {other:?}"),
        }
    }
}
