use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

use super::*;

type Members = Vec<(String, Option<String>)>;

/// The members of an object with the text of those that are strings, and how many there were before an error.
fn members(json: &[u8]) -> (usize, Result<Members, JsonError>) {
    let mut text = json.to_vec();
    let mut names = vec![Span::default(); max_members(json.len())];
    let mut count = 0;
    let result = (|| {
        let mut object = Object::open(&mut text, &mut names)?;
        let mut found = Vec::new();
        while let Some(name) = object.next_member()? {
            count += 1;
            let name = String::from_utf8(object.slice(name).to_vec()).unwrap();
            let string = if object.kind()? == Kind::String {
                let string = object.string()?;
                Some(String::from_utf8(object.slice(string).to_vec()).unwrap())
            } else {
                object.skip()?;
                None
            };
            found.push((name, string));
        }
        object.finish()?;
        Ok(found)
    })();
    (count, result)
}

fn check(json: &str) -> Result<(), JsonError> {
    members(json.as_bytes()).1.map(|_| ())
}

/// The strings of the member `a`, or `None` if they are of another type.
fn strings(json: &str) -> Result<Option<Vec<String>>, JsonError> {
    let mut text = json.as_bytes().to_vec();
    let mut names = vec![Span::default(); max_members(json.len())];
    let mut object = Object::open(&mut text, &mut names)?;
    let mut found = None;
    while let Some(name) = object.next_member()? {
        if object.slice(name) == b"a" {
            match object.strings()? {
                Some(span) => found = Some(span),
                None => return Ok(None),
            }
        } else {
            object.skip()?;
        }
    }
    let packed = found.unwrap().of(object.finish()?).to_vec();
    let mut strings: Vec<_> = packed.split(|byte| *byte == END_OF_STRING).collect();
    assert_eq!(strings.pop(), Some(&b""[..]), "what follows the last mark");
    Ok(Some(strings.iter().map(|string| String::from_utf8(string.to_vec()).unwrap()).collect()))
}

fn nested(depth: u32, open: &str, close: &str) -> String {
    let (open, close) = (open.repeat(depth as usize - 1), close.repeat(depth as usize - 1));
    format!(r#"{{"a":{open}{close}}}"#)
}

#[test]
fn w5_one_object_and_nothing_else() {
    for good in ["{}", " \t\r\n{ } \n", r#"{"a":1}"#, r#"{ "a" : 1 , "b" : [ ] }"#, r#"{"":0}"#] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"a\"",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{}\0",
        "\u{feff}{}",
        "{}\u{feff}",
        "\u{a0}{}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":1,,"b":2}"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{1:1}"#,
        r#"{"a":1}//"#,
        r#"{"a":1/**/}"#,
        r#"{"a"=1}"#,
        r#"{"a":1]"#,
    ] {
        assert_eq!(check(bad), Err(JsonError::Syntax), "{bad}");
    }
    assert_eq!(members(b"{\"a\":\"\xff\"}").1, Err(JsonError::Syntax));
    assert_eq!(members(b"{\"a\":\"\xc0\xae\"}").1, Err(JsonError::Syntax), "overlong");
    assert_eq!(members(b"{\"a\":\"\xed\xa0\x80\"}").1, Err(JsonError::Syntax), "surrogate in UTF-8");
}

