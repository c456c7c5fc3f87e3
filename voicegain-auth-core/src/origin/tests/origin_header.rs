//! Rules O2 and O8: the `Origin` header, and the request's own authority.

use super::super::*;
use super::*;

#[test]
fn o2_a_serialised_origin_is_read() {
    for text in [
        "https://example.com",
        "http://localhost:8080",
        "http://localhost:0",
        "http://localhost:65535",
        "https://example.com.",
        "https://my_app.example.com",
        "https://xn--bcher-kva.example",
        "http://127.0.0.1",
        "http://255.255.255.255:1",
        "http://[::1]:3000",
        "http://[2001:db8::1]",
        "http://[::ffff:102:304]",
        "http://[2001:db8:0:1:1:1:1:1]",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "null",
        // Forgiven.
        "https://example.com:443",
        "http://example.com:80",
        "HTTPS://Example.COM",
        "https://XN--BCHER-KVA.example",
        "http://[2001:DB8::1]",
    ] {
        assert!(Origin::parse(text.as_bytes()).is_ok(), "O2: {text}");
    }
}

#[test]
fn o2_anything_else_is_refused() {
    for text in [
        "",
        " ",
        "*",
        "example.com",
        "//example.com",
        "://example.com",
        "https:",
        "https://",
        "https://:443",
        "file://",
        "https:/example.com",
        "https:example.com",
        "https:\\\\example.com",
        "1https://example.com",
        "ht_tps://example.com",
        // Several.
        "https://a.example https://b.example",
        "https://a.example, https://b.example",
        "https://a.example,https://b.example",
        "https://a.example,https://a.example",
        "https://a.example,null",
        "null,null",
        "null, https://a.example",
        // Userinfo, path, query, fragment.
        "https://user@example.com",
        "https://user:word@example.com",
        "https://@example.com",
        "https://example.com@evil.test",
        "https://example.com/",
        "https://example.com/path",
        "https://evil.test/.example.com",
        "https://example.com?",
        "https://evil.test?.example.com",
        "https://evil.test#.example.com",
        "https://evil.test\\.example.com",
        // Ports.
        "https://example.com:",
        "https://example.com:0443",
        "http://example.com:00",
        "https://example.com:65536",
        "https://example.com:99999999999999999999",
        "https://example.com:+1",
        "https://example.com:-1",
        "https://example.com:8o",
        "https://example.com:*",
        "https://example.com:80:80",
        // Addresses.
        "http://127.1",
        "http://127.0.0.01",
        "http://0127.0.0.1",
        "http://0x7f.0.0.1",
        "http://0x7f000001",
        "http://2130706433",
        "http://256.0.0.1",
        "http://1.2.3.4.5",
        "http://1.2.3.4.",
        "http://1..2",
        "http://example.1",
        "http://example.0x1f",
        "http://example.0x",
        "http://[::1",
        "http://::1",
        "http://[]",
        "http://[::1]x",
        "http://[::1]8080",
        "http://[::1]]:80",
        "http://[fe80::1%eth0]",
        "http://[fe80::1%25eth0]",
        "http://[0:0:0:0:0:0:0:1]",
        "http://[::0001]",
        "http://[2001:db8:0:0:1::1]",
        "http://[::ffff:1.2.3.4]",
        "http://[1.2.3.4]",
        "http://[v1.x]",
        // Labels.
        "https://a..b",
        "https://.example.com",
        "https://example.com..",
        "https://.",
        "https://..",
        "https://xn--a.example",
        "https://xn--.example",
        // Characters.
        "https://b\u{fc}cher.example",
        "https://example\u{3002}com",
        "https://ex%61mple.com",
        "https://example.com%2eevil.test",
        "https://exa mple.com",
        " https://example.com",
        "https://example.com ",
        "https://example.com\n",
        "https://exam\tple.com",
        "https://example.com\0",
        "https://example\u{7f}.com",
        "https://<script>",
        "https://a|b",
    ] {
        assert_eq!(Origin::parse(text.as_bytes()).err(), Some(InvalidOrigin), "O2: {text:?}");
    }
    assert!(Origin::parse(b"https://example\xff.com").is_err(), "O2: not UTF-8");
}

#[test]
fn o2_an_explicit_default_port_is_forgiven() {
    assert_matches("O2", "https://example.com", &["https://example.com:443", "HTTPS://EXAMPLE.COM:443"]);
    assert_differs("O2", "https://example.com", &["https://example.com:80", "https://example.com:8443"]);
}

#[test]
fn o8_the_requests_own_authority() {
    for (text, authority) in [
        ("https://api.example", "api.example"),
        ("https://api.example", "API.Example."),
        ("https://api.example.", "api.example:443"),
        ("https://api.example:443", "api.example"),
        ("http://api.example", "api.example"),
        ("http://api.example", "api.example:80"),
        ("http://localhost:8080", "localhost:8080"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://[::1]", "[0:0::1]"),
        ("wss://api.example", "api.example"),
        ("wss://api.example:443", "api.example"),
        ("ws://api.example", "api.example:80"),
    ] {
        assert!(origin(text).is_authority(authority), "O8: {text} is {authority}");
    }
    for (text, authority) in [
        ("https://api.example", "api.example:80"),
        ("http://api.example", "api.example:443"),
        ("http://localhost:8080", "localhost"),
        ("http://localhost", "localhost:8080"),
        ("https://api.example", "example"),
        ("https://api.example", "evil.test"),
        ("https://a.api.example", "api.example"),
        ("https://api.example", "user@api.example"),
        ("https://api.example", "@api.example"),
        ("https://api.example", "api.example@evil.test"),
        ("https://api.example", "api.example:"),
        ("https://api.example", "api.example:0443"),
        ("https://api.example", "api.example:443x"),
        ("https://api.example", "api.example:+443"),
        ("https://api.example", "api.example:65979"),
        ("https://api.example", "api.example:443 "),
        ("https://api.example", "api.example,api.example"),
        ("https://api.example", "api.example:443:443"),
        ("https://api.example", "api.example/"),
        ("https://api.example", "https://api.example"),
        ("https://api.example", "api.example, api.example"),
        ("https://api.example", " api.example"),
        ("https://api.example", "*.example"),
        ("https://api.example", "*"),
        ("https://api.example", "api.example:*"),
        ("https://api.example", ""),
        ("https://api.example", ":443"),
        ("http://127.0.0.1", "127.1"),
        ("http://[::1]", "[::1"),
        ("http://[::1]", "::1"),
        ("http://[::1]", "[::1]x"),
        ("capacitor://localhost", "localhost"),
        ("null", "null"),
        ("null", ""),
    ] {
        assert!(!origin(text).is_authority(authority), "O8: {text} is not {authority}");
    }
}

#[test]
fn o2_a_name_in_punycode_is_no_longer_than_the_dns_has_names() {
    let of_length = |label: &str, length: usize| {
        let rest: String = ".a".chars().cycle().take(length - label.len()).collect();
        let host = format!("{label}{rest}");
        assert_eq!(host.len(), length);
        Origin::parse(format!("https://{host}").as_bytes()).is_ok()
    };
    assert!(of_length("xn--bcher-kva", 253));
    assert!(of_length("xn--bcher-kva", 254), "with the dot at its end");
    assert!(!of_length("xn--bcher-kva", 255));
    assert!(!of_length("xn--bcher-kva", 2_000));
    for other in ["bcher", "b--cher", "b.xn-cher--kva"] {
        assert!(of_length(other, 2_000), "any other host costs nothing: {other}");
    }
}
