//! A corpus as one text file, an input a line, so that a change of it can be read.
//!
//! Visible ASCII and spaces stand for themselves; everything else is escaped as in a Rust byte string.

use std::fmt::Write as _;

/// The line of an input.
pub fn pack(input: &[u8]) -> String {
    let mut line = String::new();
    for &byte in input {
        match byte {
            b'\\' => line.push_str("\\\\"),
            b'\n' => line.push_str("\\n"),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => write!(line, "\\x{byte:02x}").expect("a string"),
        }
    }
    line
}

/// The input of a line.
pub fn unpack(line: &str) -> Vec<u8> {
    let mut input = Vec::new();
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        input.push(match byte {
            b'\\' => match bytes.next().expect("an escape") {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'x' => {
                    let digits = [(); 2].map(|()| bytes.next().expect("two digits"));
                    let digits = std::str::from_utf8(&digits).expect("two digits");
                    u8::from_str_radix(digits, 16).expect("two digits")
                }
                other => panic!("no escape: {}", char::from(other)),
            },
            byte => byte,
        });
    }
    input
}

/// All inputs of a packed corpus.
pub fn inputs(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.lines().map(unpack)
}
