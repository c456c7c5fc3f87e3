//! A strict reader for one JSON object (RFC 8259, rule W5), without an allocation.
//!
//! Everything is checked, ignored values included, and strings are unescaped in place: an escape is never
//! shorter than what it stands for. Whoever reads a member's value takes it with one of the methods of
//! [`Object`] or skips it.

use std::cmp::Ordering;
use std::ops::Range;

#[cfg(test)]
mod tests;

/// How deep objects and arrays may nest, the outermost object included.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Follows each string that [`Object::strings`] packs; no UTF-8 text contains it.
pub(crate) const END_OF_STRING: u8 = 0xff;

/// The most members that fit into an object of this many bytes: the shortest is `"":0,`.
pub(crate) const fn max_members(bytes: usize) -> usize {
    bytes / 5
}

/// Runs `act` on a text, at most 8,192 bytes, with room on the stack for the names of an object of that length. Clearing the
/// room takes as long as reading a short object, and what we write ourselves needs none.
pub(crate) fn with_names<'t, R>(text: &'t mut [u8], act: impl FnOnce(&'t mut [u8], &mut [Span]) -> R) -> R {
    const SMALL: usize = max_members(768);
    const LARGE: usize = max_members(8_192);

    if max_members(text.len()) <= SMALL {
        act(text, &mut [Span::default(); SMALL])
    } else {
        act(text, &mut [Span::default(); LARGE])
    }
}

/// Why a text is not the one JSON object that was due (rule W5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Not one valid JSON object in UTF-8 and nothing else.
    #[error("not one valid JSON object")]
    Syntax,
    /// Objects and arrays nested more than 64 deep.
    #[error("nested more than 64 deep")]
    TooDeep,
    /// A member of the object occurs twice, perhaps spelt in two ways.
    #[error("a member occurs twice")]
    Duplicate,
}

/// Where a piece of the text lies. Two bytes each, as there may be hundreds of names to remember.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    fn new(start: usize, end: usize) -> Result<Self, JsonError> {
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) => Ok(Self { start, end }),
            _ => Err(JsonError::Syntax),
        }
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    /// The piece itself.
    pub(crate) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }
}

/// The type of the value that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// A number as it was written: `integer`.`fraction` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'t> {
    pub(crate) negative: bool,
    /// At least one digit.
    pub(crate) integer: &'t [u8],
    /// The digits behind the point, perhaps none.
    pub(crate) fraction: &'t [u8],
    /// Saturating.
    pub(crate) exponent: i32,
}

/// An object that is being read, member by member.
#[derive(Debug)]
pub(crate) struct Object<'t, 'n> {
    text: &'t mut [u8],
    at: usize,
    /// Room for the names, to find duplicates at the end.
    names: &'n mut [Span],
    members: usize,
}

impl<'t, 'n> Object<'t, 'n> {
    /// Begins to read `text`, at most 65,535 bytes. `names` has room for [`max_members`].
    pub(crate) fn open(text: &'t mut [u8], names: &'n mut [Span]) -> Result<Self, JsonError> {
        if str::from_utf8(text).is_err() {
            return Err(JsonError::Syntax);
        }
        let mut object = Self { text, at: 0, names, members: 0 };
        object.skip_whitespace();
        object.expect(b'{')?;
        Ok(object)
    }

    /// The next member's name, or `None` at the end of the object. Its value must be read or skipped before
    /// the next call.
    pub(crate) fn next_member(&mut self) -> Result<Option<Span>, JsonError> {
        self.skip_whitespace();
        if self.eat(b'}') {
            return Ok(None);
        }
        if self.members > 0 {
            self.expect(b',')?;
            self.skip_whitespace();
        }
        let name = self.member_name()?;
        // There is room for as many members as the text can hold.
        *self.names.get_mut(self.members).ok_or(JsonError::Syntax)? = name;
        self.members += 1;
        Ok(Some(name))
    }

