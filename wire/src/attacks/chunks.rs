//! Chunks: their sizes, their extensions, their ends, and trailers.

use super::case::{Case, Expect, Passed, SMUGGLED, TARGET, post};

pub(super) fn cases() -> Vec<Case> {
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(40_000));
    let many = format!("{}0\r\n\r\n", "1;a\r\nx\r\n".repeat(20_000));
    let zeros = format!("{}3\r\nabc\r\n0\r\n\r\n", "0".repeat(200));
    let trailer = "x".repeat(100_000);
    let trailers: String = (0..2_000).map(|number| format!("X-{number}: y\r\n")).collect();
    // Once its head is decided about, a request may begin. What stands behind the fault is none of it.
    let begun = |body: &str| Expect::Begun(Passed::new("POST", TARGET, body));
    let refused = || begun("abc");
    // To whoever takes that for a number, all that follows is the chunk.
    let endless = begun(&format!("abc\r\n0\r\n\r\n{SMUGGLED}"));
    let either = || Expect::Either(post("abc"));
    let passed = || Expect::Passed(post("abc"));
    let table: Vec<(&str, String, Expect)> = vec![
        ("plain", "3\r\nabc\r\n0\r\n\r\n".into(), passed()),
        ("extension", "3;a=b\r\nabc\r\n0\r\n\r\n".into(), either()),
        ("extension, quoted", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n".into(), either()),
        ("extension, quoted line end", "3;a=\"\r\nabc\r\n0\r\n\r\n".into(), either()),
        ("extension with LF", "3;a\nabc\r\n0\r\n\r\n".into(), refused()),
        ("extension with CR", "3;a\rb\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("extension with NUL", "3;a\0\r\nabc\r\n0\r\n\r\n".into(), either()),
        ("extension, long", long, either()),
        ("extensions, many", many, Expect::Either(post("x".repeat(20_000)))),
        ("extension of the last", "3\r\nabc\r\n0;a=b\r\n\r\n".into(), either()),
        ("size 2^64 + 3", "10000000000000003\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size 2^64 - 1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n".into(), endless),
        ("size with zeros", zeros, either()),
        ("size 0x3", "0x3\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size +3", "+3\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size -1", "-1\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size 1_0", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n".into(), refused()),
        ("size 3 and space", "3 \r\nabc\r\n0\r\n\r\n".into(), either()),
        ("size space and 3", " 3\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size 3 space 3", "3 3\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size empty", "\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size no digit", "g\r\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size ended by LF", "3\nabc\r\n0\r\n\r\n".into(), refused()),
        ("size ended by CR", "3\rabc\r\n0\r\n\r\n".into(), refused()),
        ("chunk ended by LF", "3\r\nabc\n0\r\n\r\n".into(), refused()),
        ("chunk without an end", "3\r\nabc0\r\n\r\n".into(), refused()),
        ("chunk ended by other bytes", "3\r\nabcXX0\r\n\r\n".into(), refused()),
        ("last chunk ended by LF", "3\r\nabc\r\n0\n\r\n".into(), refused()),
        ("no final line", "3\r\nabc\r\n0\r\n".into(), refused()),
        ("final LF", "3\r\nabc\r\n0\r\n\n".into(), either()),
        ("cut off", "5\r\nabc".into(), refused()),
        ("trailer", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n".into(), passed()),
        ("trailer Content-Length", "3\r\nabc\r\n0\r\nContent-Length: 90\r\n\r\n".into(), either()),
        ("trailer Transfer-Encoding", "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), either()),
        ("trailer Authorization", "3\r\nabc\r\n0\r\n{auth}\r\n".into(), either()),
        ("trailer Host", "3\r\nabc\r\n0\r\nHost: evil\r\n\r\n".into(), either()),
        ("trailer identity", "3\r\nabc\r\n0\r\nX-Voicegain-Account-Id: evil\r\n\r\n".into(), either()),
        ("trailer identity with _", "3\r\nabc\r\n0\r\nX_Voicegain.Account_Id: evil\r\n\r\n".into(), either()),
        ("trailer folded", "3\r\nabc\r\n0\r\nX: a\r\n X-Voicegain-Account-Id: evil\r\n\r\n".into(), either()),
        ("trailer with LF", "3\r\nabc\r\n0\r\nX: a\nX-Voicegain-Account-Id: evil\r\n\r\n".into(), either()),
        ("trailer with CR", "3\r\nabc\r\n0\r\nX: a\rX-Voicegain-Account-Id: evil\r\n\r\n".into(), either()),
        ("trailer without colon", "3\r\nabc\r\n0\r\nnothing\r\n\r\n".into(), either()),
        ("trailer space before colon", "3\r\nabc\r\n0\r\nX-Sum : 1\r\n\r\n".into(), either()),
        ("trailer long", format!("3\r\nabc\r\n0\r\nX: {trailer}\r\n\r\n"), either()),
        ("trailers many", format!("3\r\nabc\r\n0\r\n{trailers}\r\n"), either()),
        ("request as a trailer", "3\r\nabc\r\n0\r\n".into(), Expect::Either(post("abc"))),
    ];
    let ends = ["no final line", "cut off"];
    let may_go_on = [&ends[..], &["size 2^64 - 1"]].concat();
    let mut cases: Vec<Case> = table
        .into_iter()
        .map(|(name, body, expect)| {
            let rest = if ends.contains(&name) { body } else { body + SMUGGLED };
            // Behind what is no chunk nobody knows where the next request begins.
            let closes = matches!(expect, Expect::Begun(_)) && !may_go_on.contains(&name);
            let case = Case::post(format!("chunk {name}"), "Transfer-Encoding: chunked\r\n", rest, expect);
            if closes { case.closes() } else { case }
        })
        .collect();
    let announced = "Transfer-Encoding: chunked\r\nTrailer: X-Voicegain-Account-Id, X-Sum\r\nTE: trailers\r\nConnection: TE\r\n";
    let rest = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Voicegain-Account-Id: evil\r\n\r\n";
    cases.push(Case::post("chunk trailer identity, announced", announced, rest, either()));
    // Byte by byte nothing may be read in another way.
    let mut slow = Case::post("chunk in pieces", "Transfer-Encoding: chunked\r\n", "", passed());
    for piece in ["3", "\r", "\n", "ab", "c\r", "\n0", "\r\n", "\r", "\n"] {
        slow = slow.then(piece);
    }
    cases.push(slow);
    cases
}
