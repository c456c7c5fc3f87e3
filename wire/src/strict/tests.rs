use super::*;

fn read(bytes: &[u8]) -> Request {
    let (request, length) = request(bytes).unwrap().unwrap();
    assert_eq!(length, bytes.len());
    request
}

#[test]
fn what_is_plain_is_read() {
    let it = read(b"POST /v1/a?b=%2F HTTP/1.1\r\nHost: up:1\r\nContent-Length: 3\r\nX:\t a b \r\n\r\nabc");
    assert_eq!((&*it.head.method, &*it.head.target, &*it.body), ("POST", "/v1/a?b=%2F", &b"abc"[..]));
    assert_eq!((it.framing, it.head.all("x").next()), (Framing::Length(3), Some(&b"a b"[..])));
    assert_eq!(read(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").framing, Framing::None);
    assert_eq!(read(b"purge / HTTP/1.1\r\nhost: a\r\n\r\n").head.method, "purge");
    assert_eq!(read(b"GET /\xc3\xa9?\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n").head.target, "/\u{e9}?\u{e9}");

    let chunked = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";
    let it = read(chunked);
    assert_eq!((&*it.body, it.trailers.len()), (&b"abc0123456789"[..], 1));
    assert!(it.raw_head.ends_with(b"chunked\r\n\r\n"));
}

#[test]
fn what_is_cut_off_is_waited_for() {
    let whole =
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    for end in 0..whole.len() {
        assert!(request(&whole[..end]).unwrap().is_none(), "{end}");
    }
    let whole = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
    for end in 0..whole.len() {
        assert!(request(&whole[..end]).unwrap().is_none(), "{end}");
    }
}

#[test]
fn a_head_is_read_before_its_body() {
    let cut = |bytes: &[u8]| {
        let (request, length) = begun(bytes).unwrap().unwrap();
        assert_eq!(length, None);
        (request.head.target.clone(), request.body, request.trailers.len())
    };
    let sized = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab";
    assert_eq!(cut(sized), ("/a".to_owned(), b"ab".to_vec(), 0));
    let chunked = "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, come, trailers) in
        [("", "", 0), ("5\r\nab", "ab", 0), ("2\r\nab\r\n3", "ab", 0), ("2\r\nab\r\n0\r\nx: 1\r\n", "ab", 1)]
    {
        let seen = cut(format!("{chunked}{body}").as_bytes());
        assert_eq!(seen, ("/a".to_owned(), come.as_bytes().to_vec(), trailers), "{body:?}");
    }
    assert!(begun(&sized[..sized.len() - 4]).unwrap().is_none());
    assert!(begun(format!("{chunked}2\r\nabcd").as_bytes()).is_err());
}

#[test]
fn what_follows_is_left() {
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, length) = request(two).unwrap().unwrap();
    assert_eq!((&*first.head.target, length), ("/1", two.len() / 2));
}

#[test]
fn what_could_be_read_in_another_way_is_a_problem() {
    let heads: [&[u8]; 37] = [
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Trace / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x01: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\na",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    ];
    for head in heads {
        assert!(request(head).is_err(), "{}", head.escape_ascii());
    }
    assert!(request(&vec![b'a'; 300_000]).is_err(), "without an end");
}

#[test]
fn chunks_are_read_strictly() {
    let bodies: [&[u8]; 14] = [
        b"3;a=b\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-1\r\nabc\r\n0\r\n\r\n",
        b"1_0\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"10000000000000003\r\nabc\r\n0\r\n\r\n",
        b"000000003\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
    ];
    for body in bodies {
        let mut bytes = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend_from_slice(body);
        assert!(request(&bytes).is_err(), "{}", body.escape_ascii());
    }
}