    /// Ends the reading: nothing but white space may follow, and no name may have occurred twice. Gives back
    /// the text, in which the spans handed out are found.
    ///
    /// Sorting the names keeps this at n·log n comparisons whatever names a stranger picks, with no hash to
    /// attack.
    pub(crate) fn finish(mut self) -> Result<&'t [u8], JsonError> {
        self.skip_whitespace();
        if self.at != self.text.len() {
            return Err(JsonError::Syntax);
        }
        let text: &'t [u8] = self.text;
        let names = self.names.get_mut(..self.members).unwrap_or_default();
        let by_text = |a: &Span, b: &Span| -> Ordering { a.of(text).cmp(b.of(text)) };
        names.sort_unstable_by(by_text);
        if names.is_sorted_by(|a, b| by_text(a, b) == Ordering::Less) {
            Ok(text)
        } else {
            Err(JsonError::Duplicate)
        }
    }

    /// A piece of the text.
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        span.of(self.text)
    }

    /// The type of the value that comes next.
    pub(crate) fn kind(&self) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f' | b'n') => Ok(Kind::Literal),
            _ => Err(JsonError::Syntax),
        }
    }

    /// Reads a string; what it stands for is then found where it stood.
    pub(crate) fn string(&mut self) -> Result<Span, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut end = start;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .ok_or(JsonError::Syntax)?;
            end = self.move_to(end, self.at..self.at + plain);
            self.at += plain;
            match self.next()? {
                b'"' => return Span::new(start, end),
                b'\\' => {
                    let mut utf8 = [0; 4];
                    for byte in self.escaped()?.encode_utf8(&mut utf8).bytes() {
                        self.put(end, byte)?;
                        end += 1;
                    }
                }
                _ => return Err(JsonError::Syntax),
            }
        }
    }

    /// Reads a string or an array of strings and packs it where it stood, each string followed by
    /// [`END_OF_STRING`]. `None` for a value of any other type, which then is not read to its end.
    pub(crate) fn strings(&mut self) -> Result<Option<Span>, JsonError> {
        let start = self.at;
        let mut end = start;
        match self.kind()? {
            Kind::String => end = self.pack(end)?,
            Kind::Array => {
                self.at += 1;
                self.skip_whitespace();
                if !self.eat(b']') {
                    loop {
                        if self.kind()? != Kind::String {
                            return Ok(None);
                        }
                        end = self.pack(end)?;
                        self.skip_whitespace();
                        if self.eat(b']') {
                            break;
                        }
                        self.expect(b',')?;
                        self.skip_whitespace();
                    }
                }
            }
            Kind::Object | Kind::Number | Kind::Literal => return Ok(None),
        }
        Span::new(start, end).map(Some)
    }

    /// Reads a number.
    pub(crate) fn number(&mut self) -> Result<Number<'_>, JsonError> {
        let negative = self.eat(b'-');
        let integer = self.digits();
        if integer.is_empty() || (integer.len() > 1 && self.text.get(integer.start) == Some(&b'0')) {
            return Err(JsonError::Syntax);
        }
        let mut fraction = 0..0;
        if self.eat(b'.') {
            fraction = self.digits();
            if fraction.is_empty() {
                return Err(JsonError::Syntax);
            }
        }
        let mut exponent = 0_i32;
        if self.eat(b'e') || self.eat(b'E') {
            let sign = if self.eat(b'-') { -1 } else { 1 };
            if sign == 1 {
                self.eat(b'+');
            }
            let digits = self.digits();
            if digits.is_empty() {
                return Err(JsonError::Syntax);
            }
            for digit in self.text.get(digits).unwrap_or_default() {
                exponent = exponent.saturating_mul(10).saturating_add(i32::from(digit - b'0'));
            }
            exponent *= sign;
        }
        Ok(Number {
            negative,
            integer: self.text.get(integer).unwrap_or_default(),
            fraction: self.text.get(fraction).unwrap_or_default(),
            exponent,
        })
    }

    /// Reads a value of any type and forgets it.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        // One bit for each container that is open below the outermost object, the innermost lowest, set for
        // an object; above them a one that marks the end. So 63 fit, and with the outermost object they are
        // MAX_DEPTH.
        const NONE_OPEN: u64 = 1;
        const _: () = assert!(MAX_DEPTH == u64::BITS);
        let descend = |open: u64, object: bool| -> Result<u64, JsonError> {
            if open.leading_zeros() == 0 {
                Err(JsonError::TooDeep)
            } else {
                Ok(open << 1 | u64::from(object))
            }
        };

        let mut open = NONE_OPEN;
        loop {
            match self.kind()? {
                Kind::Object => {
                    open = descend(open, true)?;
                    self.at += 1;
                    self.skip_whitespace();
                    if !self.eat(b'}') {
                        self.member_name()?;
                        continue;
                    }
                    open >>= 1;
                }
                Kind::Array => {
                    open = descend(open, false)?;
                    self.at += 1;
                    self.skip_whitespace();
                    if !self.eat(b']') {
                        continue;
                    }
                    open >>= 1;
                }
                Kind::String => {
                    self.string()?;
                }
                Kind::Number => {
                    self.number()?;
                }
                Kind::Literal => self.literal()?,
            }
            // A value has ended, and perhaps with it the containers around it.
            while open != NONE_OPEN {
                let in_object = open & 1 == 1;
                self.skip_whitespace();
                if self.eat(b',') {
                    self.skip_whitespace();
                    if in_object {
                        self.member_name()?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                open >>= 1;
            }
            if open == NONE_OPEN {
                return Ok(());
            }
        }
    }

    /// Reads a member's name, the colon, and the white space around that.
    fn member_name(&mut self) -> Result<Span, JsonError> {
        let name = self.string()?;
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(name)
    }

    /// Reads the rest of an escape, behind its backslash.
    fn escaped(&mut self) -> Result<char, JsonError> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut code = self.code_unit()?;
                if (0xd800..=0xdbff).contains(&code) {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    let low = self.code_unit()?;
                    if !(0xdc00..=0xdfff).contains(&low) {
                        return Err(JsonError::Syntax);
                    }
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                // What is left to refuse is a low surrogate on its own.
                char::from_u32(code).ok_or(JsonError::Syntax)?
            }
            _ => return Err(JsonError::Syntax),
        })
    }

    fn code_unit(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            code = code << 4 | char::from(self.next()?).to_digit(16).ok_or(JsonError::Syntax)?;
        }
        Ok(code)
    }

    fn literal(&mut self) -> Result<(), JsonError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let literal = [b"true".as_slice(), b"false", b"null"]
            .into_iter()
            .find(|literal| rest.starts_with(literal))
            .ok_or(JsonError::Syntax)?;
        self.at += literal.len();
        Ok(())
    }

    fn digits(&mut self) -> Range<usize> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        start..self.at
    }

    /// Reads a string and packs it at `to`, which lies before it. Gives the end of what it wrote, at most as
    /// far as the string's closing quote.
    fn pack(&mut self, to: usize) -> Result<usize, JsonError> {
        let string = self.string()?;
        let end = self.move_to(to, string.range());
        self.put(end, END_OF_STRING)?;
        Ok(end + 1)
    }

    /// Moves a piece of the text forward to `to` and gives its new end.
    fn move_to(&mut self, to: usize, piece: Range<usize>) -> usize {
        let end = to + piece.len();
        if to != piece.start {
            self.text.copy_within(piece, to);
        }
        end
    }

    fn put(&mut self, at: usize, byte: u8) -> Result<(), JsonError> {
        *self.text.get_mut(at).ok_or(JsonError::Syntax)? = byte;
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(JsonError::Syntax) }
    }
}