#[test]
fn w5_values_are_checked_even_if_they_are_ignored() {
    for good in [
        "0",
        "-0",
        "10",
        "1.5",
        "-0.0",
        "1e5",
        "1E+5",
        "1e-5",
        "1e400",
        "-1e400",
        "1e99999999999999999999",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[1,2]",
        "[[],{}]",
        r#"{"b":1,"b":2}"#,
        r#""""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        r#""\uD83D\uDE00""#,
        "\"\u{7f}\u{2028}\"",
        "[ 1 , \"a\" , { \"b\" : [ ] } ]",
    ] {
        assert_eq!(check(&format!(r#"{{"a":{good}}}"#)), Ok(()), "{good}");
        assert_eq!(check(&format!(r#"{{"a":[{good}],"b":{{"c":{good}}}}}"#)), Ok(()), "{good}");
    }
    for bad in [
        "",
        "-",
        "+1",
        "01",
        "-01",
        "00",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "1e5.5",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "-Infinity",
        "True",
        "nul",
        "truex",
        "undefined",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        r#"{"b":1]"#,
        r#"{"b"}"#,
        r#"{"b":1,}"#,
        "{1:2}",
        "\"",
        "\"\\\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        r#""\ud83d""#,
        r#""\ud83d\""#,
        r#""\ud83d\u0061""#,
        r#""\ud83d\ud83d""#,
        r#""\ude00""#,
        r#""\ude00\ud83d""#,
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "\"\n\"",
        "\"\t\"",
        "'a'",
    ] {
        assert_eq!(check(&format!(r#"{{"a":{bad}}}"#)), Err(JsonError::Syntax), "{bad}");
        assert_eq!(check(&format!(r#"{{"b":[{{"c":{bad}}}]}}"#)), Err(JsonError::Syntax), "{bad}");
    }
}

#[test]
fn w5_nesting_is_at_most_64() {
    for (open, close) in [("[", "]"), (r#"{"b":"#, "}")] {
        // The innermost object needs a value.
        let fill = |text: String| text.replace(":}", ":0}");
        assert_eq!(check(&fill(nested(64, open, close))), Ok(()));
        assert_eq!(check(&fill(nested(65, open, close))), Err(JsonError::TooDeep));
        assert_eq!(check(&fill(nested(10_000, open, close))), Err(JsonError::TooDeep));
    }
    assert_eq!(check(&nested(64, "[", "]").replace("[]", "[{}]")), Err(JsonError::TooDeep));
    assert_eq!(check(&nested(63, "[", "]").replace("[]", "[{},[]]")), Ok(()));
    assert_eq!(check(&"[".repeat(10_000)), Err(JsonError::Syntax));
}

#[test]
fn w5_no_member_of_the_outermost_object_occurs_twice() {
    for good in
        [r#"{"a":1,"b":2,"A":3,"aa":4,"":5}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":1,"\u0061\u0000":1}"#]
    {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"":1,"":2}"#,
        r#"{"sub":1,"\u0073ub":2}"#,
        r#"{"\u0073ub":1,"s\u0075b":2}"#,
        r#"{"\/":1,"/":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
    ] {
        assert_eq!(check(bad), Err(JsonError::Duplicate), "{bad}");
    }
    // As many as fit into a token, in an order that suits nobody.
    let mut many: Vec<String> = (0..870).map(|n| format!(r#""{:02x}":0"#, n * 7919 % 4096)).collect();
    assert_eq!(check(&format!("{{{}}}", many.join(","))), Ok(()));
    many.push(many[17].clone());
    assert_eq!(check(&format!("{{{}}}", many.join(","))), Err(JsonError::Duplicate));
    let empty = vec![r#""":0"#; 1200].join(",");
    assert_eq!(check(&format!("{{{empty}}}")), Err(JsonError::Duplicate));
}

#[test]
fn strings_are_unescaped_where_they_stand() {
    let json = r#"{"\u0061\n":"\ud83d\ude00\u00e9\"x\\","b":"plain é","c":""}"#;
    let expected = [("a\n", Some("😀é\"x\\")), ("b", Some("plain é")), ("c", Some(""))];
    assert_eq!(
        members(json.as_bytes()).1.unwrap(),
        expected.map(|(name, text)| (name.to_owned(), text.map(str::to_owned)))
    );
}

#[test]
fn string_lists_are_packed_where_they_stand() {
    for (json, expected) in [
        (r#"{"a":"x"}"#, Some(vec!["x"])),
        (r#"{"a":""}"#, Some(vec![""])),
        (r#"{"a":[]}"#, Some(vec![])),
        (r#"{"a":[ ]}"#, Some(vec![])),
        (r#"{"a":[""]}"#, Some(vec![""])),
        (r#"{"a":["",""],"b":1}"#, Some(vec!["", ""])),
        (r#"{"b":"z","a": [ "x" , "\u0079\"]" , "é" ] , "c":"]"}"#, Some(vec!["x", "y\"]", "é"])),
        (r#"{"a":["\u0000"]}"#, Some(vec!["\0"])),
        (r#"{"a":1}"#, None),
        (r#"{"a":null}"#, None),
        (r#"{"a":{}}"#, None),
        (r#"{"a":["x",1]}"#, None),
        (r#"{"a":["x",["y"]]}"#, None),
        (r#"{"a":[null]}"#, None),
    ] {
        let expected = expected.map(|strings| strings.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(strings(json), Ok(expected), "{json}");
    }
    for bad in [r#"{"a":["x",]}"#, r#"{"a":["x""y"]}"#, r#"{"a":["x"}"#, r#"{"a":[,"x"]}"#, r#"{"a":["x"]]}"#]
    {
        assert_eq!(strings(bad), Err(JsonError::Syntax), "{bad}");
    }
}

/// How deep a valid JSON text nests. (A parsed value would not tell: of two members in it only the last is
/// left.)
fn depth(json: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Holds our reader against `serde_json`, which must agree but in the three classes that are named here.
fn agrees_with_serde_json(json: &[u8]) {
    let shown = String::from_utf8_lossy(json);
    let (count, ours) = members(json);
    match (ours, serde_json::from_slice::<Map<String, Value>>(json)) {
        (Ok(ours), Ok(theirs)) => {
            assert!(depth(json) <= MAX_DEPTH, "{shown}");
            assert_eq!(ours.len(), theirs.len(), "{shown}");
            for (name, string) in ours {
                assert_eq!(theirs[&name].as_str(), string.as_deref(), "{shown}");
            }
        }
        (Err(_), Err(_)) => {}
        // It reads every number, we only those that matter.
        (Ok(_), Err(error)) => {
            assert!(error.to_string().starts_with("number out of range"), "{error}: {shown}")
        }
        // It keeps the last of two, and goes twice as deep.
        (Err(JsonError::Duplicate), Ok(theirs)) => assert!(count > theirs.len(), "{shown}"),
        (Err(JsonError::TooDeep), Ok(_)) => assert!(depth(json) > MAX_DEPTH, "{shown}"),
        (Err(JsonError::Syntax), Ok(_)) => panic!("only serde_json accepts {shown}"),
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => select(vec![" ", "\n", "\t\r", "  "])]
}

/// Strings, nearly all of them valid.
fn string() -> impl Strategy<Value = String> {
    let good = select(vec![
        "a",
        "b",
        "é",
        "😀",
        " ",
        "\u{7f}",
        "\\n",
        "\\/",
        "\\\"",
        "\\\\",
        "\\u0061",
        "\\u00E9",
        "\\ud83d\\ude00",
        "\\u0000",
    ]);
    let bad = select(vec!["\\ud83d", "\\ude00", "\\u00", "\\x", "\u{1}", "\n", "\\"]);
    prop::collection::vec(prop_oneof![60 => good, 1 => bad], 0..5)
        .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn number() -> impl Strategy<Value = String> {
    let parts = select(vec!["0", "1", "12", "9", "-", ".", "e", "E", "+", "400", "00"]);
    prop_oneof![
        any::<f64>()
            .prop_filter("JSON has no others", |n| n.is_finite())
            .prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        select(vec!["0", "-0.0", "1e400", "1E-7", "10.25e+2"]).prop_map(str::to_owned),
        prop::collection::vec(parts, 1..5).prop_map(|parts| parts.concat()),
    ]
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (space(), string(), space(), space(), value, space())
        .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
    prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn value() -> impl Strategy<Value = String> {
    let literal = select(vec!["true", "false", "null"]).prop_map(str::to_owned);
    let deep = (60_usize..70).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let leaf = prop_oneof![8 => string(), 6 => number(), 4 => literal, 1 => deep];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let array = prop::collection::vec((space(), inner.clone(), space()), 0..4).prop_map(|items| {
            let items: Vec<_> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
            format!("[{}]", items.join(","))
        });
        prop_oneof![array, object_of(inner)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn generated_json_reads_as_serde_json_reads_it(json in object_of(value())) {
        agrees_with_serde_json(json.as_bytes());
    }

    #[test]
    fn damaged_json_reads_as_serde_json_reads_it(
        json in object_of(value()),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..4),
        pieces in prop::collection::vec(select(b"{}[]\",:\\u0e-. \n".to_vec()), 4),
    ) {
        let mut json = json.into_bytes();
        for ((place, edit, byte), piece) in edits.into_iter().zip(pieces) {
            let at = place.index(json.len() + 1);
            match edit {
                0 => json.insert(at, piece),
                1 if at < json.len() => json[at] = byte,
                _ if at < json.len() => { json.remove(at); }
                _ => json.push(piece),
            }
        }
        agrees_with_serde_json(&json);
    }

    #[test]
    fn any_bytes_read_as_serde_json_reads_them(json in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&json);
    }
}
