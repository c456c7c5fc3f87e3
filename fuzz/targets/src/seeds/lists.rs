//! What has gone wrong elsewhere, and one of everything that is right.

pub const PLAIN: &str = "GET /v1/x\nauthorization: Bearer $T";

pub const TOKENS: &[&[u8]] = &[
    b"",
    b"..",
    b"h.p.",
    b"h.p",
    b"h..s",
    b"a.b.c.d",
    b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    br#"{"payload":"e30","signatures":[]}"#,
];

pub const HEADERS: &[&str] = &[
    r#"{"alg":"none"}"#,
    r#"{"alg":"nOnE","typ":"JWT"}"#,
    r#"{"alg":"HS256"}"#,
    r#"{"typ":"JWT","alg":"HS256","kid":"../../dev/null","jwk":{"k":"AA"}}"#,
    r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
    r#"{"alg":"HS256","cr\u0069t":null}"#,
    r#"{"\u0061lg":"\u00485256","alg":"HS256"}"#,
    r#"{"alg":"RS256"}"#,
    r#"{"alg":["HS256"]}"#,
    "\u{feff}{\"alg\":\"HS256\"}",
    r#" { "alg" : "HS256" , "x":[[[{}]]] } "#,
];

pub const PAYLOADS: &[&str] = &[
    r#"{"aud":"https://app.example.com","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":1800000300}"#,
    r#"{"aud":"https://api.voicegain.ai/v1","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729"}"#,
    r#"{"aud":"*","sub":"api:/data-prep:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":1800000300}"#,
    r#"{"aud":["https://a.example","*.example.com",""],"sub":"BD14FD94-0C3C-4C9A-82EE-CCF0DBEF6729"}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":1800000000.0000000001,"nbf":1.8e9}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":-0.0,"nbf":1e-400}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":253402300799,"nbf":0.1e1}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":253402300799.1}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":1e400,"x":1e400}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","x":1e400}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","\u0073ub":"x"}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","x":"\ud83d\ude00","y":"\ud83d"}"#,
    r#"{"sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","x":{"a":1,"a":[true,false,null,"\n"]}}"#,
    r#"{"sub":"{bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729}"}"#,
    r#"{"sub":"urn:uuid:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729"}"#,
    r#"{"sub":"api:/a:b/%C3%A9:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","aud":[]}"#,
    r#"{"sub":"api:/a/../b:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","aud":null}"#,
    r#"{"aud":"*","sub":"11111111-1111-4111-8111-111111111111","exp":01}"#,
    "[]",
    "{}",
];

pub const ORIGINS: &[&str] = &[
    "null",
    "NULL",
    "https://app.example.com",
    "HTTPS://App.Example.COM:443",
    "http://localhost:8080",
    "http://[::1]:8080",
    "https://[2001:DB8::1]",
    "https://[::ffff:102:304]",
    "https://[0:0::1]",
    "http://192.0.2.1:80",
    "http://0x7f.1",
    "http://127.1",
    "http://010.0.0.1",
    "https://xn--bcher-kva.example",
    "https://xn--a.example",
    "https://b\u{fc}cher.example",
    "https://a.example.",
    "https://a..example",
    "https://a.example,https://b.example",
    "https://a.example https://b.example",
    "https://u@a.example",
    "https://a.example/",
    "https://a.example?x",
    "https://a.example#x",
    "https://a%2eexample",
    "https://a_b.example",
    "https://a.example:",
    "https://a.example:0443",
    "https://a.example:65536",
    "capacitor://localhost",
    "chrome-extension://abcdefghijklmnop",
    "file://",
    "wss://a.example",
    "https://example.com@evil.test",
    "https://evil.test/.example.com",
];

