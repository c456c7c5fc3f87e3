//! A reader of JSON that remembers how it was written: it takes what any of the judges takes, and says what was odd.

/// A value. Numbers stay as they are written, and objects keep their members' order and number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    /// `NaN`, `Infinity` or `-Infinity`, which JSON does not have.
    Constant,
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// What is odd about a text that somebody takes for JSON.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Oddities {
    pub(super) lone_surrogate: bool,
    pub(super) constant: bool,
    /// A number that no double holds.
    pub(super) beyond_double: bool,
    /// An integer of more than 4,300 digits.
    pub(super) endless_integer: bool,
    /// How deep it nests, the outermost value included.
    pub(super) depth: usize,
}

/// Reads a text. `None`: it is JSON to nobody.
pub(super) fn read(text: &str) -> Option<(Value, Oddities)> {
    let mut reader = Reader { rest: text, odd: Oddities::default() };
    let value = reader.value(0)?;
    reader.white_space();
    reader.rest.is_empty().then_some((value, reader.odd))
}

struct Reader<'t> {
    rest: &'t str,
    odd: Oddities,
}

impl Reader<'_> {
    fn white_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, what: &str) -> bool {
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn value(&mut self, outside: usize) -> Option<Value> {
        self.white_space();
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.eat(word) {
                return Some(value);
            }
        }
        if ["NaN", "Infinity", "-Infinity"].iter().any(|word| self.eat(word)) {
            self.odd.constant = true;
            return Some(Value::Constant);
        }
        match self.rest.as_bytes().first()? {
            b'"' => self.string().map(Value::String),
            b'[' => self.array(outside + 1),
            b'{' => self.object(outside + 1),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.odd.depth = self.odd.depth.max(depth);
        self.next()?;
        self.white_space();
        let mut members = Vec::new();
        if self.eat("]") {
            return Some(Value::Array(members));
        }
        loop {
            members.push(self.value(depth)?);
            self.white_space();
            match self.next()? {
                ',' => {}
                ']' => return Some(Value::Array(members)),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.odd.depth = self.odd.depth.max(depth);
        self.next()?;
        self.white_space();
        let mut members = Vec::new();
        if self.eat("}") {
            return Some(Value::Object(members));
        }
        loop {
            self.white_space();
            let name = self.string()?;
            self.white_space();
            if !self.eat(":") {
                return None;
            }
            members.push((name, self.value(depth)?));
            self.white_space();
            match self.next()? {
                ',' => {}
                '}' => return Some(Value::Object(members)),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.eat("\"") {
            return None;
        }
        let mut text = String::new();
        loop {
            match self.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                '\0'..='\u{1f}' => return None,
                plain => text.push(plain),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.next()? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.code_unit()?;
                if let (0xd800..=0xdbff, Some(rest)) = (unit, self.rest.strip_prefix("\\u")) {
                    let low = rest.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    if let Some(low @ 0xdc00..=0xdfff) = low {
                        self.rest = &rest[4..];
                        return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                    }
                }
                char::from_u32(unit).unwrap_or_else(|| {
                    self.odd.lone_surrogate = true;
                    char::REPLACEMENT_CHARACTER
                })
            }
            _ => return None,
        })
    }

    fn code_unit(&mut self) -> Option<u32> {
        let hex = self.rest.get(..4).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        self.rest = &self.rest[4..];
        u32::from_str_radix(hex, 16).ok()
    }

    fn digits(&mut self) -> &str {
        let end = self.rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }

    fn number(&mut self) -> Option<Value> {
        let all = self.rest;
        self.eat("-");
        let integer = self.digits();
        let count = integer.len();
        if count == 0 || (count > 1 && integer.starts_with('0')) {
            return None;
        }
        let mut is_integer = true;
        if self.eat(".") {
            is_integer = false;
            if self.digits().is_empty() {
                return None;
            }
        }
        if self.eat("e") || self.eat("E") {
            is_integer = false;
            let _ = self.eat("-") || self.eat("+");
            if self.digits().is_empty() {
                return None;
            }
        }
        let written = &all[..all.len() - self.rest.len()];
        self.odd.beyond_double |= written.parse::<f64>().is_ok_and(f64::is_infinite);
        self.odd.endless_integer |= is_integer && count > 4300;
        Some(Value::Number(written.to_owned()))
    }
}
