//! That the checks bite: proxies with one fault each, which must be found, and none where there is none.

mod proxy;

use std::time::Duration;

use proxy::Fault;
use voicegain_auth_wire::attacks::{self, Attack};
use voicegain_auth_wire::process;
use voicegain_auth_wire::run::{self, Line, Options};

/// Runs the attacks whose names are these on a proxy with this fault.
async fn attacked(fault: Fault, names: &[&str]) -> Vec<Line> {
    attacked_with(fault, names, Options::default()).await
}

async fn attacked_with(fault: Fault, names: &[&str], options: Options) -> Vec<Line> {
    let mut subject =
        if options.http2 { proxy::http2::start(fault).await } else { proxy::start(fault).await };
    let chosen: Vec<Attack> =
        attacks::all().into_iter().filter(|attack| names.contains(&&*attack.name)).collect();
    assert_eq!(chosen.len(), names.len(), "an attack of that name is missing");
    run::run(&mut subject, &chosen, options).await.unwrap()
}

fn found(lines: &[Line], part: &str) -> Vec<String> {
    let with = |line: &&Line| line.outcome.findings.iter().any(|finding| finding.contains(part));
    lines.iter().filter(with).map(|line| line.name.clone()).collect()
}

const PLAIN: [&str; 7] = [
    "CL 5",
    "no framing",
    "Content_Length",
    "X-Voicegain-Account-Id: evil",
    "X_Voicegain_Account_Id: evil",
    "chunk trailer",
    "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https",
];

#[tokio::test]
async fn a_proxy_without_a_fault_is_clean() {
    for line in attacked(Fault::None, &PLAIN).await {
        assert!(line.outcome.findings.is_empty(), "{}: {:?}", line.name, line.outcome.findings);
        assert!(line.service.count() > 0);
    }
}

#[tokio::test]
async fn a_proxy_that_splices_is_found() {
    let lines = attacked(Fault::Splices, &["X-Voicegain-New: evil", "CL 5", "no framing"]).await;
    assert_eq!(found(&lines, "bytes behind a request that has no answer yet"), ["CL 5", "no framing"]);
}

#[tokio::test]
async fn a_proxy_that_forwards_both_framings_is_found() {
    let lines = attacked(Fault::BothFramings, &["CL.TE plain", "TE.CL plain"]).await;
    assert_eq!(found(&lines, "Content-Length beside Transfer-Encoding").len(), 2, "{lines:?}");
}

#[tokio::test]
async fn a_proxy_that_knows_one_spelling_is_found() {
    let lines = attacked(Fault::OneSpelling, &PLAIN).await;
    assert_eq!(found(&lines, "from a client"), ["X_Voicegain_Account_Id: evil"]);
    assert_eq!(found(&lines, "which some take for another"), ["Content_Length"]);
}

#[tokio::test]
async fn a_proxy_that_believes_what_clients_say_of_other_hops_is_found() {
    let forwarded = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https";
    let original = "X-Original-Url: /v1/other\r\nX-Rewrite-Url: /v1/other";
    let lines = attacked(Fault::BelievesForwarding, &["CL 5", forwarded, original]).await;
    assert_eq!(found(&lines, "with a client's value"), [forwarded]);
    assert_eq!(found(&lines, "from a client"), [original]);
}

#[tokio::test]
async fn a_proxy_that_tidies_paths_is_found() {
    let lines = attacked(Fault::TidiesPaths, &["/v1/data-prep/../other", "/v1/data-prep/x"]).await;
    assert_eq!(found(&lines, "another path"), ["/v1/data-prep/../other"]);
}

#[tokio::test]
async fn a_proxy_that_passes_paths_on_undecided_is_found() {
    let lines = attacked(Fault::None, &["/v1/data-prep/%2e%2e/other", "/v1/data-prep/x"]).await;
    assert_eq!(found(&lines, "may be read as"), ["/v1/data-prep/%2e%2e/other"]);
}

