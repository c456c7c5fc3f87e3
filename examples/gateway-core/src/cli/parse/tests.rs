use std::time::Duration;

use voicegain_auth_core::TokenSources;

use super::super::values::duration;
use super::*;

pub(in crate::cli) const PROGRAM: Program = Program { name: "gateway", version: "0", only_serves: false };

/// What a program may have besides.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Own {
    #[arg(long)]
    pub(in crate::cli) extra: bool,
    #[arg(long)]
    pub(in crate::cli) extra_text: Option<String>,
}

pub(in crate::cli) fn start(master_keys: &str, words: &[&str]) -> Result<Start<Own>, Wrong> {
    let words: Vec<_> = std::iter::once("gateway").chain(words.iter().copied()).map(OsString::from).collect();
    read(&PROGRAM, &words, Some(master_keys.into()))
}

/// What is served with these words.
pub(crate) fn serving(words: &[&str]) -> Args {
    both(words).0
}

pub(in crate::cli) fn both(words: &[&str]) -> (Args, Own) {
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
