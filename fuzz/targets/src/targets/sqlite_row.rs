//! A row of the SQLite store with anything in its columns: read, or an error.
//!
//! The input is the thirteen columns between zero bytes, each with its type in its first byte: `i` a number, `t` a text, `b` a
//! blob in hexadecimal digits, `n` nothing, `s` the secret sealed rightly for a record of the other columns.

use rusqlite::Connection;
use rusqlite::types::Value;
use voicegain_auth_core::{Generation, WebConfigId};
use voicegain_auth_store::fuzzing::{Bound, Sealed, sqlite};
use voicegain_auth_store::sealing::Sealing;

use super::fields;
use super::sealing::sealing;
use reference::sealing;

const SELECT: &str = "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13";

thread_local! {
    static CONNECTION: Connection = Connection::open_in_memory().expect("SQLite");
}

pub fn check(input: &[u8]) {
    let columns: [&[u8]; 13] = fields(input);
    let mut values = columns.map(value);
    if columns[11].starts_with(b"s") {
        values[11] = sealed_secret(&values).map_or(Value::Null, Value::Blob);
    }
    for plain in [false, true] {
        let sealing = if plain { &Sealing::Plain } else { sealing() };
        let read = CONNECTION.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT).expect("it is sound");
            let mut rows = statement.query(rusqlite::params_from_iter(&values)).expect("it runs");
            let row = rows.next().expect("it runs").expect("a row");
            sqlite::row(row, sealing)
        });
        let Ok(stored) = read else {
            assert!(plain || !is_sound(&values), "this is a record: {values:?} {read:?}");
            continue;
        };
        let config = &stored.config;
        let text = |at: usize| if let Value::Text(text) = &values[at] { text.as_str() } else { "" };
        assert_eq!((config.account_id.as_str(), config.context_id.as_str()), (text(1), text(2)));
        assert_eq!(config.name, text(3));
        assert_eq!(Value::Blob(config.id.as_bytes().to_vec()), values[0]);
        let numbers =
            [config.generation.get(), config.revision.get(), config.created_at, config.secret_created_at];
        for (number, value) in numbers.into_iter().zip(&values[5..]) {
            assert_eq!(Value::Integer(i64::try_from(number).expect("SQLite holds it")), *value);
        }
        let origins: Vec<String> = serde_json::from_str(text(4)).expect("JSON");
        assert_eq!(config.allowed_origins, origins);
        let secret = stored.secret.expose();
        if plain {
            assert_eq!(values[11], Value::Blob(secret.to_vec()));
        } else {
            let bound = bound(&values).expect("a record");
            let sealed = sealed(&values).expect("sealed");
            assert_eq!(sealing::open(&sealed, &bound).as_deref(), Some(secret), "sealed for this record");
        }
    }
}

fn value(column: &[u8]) -> Value {
    let (first, rest) = column.split_first().unwrap_or((&b'n', &[]));
    let text = || String::from_utf8_lossy(rest).into_owned();
    match first {
        b'i' => Value::Integer(text().trim().parse().unwrap_or(rest.len() as i64)),
        b'r' => Value::Real(text().trim().parse().unwrap_or(0.5)),
        b't' => Value::Text(text()),
        b'b' => Value::Blob(hex(rest)),
        _ => Value::Null,
    }
}

fn hex(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(*pair.last().unwrap_or(&0))).collect()
}

/// The record that the columns name.
fn bound(values: &[Value; 13]) -> Option<Bound> {
    let text = |at: usize| if let Value::Text(text) = &values[at] { Some(text.clone()) } else { None };
    let (Value::Blob(id), Value::Integer(generation)) = (&values[0], &values[5]) else { return None };
    Some(Bound {
        id: WebConfigId::from_bytes(id.as_slice().try_into().ok()?),
        account_id: text(1)?.parse().ok()?,
        context_id: text(2)?.parse().ok()?,
        generation: Generation::new(u64::try_from(*generation).ok()?),
    })
}

fn sealed(values: &[Value; 13]) -> Option<Sealed> {
    let (Value::Integer(format), Value::Blob(bytes)) = (&values[9], &values[11]) else { return None };
    let key_id = match &values[10] {
        Value::Text(text) => Some(text.clone()),
        Value::Null => None,
        _ => return None,
    };
    Some(Sealed { format: i16::try_from(*format).ok()?, key_id, bytes: bytes.clone() })
}

fn sealed_secret(values: &[Value; 13]) -> Option<Vec<u8>> {
    Some(sealing::seal(0, [3; 24], &[9; 32], &bound(values)?).bytes)
}

/// Whether all of it is as a store writes it.
fn is_sound(values: &[Value; 13]) -> bool {
    let number = |at: usize| matches!(values[at], Value::Integer(number) if number >= 0);
    let origins = if let Value::Text(text) = &values[4] {
        serde_json::from_str::<Vec<String>>(text).ok()
    } else {
        None
    };
    let entry = matches!(&values[12], Value::Blob(bytes) if bytes.len() == 16);
    let secret = sealed(values).zip(bound(values)).and_then(|(sealed, bound)| sealing::open(&sealed, &bound));
    let name = matches!(values[3], Value::Text(_));
    secret.is_some() && origins.is_some() && entry && name && (6..9).all(number)
}
