use super::{is_token, line};

/// The most a head may have: above what either gateway passes on.
const MAX_HEAD: usize = 256 * 1024;

/// The methods that every server knows (RFC 9110).
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"];

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// In lower case.
    pub name: String,
    /// Without the white space around it.
    pub value: Vec<u8>,
}

/// A request line and the header fields behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The request target, always in origin form.
    pub target: String,
    /// In the order they came.
    pub fields: Vec<Field>,
}

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(usize),
    /// By `Transfer-Encoding: chunked`.
    Chunked,
}

impl Head {
    /// The values of a field, whose name is in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.name == name).map(|field| &*field.value)
    }

    /// Whether a comma-separated field has this element, in any letter case.
    pub fn lists(&self, name: &str, element: &str) -> bool {
        let mut elements = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        elements.any(|each| each.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
    }

    /// # Errors
    /// If it can be understood in two ways.
    pub(super) fn framing(&self) -> Result<Framing, String> {
        let mut lengths = self.all("content-length");
        let mut codings = self.all("transfer-encoding");
        match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
            (None, _, None, _) => Ok(Framing::None),
            (Some(length), None, None, _) => decimal(length).map(Framing::Length),
            (None, _, Some(b"chunked"), None) => Ok(Framing::Chunked),
            (Some(_), Some(_), None, _) => Err("two Content-Length fields".to_owned()),
            (Some(_), _, Some(_), _) => Err("Content-Length beside Transfer-Encoding".to_owned()),
            (None, _, Some(_), Some(_)) => Err("two Transfer-Encoding fields".to_owned()),
            (None, _, Some(coding), None) => {
                Err(format!("Transfer-Encoding is not chunked: {}", shown(coding)))
            }
        }
    }
}

/// The head at the beginning of `bytes` and its length.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let Some((first, mut at)) = line(bytes, 0)? else { return too_long(bytes) };
    let (method, target) = request_line(first)?;
    let mut fields = Vec::new();
    loop {
        let Some((line, next)) = line(bytes, at)? else { return too_long(bytes) };
        at = next;
        if line.is_empty() {
            break;
        }
        fields.push(field(line)?);
    }
    let head = Head { method, target, fields };
    one_host(&head)?;
    Ok(Some((head, at)))
}

fn too_long<T>(bytes: &[u8]) -> Result<Option<T>, String> {
    if bytes.len() > MAX_HEAD { Err("a head without an end".to_owned()) } else { Ok(None) }
}

fn request_line(line: &[u8]) -> Result<(String, String), String> {
    let wrong = |what: &str| Err(format!("{what} in the request line: {}", shown(line)));
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { return wrong("not two spaces") };
    // A method's letter case counts (RFC 9110, section 9.1), so another spelling of a known one is another method: only a
    // server that folds the case reads it differently. `patch` is what browsers send.
    let misspelt = |known: &&str| method != known.as_bytes() && method.eq_ignore_ascii_case(known.as_bytes());
    if !is_token(method) || METHODS.iter().any(misspelt) {
        return wrong("an odd method");
    }
    if version != b"HTTP/1.1" {
        return wrong("another version");
    }
    // What browsers and curl leave unescaped is in no grammar of RFC 3986, but no two readers differ in it: in a query even
    // `\`. Rules P2 and P4 take UTF-8 above ASCII, escaped or not, and it has to come as it was sent.
    let plain = |byte: &u8| (byte.is_ascii_graphic() && *byte != b'#') || !byte.is_ascii();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if !target.starts_with(b"/") || !target.iter().all(plain) || path.contains(&b'\\') {
        return wrong("an odd target");
    }
    let Ok(target) = std::str::from_utf8(target) else { return wrong("a target that is no UTF-8") };
    Ok((text(method), target.to_owned()))
}

pub(super) fn field(line: &[u8]) -> Result<Field, String> {
    let wrong = |what: &str| Err(format!("{what} in a header line: {}", shown(line)));
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return wrong("folding");
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return wrong("no colon") };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return wrong("an odd name");
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return wrong("a control character");
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    Ok(Field { name: text(name).to_ascii_lowercase(), value: value[start..end].to_vec() })
}

fn one_host(head: &Head) -> Result<(), String> {
    let hosts: Vec<&[u8]> = head.all("host").collect();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(byte);
    match hosts[..] {
        [host] if !host.is_empty() && host.iter().all(plain) => Ok(()),
        [host] => Err(format!("Host is none: {}", shown(host))),
        _ => Err(format!("{} Host fields", hosts.len())),
    }
}

/// Digits alone, and no zero in front, which some read as octal.
fn decimal(value: &[u8]) -> Result<usize, String> {
    let plain = value == b"0" || (!value.starts_with(b"0") && value.iter().all(u8::is_ascii_digit));
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|_| plain).ok_or_else(|| format!("Content-Length is no plain number: {}", shown(value)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// For people.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 120 { text } else { format!("{}… ({} bytes)", &text[..120], bytes.len()) }
}