#[tokio::test]
async fn a_proxy_that_leaves_good_requests_unanswered_is_found() {
    let lines = attacked(Fault::DropsGood, &PLAIN).await;
    assert_eq!(found(&lines, "good requests failed").len(), PLAIN.len(), "{lines:?}");
}

#[tokio::test]
async fn a_proxy_that_slows_good_requests_is_found() {
    let slow = |slow| Options { slow, ..Options::default() };
    let half = Some(proxy::SLOW / 2);
    let lines = attacked_with(Fault::SlowsGood, &PLAIN, slow(half)).await;
    // The first attack may be over before the first request is slow.
    assert!(found(&lines, "took longer than").len() >= PLAIN.len() - 1, "{lines:?}");
    for line in attacked_with(Fault::SlowsGood, &PLAIN, slow(Some(Duration::from_secs(8)))).await {
        assert!(line.outcome.findings.is_empty(), "{}: {:?}", line.name, line.outcome.findings);
    }
}

const CUT_OFF: [&str; 2] = ["CL short, cut off", "chunk cut off"];

#[tokio::test]
async fn a_beginning_that_was_not_decided_about_is_found() {
    let lines = attacked(Fault::None, &CUT_OFF).await;
    assert!(lines.iter().all(|line| line.outcome.findings.is_empty()), "{lines:?}");
    let lines = attacked(Fault::PassesBeginnings, &CUT_OFF).await;
    assert_eq!(found(&lines, "x-voicegain-account-id is not once"), CUT_OFF);
    let lines = attacked(Fault::PassesOtherBeginnings, &CUT_OFF[..1]).await;
    assert_eq!(found(&lines, "the beginning of a request that was not decided about"), CUT_OFF[..1]);
}

#[tokio::test]
async fn a_crowd_of_which_some_are_not_answered_is_found() {
    let crowd = ["CL 5", "idle connections, one request answered"];
    // A thousand of these files are kept for other things.
    let options = Options { open_files: 1_300, ..Options::default() };
    for (fault, expected) in [(Fault::None, &[][..]), (Fault::LeavesOut, &crowd[1..])] {
        let lines = attacked_with(fault, &crowd, options).await;
        assert_eq!(found(&lines, "connections were answered 200"), expected, "{lines:?}");
        assert!(lines[1].outcome.sent.contains("not 10000: a process may open 1300 files"), "{lines:?}");
    }
}

const OVER_HTTP2: [&str; 5] = [
    "h2 plain",
    "h2 plain with a body",
    "h2 trailer x-voicegain-account-id: evil",
    "flood: reset of requests under way",
    "h2 8,000 streams that are not answered",
];

#[tokio::test]
async fn faults_over_http2_are_found() {
    process::raise_open_files();
    let options = Options { http2: true, ..Options::default() };
    let [.., trailers, resets, streams] = OVER_HTTP2;
    for (fault, names, parts, expected) in [
        (Fault::None, &OVER_HTTP2[..], &[""][..], &[][..]),
        (Fault::TrailersAsFields, &OVER_HTTP2[..3], &["is not once"], &[trailers]),
        (
            Fault::GoesOn,
            &[resets],
            &["after their clients have gone", "requests under way at once"],
            &[resets],
        ),
        (Fault::ManyStreams, &[streams], &["requests were under way at once"], &[streams]),
    ] {
        let lines = attacked_with(fault, names, options).await;
        for part in parts {
            assert_eq!(found(&lines, part), expected, "{fault:?} {lines:?}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_what_is_not_spoken_does_not_count() {
    let flood = ["flood: PING"];
    let lines = attacked(Fault::None, &flood).await;
    assert_eq!(lines[0].outcome.not_applicable, Some("HTTP/2 is not spoken"));
    assert!(lines[0].outcome.sent.starts_with("0 of 100000 frames"), "{lines:?}");
    assert!(
        voicegain_auth_wire::report::markdown("proxy", false, &lines).contains("| not applicable: HTTP/2")
    );
}
