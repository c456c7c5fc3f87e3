use std::path::PathBuf;
use std::time::Duration;

use voicegain_auth_core::TokenSources;

use super::super::values::duration;
use super::*;

const PROGRAM: Program = Program { name: "gateway", version: "0", only_serves: false };

/// What a program may have besides.
#[derive(Debug, clap::Args)]
struct Own {
    #[arg(long)]
    extra: bool,
    #[arg(long)]
    extra_text: Option<String>,
}

fn start(master_keys: &str, words: &[&str]) -> Result<Start<Own>, Wrong> {
    let words: Vec<_> = std::iter::once("gateway").chain(words.iter().copied()).map(OsString::from).collect();
    read(&PROGRAM, &words, Some(master_keys.into()))
}

/// What is served with these words.
pub(in crate::cli) fn serving(words: &[&str]) -> Args {
    both(words).0
}

fn both(words: &[&str]) -> (Args, Own) {
    match start("", words).unwrap() {
        Start::Serve(args, own) => (args, own),
        Start::Do(job) => panic!("{job:?}"),
    }
}

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    parse_with("", words)
}

fn parse_with(master_keys: &str, words: &[&str]) -> Result<Args, clap::Error> {
    match start(master_keys, words) {
        Ok(Start::Serve(args, _)) => Ok(args),
        Ok(Start::Do(job)) => panic!("{job:?}"),
        Err(Wrong::Words(error)) => Err(error),
        Err(Wrong::File(error, job)) => panic!("{job}: {error}"),
    }
}

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
fn the_defaults() {
    let args = parse(&[]).unwrap();
    assert_eq!(args.token_sources, TokenSources::default());
    assert_eq!(
        (args.listen.to_string(), args.admin_listen.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:8081".into())
    );
    assert_eq!(args.store, "sqlite://voicegain-gateway.db");
    assert_eq!((args.base_path.as_str(), args.api_url.as_str()), ("/v1", "https://api.voicegain.ai/v1"));
    assert_eq!((args.max_revocation_delay, args.leeway), (Duration::from_secs(30), Duration::ZERO));
    assert!(args.upstream.is_none() && !args.upstream_http2 && args.admin_token_file.is_none());
    assert!(args.master_key_file.is_none() && args.master_keys.is_none());
    assert!(!args.plain_secrets && !args.seal_existing && !args.preload);
    assert_eq!(args.max_cached, 100_000);
}

#[test]
fn an_admin_token_may_begin_with_a_hyphen() {
    let args = parse(&["--admin-token", "-_x", "--leeway", "1s"]).unwrap();
    assert_eq!(args.admin_token.as_deref(), Some("-_x"));
    assert_eq!(args.leeway, Duration::from_secs(1));
}

#[test]
fn v1_token_sources() {
    let sources = parse(&["--token-sources", "header,query,protocol,cookie:vg"]).unwrap().token_sources;
    assert_eq!(
        (sources.header, sources.query, sources.protocol, sources.cookie.as_deref()),
        (true, true, true, Some("vg"))
    );
    let sources = parse(&["--token-sources", "cookie:vg"]).unwrap().token_sources;
    assert!(!sources.header && sources.cookie.is_some());
    for bad in ["", "head", "header,", "header,header", "cookie", "cookie:", "query:x", "header, query"] {
        assert!(parse(&["--token-sources", bad]).is_err(), "{bad:?}");
    }
}

#[test]
fn durations() {
    for (text, seconds) in [("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("7", 7.0)] {
        assert_eq!(duration(text).unwrap().as_secs_f64(), seconds, "{text}");
    }
    for bad in ["", "s", "-1s", "1.5s", "1d", "1 s", "99999999999999999999s", "18446744073709551615h"] {
        assert!(duration(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn only_an_upstream_speaks_http2() {
    let upstream = ["--upstream", "http://127.0.0.1:9000", "--upstream-http2"];
    assert!(parse(&upstream).unwrap().upstream_http2);
    assert!(parse(&upstream[2..]).is_err());
}

#[test]
fn debug_shows_no_token() {
    let args = parse(&["--admin-token", "hush"]).unwrap();
    assert!(!format!("{args:?}").contains("hush"));
}

#[test]
fn the_help_begins_with_what_the_program_does() {
    for help in ["-h", "--help"] {
        let text = parse(&[help]).unwrap_err().to_string();
        assert!(text.starts_with("Puts Voicegain's tokens in front of an API"), "{text}");
        assert!(text.contains("<IP:PORT>") && text.contains("a bare number is seconds"), "{text}");
        assert_eq!(text.contains("Examples:"), help == "--help", "{text}");
    }
}

#[test]
fn two_admin_tokens_are_refused() {
    let error = parse(&["--admin-token", "hush", "--admin-token-file", "f"]).unwrap_err().to_string();
    assert!(error.contains("VOICEGAIN_ADMIN_TOKEN)") && !error.contains("hush"), "{error}");
}

#[test]
fn secrets_are_sealed_in_one_way() {
    let file = ["--master-key-file", "f"];
    for (keys, args, said) in [
        ("k:hush", file.as_slice(), "VOICEGAIN_MASTER_KEY_FILE), or VOICEGAIN_MASTER_KEYS"),
        ("k:hush", &["--plain-secrets"], "leave out --plain-secrets, or the master keys"),
        ("", &["--plain-secrets", "--master-key-file", "f"], "leave out --plain-secrets, or the master keys"),
        ("", &["--plain-secrets", "--seal-existing"], "--seal-existing"),
    ] {
        let error = parse_with(keys, args).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("hush"), "{args:?}: {error}");
    }
    assert_eq!(parse_with("k:hush", &[]).unwrap().master_keys.unwrap().as_str(), "k:hush");
    assert!(!format!("{:?}", parse_with("k:hush", &[]).unwrap()).contains("hush"));
    assert!(parse_with("", &file).unwrap().master_keys.is_none(), "an empty variable is none");
    assert!(parse(&["--plain-secrets"]).unwrap().plain_secrets);
}

#[test]
fn admin_hosts() {
    for good in ["gateway", "gw.example", "gw_1.example:8081", "192.0.2.7", "[2001:db8::1]", "[::1]:8081"] {
        assert_eq!(parse(&["--admin-host", good]).unwrap().admin_host, [good]);
    }
    for bad in [
        "",
        "bad host!",
        "bad!",
        ":8081",
        "gw:x",
        "gw:",
        "u@gw",
        "gw/x",
        "http://gw",
        "::1",
        "[gw]",
        "*.example",
    ] {
        assert!(parse(&["--admin-host", bad]).is_err(), "{bad:?}");
    }
}

#[test]
fn a_summary_is_one_line() {
    for command in [PROGRAM.command::<Own>(&ConfigFile::default())] {
        for arg in command.get_arguments() {
            // Flags of the test's own have none.
            let Some(help) = arg.get_help().map(ToString::to_string) else { continue };
            assert!(help.chars().count() <= 110, "{}: {help}", arg.get_id());
        }
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
        "max-revocation-delay" | "leeway" => "\"7s\"",
        "plain-secrets" | "seal-existing" | "preload" | "upstream-http2" | "extra" => "true",
        "max-cached" | "max-body-bytes" => "0x10",
        "token-sources" => "\"header,cookie:vg\"",
        "upstream" => "\"http://127.0.0.1:9\"",
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

#[test]
fn jobs_take_the_flags_that_do_something_for_them() {
    let job = |words: &[&str]| match start("", words) {
        Ok(Start::Do(job)) => Ok(format!("{job:?}")),
        Ok(Start::Serve(..)) => panic!("{words:?} serves"),
        Err(Wrong::Words(error)) => Err(error.to_string()),
        Err(Wrong::File(error, job)) => panic!("{job}: {error}"),
    };
    let id = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";
    for words in [
        &["check", "--listen", "127.0.0.1:1", "--extra"] as &[_],
        &["explain", "--path", "/v1/x", "--base-path", "/v1"],
        &[
            "web-config",
            "create",
            "--account",
            "a",
            "--context",
            "c",
            "--name",
            "n",
            "--api-url",
            "https://a.example",
        ],
        &["web-config", "list", "--store", "sqlite://f", "--json"],
        &["web-config", "show", id],
        &["web-config", "regenerate", id, "--yes"],
        &["web-config", "delete", id, "--plain-secrets"],
        &["completion", "bash"],
    ] {
        job(words).unwrap();
    }
    for (words, said) in [
        (
            &["web-config", "list", "--listen", "127.0.0.1:1"] as &[_],
            "--listen does nothing for `web-config list`",
        ),
        (&["explain", "--extra"], "--extra does nothing for `explain`"),
        (&["--store", "sqlite://f", "web-config", "list"], "cannot be used with"),
        (&["web-config"], "Usage"),
        (&["web-config", "show", "x"], "<ID>"),
        (&["web-config", "create", "--account", "a b", "--context", "c", "--name", "n"], "visible ASCII"),
        (&["completion", "sh"], "possible values"),
    ] {
        let error = job(words).unwrap_err();
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn clap_finds_nothing_wrong_with_the_command_line() {
    PROGRAM.command::<Own>(&ConfigFile::default()).debug_assert();
    Program { only_serves: true, ..PROGRAM }.command::<Own>(&ConfigFile::default()).debug_assert();
}