pub const PATTERNS: &[&str] = &[
    "*",
    "https://app.example.com",
    "https://app.example.com:443/v1",
    "https://app.example.com/",
    "localhost:8080",
    "*.example.com",
    "https://*.example.com:*",
    "http://127.0.0.1:*",
    "[::1]:8080",
    "http://[0:0:0::1]",
    "capacitor://localhost",
    "*.co.uk",
    "*.github.io",
    "*.ck",
    "*.kawasaki.jp",
    "*.compute.amazonaws.com",
    "*.internal",
    "https://*",
    "*:8080",
    "a.*.com",
    "*a.com",
    "*.*.example.com",
    "*.192.0.2.1",
    "*.[::1]",
    "b\u{fc}cher.example",
    "*.B\u{dc}CHER.example",
    "xn--bcher-kva.example",
    "\u{ff0a}.example.com",
    "a\u{3002}example",
    "a\u{ff61}example\u{2100}",
    "\u{ff11}.\u{ff12}.\u{ff13}.\u{ff14}",
    "stra\u{df}e.example",
    "wss://a.example",
    "https://user@a.example",
    "https://a.example.:1",
    "//a.example",
    "a.example/x://b",
];

pub const PATHS: &[&str] = &[
    "/data-prep",
    "/data-prepared",
    "/",
    "",
    "//data-prep",
    "/data-prep/",
    "/data%2Dprep",
    "/a/../data-prep",
    "/%2e%2e/x",
    "/%252e",
    "/a%2fb",
    "/a%5cb",
    "/a\\b",
    "/..;/x",
    "/.;x",
    "/...",
    "/%c0%ae",
    "/%u002e",
    "/%C3%A9",
    "/\u{e9}",
    "/a b",
    "/a?b",
    "/a#b",
    "/%00",
    "/%7f",
    "/%c2%85",
    "/a:b:c",
    "*",
    "https://x/data-prep",
];

pub const REQUESTS: &[&str] = &[
    "GET /v1/x\nauthorization: Bearer t",
    "GET /v1/x\nauthorization: bEARER   t\nauthorization: Basic eA==",
    "GET /v1/x\nauthorization: Basic eA==\ncookie: a=b; vg=t; c",
    "GET /v1/x?access_token=t&a=b&&c\norigin: https://app.example.com",
    "GET /v1/x?a=b&access%5Ftoken=t&access_token=t\nsec-fetch-site: same-origin",
    "GET /v1/x?access_token=t\nsec-fetch-site: same-origin",
    "GET /v1/x\nupgrade: websocket\nconnection: keep-alive, Upgrade\nsec-websocket-protocol: bearer.t, chat",
    "GET /v1/x\nupgrade: websocket\nconnection: upgrade\nsec-websocket-protocol: Bearer.t",
    "CONNECT /v1/x\n:protocol: websocket\n:authority: api.example.net\nsec-websocket-protocol: chat\nsec-websocket-protocol: bearer.t",
    "GET /v1/x\ncookie: vg=t\ncookie: vg=t",
    "GET /v1/x\ncookie: vg=t\nsec-fetch-site: none",
    "GET /v1/x\ncookie: vg=\norigin: https://allowed.example.com",
    "OPTIONS /v1/x\norigin: https://app.example.com\naccess-control-request-method: POST",
    "OPTIONS /v1/x\norigin: https://app.example.com\norigin: null\naccess-control-request-method: POST",
    "POST /v1/x\nauthorization: Bearer t\norigin: https://api.example.net\nhost: api.example.net",
    "POST /v1/x\nauthorization: Bearer t\norigin: https://api.example.net:8443\n:authority: api.example.net:8443",
    "GET /v1/x\nauthorization: Bearer t\norigin: null",
    "GET /v1/x",
];

