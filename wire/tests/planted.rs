//! That the checks bite: proxies with one fault each, which must be found, and none where there is none.

mod proxy;

use proxy::Fault;
use voicegain_auth_wire::attacks::{self, Attack};
use voicegain_auth_wire::run::{self, Line, Options};

/// Runs the attacks whose names are these on a proxy with this fault.
async fn attacked(fault: Fault, names: &[&str]) -> Vec<Line> {
    let mut subject = proxy::start(fault).await;
    let chosen: Vec<Attack> =
        attacks::over_http1().into_iter().filter(|attack| names.contains(&&*attack.name)).collect();
    assert_eq!(chosen.len(), names.len(), "an attack of that name is missing");
    run::run(&mut subject, &chosen, Options::default()).await.unwrap()
}

fn found(lines: &[Line], part: &str) -> Vec<String> {
    let with = |line: &&Line| line.outcome.findings.iter().any(|finding| finding.contains(part));
    lines.iter().filter(with).map(|line| line.name.clone()).collect()
}

const PLAIN: [&str; 5] =
    ["CL 5", "no framing", "X-Voicegain-Account-Id: evil", "X_Voicegain_Account_Id: evil", "chunk trailer"];

#[tokio::test]
async fn a_proxy_without_a_fault_is_clean() {
    for line in attacked(Fault::None, &PLAIN).await {
        assert!(line.outcome.findings.is_empty(), "{}: {:?}", line.name, line.outcome.findings);
        assert!(line.service.count > 0);
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
