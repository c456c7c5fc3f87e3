use proptest::prelude::*;

use super::*;
use crate::subject::ApiPath;

const ID: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

/// Reads a payload and hands its claims on.
fn read<R>(payload: &str, act: impl FnOnce(Claims<'_>) -> R) -> Result<R, MalformedClaims> {
    Claims::read(&mut payload.as_bytes().to_vec()).map(act)
}

fn check(payload: &str) -> Result<(), MalformedClaims> {
    read(payload, |_| ())
}

fn audience(aud: &str) -> Result<Vec<String>, MalformedClaims> {
    read(&format!(r#"{{"aud":{aud},"sub":"{ID}"}}"#), |claims| {
        assert!(!claims.audience().is_absent());
        claims.audience().iter().map(str::to_owned).collect()
    })
}

fn exp(number: &str) -> Result<NumericDate, MalformedClaims> {
    let exp = read(&format!(r#"{{"sub":"{ID}","exp":{number}}}"#), |claims| claims.expires_at().unwrap());
    let nbf = read(&format!(r#"{{"sub":"{ID}","nbf":{number}}}"#), |claims| claims.not_before().unwrap());
    assert_eq!(exp, nbf);
    exp
}

#[test]
fn w4_sub_is_required_and_a_string() {
    read(&format!(r#"{{"sub":"{ID}"}}"#), |claims| {
        assert_eq!(claims.subject().id().to_string(), ID);
        assert_eq!(claims.subject().api_path(), None);
        assert!(claims.audience().is_absent());
        assert_eq!(claims.audience().iter().count(), 0);
        assert_eq!((claims.expires_at(), claims.not_before()), (None, None));
    })
    .unwrap();
    read(&format!(r#"{{"sub":"api:/data-prep:{ID}"}}"#), |claims| {
        assert_eq!(claims.subject().api_path().unwrap().as_str(), "/data-prep");
    })
    .unwrap();
    assert_eq!(check("{}"), Err(MalformedClaims::Subject));
    assert_eq!(check(r#"{"aud":"x"}"#), Err(MalformedClaims::Subject));
    for wrong in ["1", "true", "null", "[]", &format!("[\"{ID}\"]"), "{}", "\"\"", "\"x\""] {
        assert_eq!(check(&format!(r#"{{"sub":{wrong}}}"#)), Err(MalformedClaims::Subject), "{wrong}");
    }
}

#[test]
fn w5_escapes_are_valid_everywhere_and_hide_no_duplicate() {
    let escaped = ID.replace('b', "\\u0062");
    read(&format!(r#"{{"\u0073ub":"{escaped}","\u0061ud":"\u002a\ud83d\ude00"}}"#), |claims| {
        assert_eq!(claims.subject().id().to_string(), ID);
        assert_eq!(claims.audience().iter().collect::<Vec<_>>(), ["*😀"]);
    })
    .unwrap();
    for (first, second) in [("sub", "sub"), ("sub", r"\u0073ub"), (r"s\u0075b", "sub")] {
        let payload = format!(r#"{{"{first}":"{ID}","{second}":"{ID}"}}"#);
        assert_eq!(check(&payload), Err(MalformedClaims::Json(JsonError::Duplicate)), "{payload}");
    }
    for twice in [r#""aud":"a","aud":"a""#, r#""exp":1,"exp":1"#, r#""nbf":1,"nbf":1"#, r#""x":1,"\u0078":2"#]
    {
        let payload = format!(r#"{{"sub":"{ID}",{twice}}}"#);
        assert_eq!(check(&payload), Err(MalformedClaims::Json(JsonError::Duplicate)), "{payload}");
    }
}

#[test]
fn w5_unknown_claims_are_ignored_whatever_they_are() {
    for value in ["1", "1e400", "-1", "\"x\"", "true", "null", "[[1],{}]", r#"{"sub":"x"}"#] {
        let payload = format!(r#"{{"iat":{value},"iss":{value},"jti":{value},"x":{value},"sub":"{ID}"}}"#);
        assert_eq!(check(&payload), Ok(()), "{payload}");
    }
    let broken = format!(r#"{{"sub":"{ID}","x":"\ud83d"}}"#);
    assert_eq!(check(&broken), Err(MalformedClaims::Json(JsonError::Syntax)));
    assert_eq!(
        check(&format!("\u{feff}{{\"sub\":\"{ID}\"}}")),
        Err(MalformedClaims::Json(JsonError::Syntax))
    );
    assert_eq!(check(&format!("{{\"sub\":\"{ID}\"}}x")), Err(MalformedClaims::Json(JsonError::Syntax)));
    let deep = format!(r#"{{"sub":"{ID}","x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(check(&deep), Err(MalformedClaims::Json(JsonError::TooDeep)));
}

#[test]
fn w5_aud_is_a_string_or_an_array_of_strings() {
    for (aud, expected) in [
        (r#""https://api.voicegain.ai/v1""#, vec!["https://api.voicegain.ai/v1"]),
        (r#""""#, vec![""]),
        ("[]", vec![]),
        (r#"[""]"#, vec![""]),
        (r#"["a"]"#, vec!["a"]),
        (r#"[ "a" , "b\u002e" ]"#, vec!["a", "b."]),
    ] {
        assert_eq!(audience(aud), Ok(expected.into_iter().map(str::to_owned).collect()), "{aud}");
    }
    for wrong in
        ["1", "true", "null", "{}", "[1]", "[null]", r#"["a",1]"#, r#"["a",["b"]]"#, r#"[["a"]]"#, "[{}]"]
    {
        assert_eq!(audience(wrong), Err(MalformedClaims::Audience), "{wrong}");
    }
    let shown =
        read(&format!(r#"{{"sub":"{ID}","aud":["a","b"]}}"#), |claims| format!("{:?}", claims.audience()));
    assert_eq!(shown.unwrap(), r#"["a", "b"]"#);
}

#[test]
fn w5_times_are_numbers_from_0_to_253402300799() {
    for (number, seconds, nanos) in [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("-0.0", 0, 0),
        ("-0e5", 0, 0),
        ("0e999999999999", 0, 0),
        ("1", 1, 0),
        ("2147483648", 2_147_483_648, 0),
        ("1700000000.4", 1_700_000_000, 400_000_000),
        ("1700000000.5", 1_700_000_000, 500_000_000),
        ("1700000000.000000001", 1_700_000_000, 1),
        ("1.7e9", 1_700_000_000, 0),
        ("17E+8", 1_700_000_000, 0),
        ("17000000000000e-4", 1_700_000_000, 0),
        ("0.0000000017e18", 1_700_000_000, 0),
        ("1e-1", 0, 100_000_000),
        ("15e-1", 1, 500_000_000),
        ("1e-9", 0, 1),
        ("253402300799", 253_402_300_799, 0),
        ("253402300799.000", 253_402_300_799, 0),
        ("253402300798.999999999", 253_402_300_798, 999_999_999),
    ] {
        let date = exp(number).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(date.whole_seconds(), seconds, "{number}");
        assert_eq!(date.since_epoch(), Duration::new(seconds, nanos), "{number}");
    }
    for bad in [
        "-1",
        "-0.1",
        "-1e-400",
        "253402300799.000000000000001",
        "253402300799.5",
        "253402300800",
        "1700000000000",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "1e12",
        "1e308",
        "1e400",
        "1e99999999999999999999",
        "null",
        "true",
        "\"1700000000\"",
        "[1700000000]",
        "{}",
        "\"\"",
    ] {
        assert_eq!(exp(bad), Err(MalformedClaims::Time), "{bad}");
    }
    for bad in ["01", "1.", ".5", "+1", "NaN", "0x10"] {
        assert!(exp(bad).is_err(), "{bad}");
    }
}

#[test]
fn v4_exp_is_reached_at_its_very_instant() {
    let just_before = |seconds, nanos| Duration::new(seconds, nanos) - Duration::from_nanos(1);
    for (number, seconds, nanos) in [("100", 100, 0), ("100.5", 100, 500_000_000), ("1e-9", 0, 1)] {
        let date = exp(number).unwrap();
        assert!(date.is_reached(Duration::new(seconds, nanos)), "{number}: now = exp is expired");
        assert!(!date.is_reached(just_before(seconds, nanos)), "{number}");
    }
    assert!(exp("0").unwrap().is_reached(Duration::ZERO));
    // Finer than the clock: reached with the next nanosecond, and still rounded down where it is shown.
    let date = exp("100.9999999999").unwrap();
    assert!(!date.is_reached(just_before(101, 0)));
    assert!(date.is_reached(Duration::from_secs(101)));
    assert_eq!(date.whole_seconds(), 100);
    let date = exp("1e-400").unwrap();
    assert!(!date.is_reached(Duration::ZERO));
    assert!(date.is_reached(Duration::from_nanos(1)));
}

#[test]
fn w2_the_long_lived_payload_is_exact() {
    assert_eq!(
        long_lived_payload("https://api.voicegain.ai/v1", ID.parse().unwrap()),
        r#"{"aud":"https://api.voicegain.ai/v1","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729"}"#
    );
    assert_eq!(
        long_lived_payload("https://api.voicegain.ai/v1", ID.to_uppercase().parse().unwrap()),
        long_lived_payload("https://api.voicegain.ai/v1", ID.parse().unwrap()),
        "rule W4: lower case when minted"
    );
}

#[test]
fn w3_the_short_lived_payload_is_exact() {
    let id = ID.parse().unwrap();
    assert_eq!(
        short_lived_payload("*.Example.com/", Subject::new(id, None), 1_700_000_300),
        r#"{"aud":"*.Example.com/","sub":"bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":1700000300}"#
    );
    let path: ApiPath = "/data-prep".parse().unwrap();
    assert_eq!(
        short_lived_payload("localhost:8080", Subject::new(id, Some(path.borrowed())), 5),
        r#"{"aud":"localhost:8080","sub":"api:/data-prep:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729","exp":5}"#
    );
    assert_eq!(
        JsonString("bücher \"\\/\u{7f}\u{1f}\n").to_string(),
        "\"bücher \\\"\\\\/\u{7f}\\u001f\\u000a\""
    );
}

/// A number's text, and its value in units of 1e-12 seconds, which is all the digits it has.
fn decimal() -> impl Strategy<Value = (String, u128)> {
    (0_u128..300_000_000_000_000_000_000_000, 0_usize..13, -14_i32..15).prop_map(|(picos, cut, shift)| {
        // Cut the digits anywhere, then let the exponent make up for it.
        let picos = picos / 10_u128.pow(cut as u32) * 10_u128.pow(cut as u32);
        let digits = format!("{picos:060}00");
        let (integer, fraction) = digits.split_at((48 + shift) as usize);
        let integer = integer.trim_start_matches('0');
        let integer = if integer.is_empty() { "0" } else { integer };
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        (format!("{integer}{point}{fraction}e{}", -shift), picos)
    })
}

proptest! {
    #[test]
    fn w5_times_are_exact((number, picos) in decimal()) {
        let expected = (picos <= u128::from(NumericDate::MAX_SECONDS) * 1_000_000_000_000).then_some(picos);
        let date = exp(&number).ok();
        let seconds = date.map(|date| u128::from(date.whole_seconds()));
        let nanos = date.map(|date| date.since_epoch().as_nanos());
        prop_assert_eq!(seconds, expected.map(|picos| picos / 1_000_000_000_000));
        prop_assert_eq!(nanos, expected.map(|picos| picos.div_ceil(1000)));
    }

    #[test]
    fn w5_times_are_what_the_standard_library_reads(number in 0.0..253_402_300_799.0_f64) {
        for text in [number.to_string(), format!("{number:e}")] {
            let date = exp(&text).unwrap();
            let distance = date.since_epoch().as_secs_f64() - number;
            prop_assert!(distance.abs() < 1e-4, "{text}: {distance}");
        }
    }

    #[test]
    fn payloads_are_json(aud in any::<String>(), exp in 0..=NumericDate::MAX_SECONDS) {
        let subject = Subject::parse("api:/a\"b:bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729").unwrap();
        for payload in [long_lived_payload(&aud, subject.id()), short_lived_payload(&aud, subject, exp)] {
            let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
            prop_assert_eq!(value["aud"].as_str(), Some(aud.as_str()));
            let same = read(&payload, |claims| {
                claims.audience().iter().eq([aud.as_str()])
                    && claims.subject().id() == subject.id()
                    && claims.expires_at().is_none_or(|date| date.whole_seconds() == exp)
            });
            prop_assert_eq!(same, Ok(true));
        }
    }
}