pub const ADMIN_REQUESTS: &[&str] = &[
    "POST /api/web-configs\n{\"accountId\":\"a\",\"contextId\":\"c\",\"name\":\"n\",\"allowedOrigins\":[\"https://a.example\"]}",
    "POST /api/web-configs\n{\"accountId\":\"a\",\"contextId\":\"c\",\"name\":\"n\",\"secret\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"id\":\"$ID\",\"revive\":true}",
    "POST /api/web-configs\n{\"accountId\":\"a\",\"contextId\":\"c\",\"name\":\"n\",\"id\":\"$ID\"}",
    "POST /api/web-configs\n{\"accountId\":\"a b\",\"contextId\":\"\",\"name\":\"\\u0000\",\"name\":1}",
    "POST /api/web-configs\n{\"accountId\":null,\"extra\":1e400}",
    "POST /api/web-configs\n",
    "PATCH /api/web-configs/$ID\n{\"name\":\"\u{e9}\",\"allowedOrigins\":[]}",
    "PATCH /api/web-configs/$ID\n ",
    "DELETE /api/web-configs/$ID\n{}",
    "POST /api/web-configs/$ID/regenerate\n",
    "POST /api/accounts/a%2Fb/end\n{}",
    "POST /api/contexts/a/c/end\n",
    "POST /api/master-keys/reseal\n",
    "GET /api/web-configs?accountId=a&contextId=c&after=$ID&limit=1000\n",
    "GET /api/web-configs?limit=0\n",
    "GET /api/web-configs/%FF\n",
    "GET /healthz\n",
    "GET /readyz\n",
    "GET /metrics\n",
    "PUT /api\n",
];

pub const MINT_QUERIES: &[&str] = &[
    "aud=https://app.example.com",
    "aud=localhost:8080&expInSec=3600&api=/data-prep&contextId=context-0",
    "aud=*&expInSec=0",
    "aud=*&expInSec=%2B5",
    "aud=*&expInSec=00300",
    "aud=*&aud=*",
    "aud=*&contextId=context-1",
    "aud=%FF",
    "aud=wss://a.example",
    "aud=*.com",
    "aud=https://a.example/",
    "aud=https://a.example/x",
    "aud=*&api=/a%2F..",
    "aud=%22%5C%0a.example",
    "",
];

/// Of secrets that are sealed, and of key files.
pub fn sealed() -> Vec<Vec<u8>> {
    let key = |byte: u8| reference::sealing::base64([byte; 32]);
    vec![
        b"o1\0new-key\0id-of-16-bytes--\0account\0context\0\x01\0sealed".to_vec(),
        [b"o0\0\0id-of-16-bytes--\0account\0context\0\x01\0".as_slice(), &[7; 32]].concat(),
        [b"s".as_slice(), &[5; 48], b"\0account\0context\0", &[9; 32]].concat(),
        [b"s".as_slice(), &[6; 48], b"\0a\0b\0", &[9; 64]].concat(),
        format!("k# keys\nnew:{}\n\n old : {}\n", key(1), key(2)).into(),
        format!("knew:{}\nnew:{}", key(1), key(2)).into(),
        format!("ka:{}", key(0)).into(),
        b"knew:AAAA\n:\nnew".to_vec(),
        // Twice, and in the other alphabet.
        format!("knew:{}\nnew:{}", key(1), key(1)).into(),
        format!("knew:{}", key(0xff).replace('/', "_")).into(),
        b"o-1\0new-key\0id-of-16-bytes--\0account\0context\0\x01\0sealed".to_vec(),
        [b"s".as_slice(), &[0; 48], b"\0account\0\0", &[9; 256]].concat(),
    ]
}

/// Rows of the database, from right to wrong.
pub fn rows() -> Vec<Vec<u8>> {
    let row = |columns: [&str; 13]| columns.join("\0").into_bytes();
    let id = "bbd14fd940c3c4c9a82eeccf0dbef6729";
    let entry = "b000102030405060708090a0b0c0d0e0f";
    let good = [id, "ta", "tc", "tn", "t[\"*\"]", "i1", "i2", "i3", "i4", "i1", "tnew-key", "s", entry];
    let mut rows = vec![row(good)];
    for at in 0..13 {
        for other in ["n", "i-1", "i70000", "r1.5", "tx", "b00"] {
            let mut changed = good;
            changed[at] = other;
            rows.push(row(changed));
        }
    }
    let plain = "b4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60";
    rows.push(row([id, "ta", "tc", "tn", "t[]", "i1", "i2", "i3", "i4", "i0", "n", plain, entry]));
    rows
}
