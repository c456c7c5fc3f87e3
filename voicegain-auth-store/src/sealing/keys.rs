use std::fmt;
use std::iter;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::aead::{self, Associated, KEY_LEN, Key};
use super::error::{InvalidLine, MasterKeyError, SealError};
use super::file;

/// Standard base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The keys that secrets are sealed under. The first one seals, all of them open.
///
/// Clones share one set of keys, which can be replaced while the program runs. The keys are wiped from memory
/// on drop, and `Debug` shows their ids alone.
#[derive(Clone)]
pub struct MasterKeys(Arc<RwLock<Arc<KeySet>>>);

/// One key at least.
struct KeySet {
    first: MasterKey,
    rest: Vec<MasterKey>,
}

/// A key and its id.
struct MasterKey {
    id: Arc<str>,
    key: Key,
}

impl KeySet {
    fn iter(&self) -> impl Iterator<Item = &MasterKey> {
        iter::once(&self.first).chain(&self.rest)
    }

    fn find(&self, id: &str) -> Option<&MasterKey> {
        self.iter().find(|key| *key.id == *id)
    }

    fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let mut keys: Vec<(usize, MasterKey)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |problem| MasterKeyError::InvalidLine { line: number, problem };
            let key = MasterKey::parse(line).map_err(invalid)?;
            if let Some((first, _)) = keys.iter().find(|(_, other)| other.id == key.id) {
                let key_id = key.id.to_string();
                return Err(invalid(InvalidLine::DuplicateId { key_id, first: *first }));
            }
            if let Some((first, _)) = keys.iter().find(|(_, other)| other.key == key.key) {
                return Err(invalid(InvalidLine::DuplicateKey { first: *first }));
            }
            keys.push((number, key));
        }
        let mut keys = keys.into_iter().map(|(_, key)| key);
        let first = keys.next().ok_or(MasterKeyError::NoKeys)?;
        Ok(Self { first, rest: keys.collect() })
    }
}

impl MasterKey {
    fn parse(line: &str) -> Result<Self, InvalidLine> {
        let (id, encoded) = line.split_once(':').ok_or(InvalidLine::NoColon)?;
        let id = id.trim_end();
        if !is_key_id(id) {
            return Err(InvalidLine::KeyId);
        }
        let encoded = encoded.trim_start();
        // As long as it can get, so that growing leaves no copy behind.
        let mut decoded = Zeroizing::new(Vec::with_capacity(encoded.len()));
        BASE64.decode_vec(encoded, &mut decoded).map_err(|_| InvalidLine::NotBase64)?;
        if decoded.len() != KEY_LEN {
            return Err(InvalidLine::Length { length: decoded.len() });
        }
        if decoded.iter().all(|byte| *byte == 0) {
            return Err(InvalidLine::AllZero);
        }
        let mut key = Box::new(Zeroizing::new([0; KEY_LEN]));
        key.copy_from_slice(&decoded);
        Ok(Self { id: id.into(), key })
    }
}

fn is_key_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

impl MasterKeys {
    /// Reads keys, one a line: `<key id>:<base64 of 32 bytes>`. A key id is 1 to 64 of the characters
    /// `A-Z a-z 0-9 . _ -`. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// If a line is anything else, an id or a key is there twice, or there is no key at all.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        KeySet::parse(text).map(Self::of)
    }

    /// Reads a key file, which nobody but its owner may read or write (mode 0600 or stricter). On Unix the owner must
    /// be the user that the process runs as, or root.
    ///
    /// # Errors
    /// If it is not there, is open to others, or does not hold what [`parse`](Self::parse) reads. The error
    /// says what to do.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        let path = path.as_ref();
        let text = file::read(path)?;
        Self::parse(&text)
            .map_err(|source| MasterKeyError::InFile { path: path.to_owned(), source: Box::new(source) })
    }

    /// Makes a new key, writes it to a new file of mode 0600, and answers what [`read_file`](Self::read_file)
    /// would. Nobody ever sees the file unfinished: of two who make it at once, one gets
    /// [`FileExists`](MasterKeyError::FileExists) and can read what the other has written.
    ///
    /// # Errors
    /// If there is a file already, or it cannot be written.
    pub fn generate_file(path: impl AsRef<Path>) -> Result<Self, MasterKeyError> {
        let mut key = Zeroizing::new([0_u8; KEY_LEN]);
        let mut name = [0_u8; 4];
        getrandom::fill(key.as_mut_slice()).map_err(|_| MasterKeyError::NoRandomness)?;
        getrandom::fill(&mut name).map_err(|_| MasterKeyError::NoRandomness)?;
        let encoded = Zeroizing::new(BASE64.encode(key.as_slice()));
        let text = Zeroizing::new(format!("k-{:08x}:{}\n", u32::from_be_bytes(name), *encoded));
        file::create(path.as_ref(), &text)?;
        Self::parse(&text)
    }

    /// Puts these keys in the place of the present ones, for every clone. Whether a store may be opened with them is not
    /// looked at: where there is one, its `adopt_keys` does that, and then this.
    ///
    /// # Errors
    /// If a key id is in both sets and stands for two keys. The present keys then stay.
    pub fn replace(&self, other: &Self) -> Result<(), MasterKeyError> {
        let next = other.set();
        let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = next.iter().find(|key| present.find(&key.id).is_some_and(|old| old.key != key.key));
        if let Some(key) = changed {
            return Err(MasterKeyError::KeyChanged { key_id: key.id.to_string() });
        }
        *present = next;
        Ok(())
    }

    /// Reads a key file and puts its keys in the place of the present ones, for every clone. Whether a store may be
    /// opened with them is not looked at: where there is one, give what [`read_file`](Self::read_file) answers to its
    /// `adopt_keys` instead.
    ///
    /// # Errors
    /// As for [`read_file`](Self::read_file) and [`replace`](Self::replace). The present keys then stay.
    pub fn reload_file(&self, path: impl AsRef<Path>) -> Result<(), MasterKeyError> {
        self.replace(&Self::read_file(path)?)
    }

    /// The ids of the keys. Secrets are sealed under the first one.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.set().iter().map(|key| key.id.to_string()).collect()
    }

    fn of(set: KeySet) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(set))))
    }

    /// The keys as they are now, for work that must not have them replaced under it.
    pub(crate) fn snapshot(&self) -> Self {
        Self(Arc::new(RwLock::new(self.set())))
    }

    fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The id of the key that seals.
    pub(crate) fn first_id(&self) -> Arc<str> {
        Arc::clone(&self.set().first.id)
    }

    /// Seals under the key of this id.
    pub(super) fn seal(
        &self,
        key_id: &str,
        plain: &[u8],
        bound: impl FnOnce(Associated) -> Associated,
    ) -> Result<Vec<u8>, SealError> {
        let set = self.set();
        let key = set.find(key_id).ok_or_else(|| SealError::UnknownKey(key_id.to_owned()))?;
        let associated = bound(Associated::default().field(key.id.as_bytes()));
        aead::seal(&key.key, plain, associated.as_bytes()).map_err(|_| SealError::NoRandomness)
    }

    /// Opens what was sealed under the key of this id.
    pub(super) fn open(
        &self,
        key_id: &str,
        sealed: &[u8],
        bound: impl FnOnce(Associated) -> Associated,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let set = self.set();
        let key = set.find(key_id).ok_or_else(|| SealError::UnknownKey(key_id.to_owned()))?;
        let associated = bound(Associated::default().field(key.id.as_bytes()));
        aead::open(&key.key, sealed, associated.as_bytes())
            .ok_or_else(|| SealError::DoesNotOpen(key_id.to_owned()))
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKeys").field(&self.key_ids()).finish()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line of a key file, the key being 32 times this byte.
    pub(crate) fn line(id: &str, byte: u8) -> String {
        format!("{id}:{}\n", BASE64.encode([byte; KEY_LEN]))
    }

    fn problem(text: &str) -> (usize, InvalidLine) {
        match MasterKeys::parse(text) {
            Err(MasterKeyError::InvalidLine { line, problem }) => (line, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_of_keys_are_read_in_their_order() {
        let text =
            format!("# the keys\n\n  {}\r\n\t\n{}#\n", line("new-2026.11_A", 1).trim(), line("old", 2));
        assert_eq!(MasterKeys::parse(&text).unwrap().key_ids(), ["new-2026.11_A", "old"]);
        let unpadded = line("key-1", 1).replace('=', "");
        assert_eq!(MasterKeys::parse(&unpadded).unwrap().key_ids(), ["key-1"]);
        let spaced = line("key-1", 1).replace(':', " : ");
        assert_eq!(MasterKeys::parse(&spaced).unwrap().key_ids(), ["key-1"]);
    }

    #[test]
    fn no_key_at_all_is_an_error() {
        for text in ["", "\n\n", "# nothing\n  # here\n"] {
            let error = MasterKeys::parse(text).unwrap_err();
            assert!(matches!(error, MasterKeyError::NoKeys), "{error:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_named_by_its_number() {
        let good = line("key-1", 1);
        let encoded = |bytes: &[u8]| BASE64.encode(bytes);
        let long_id = "k".repeat(65);
        for (bad, expected) in [
            ("key-2".to_owned(), InvalidLine::NoColon),
            (encoded(&[9; 32]), InvalidLine::NoColon),
            (format!(":{}", encoded(&[9; 32])), InvalidLine::KeyId),
            (format!("key 2:{}", encoded(&[9; 32])), InvalidLine::KeyId),
            (format!("clé:{}", encoded(&[9; 32])), InvalidLine::KeyId),
            (format!("{long_id}:{}", encoded(&[9; 32])), InvalidLine::KeyId),
            (format!("key-2:{}", encoded(&[0xff; 32]).replace('/', "_")), InvalidLine::NotBase64),
            ("key-2:not base64".to_owned(), InvalidLine::NotBase64),
            (format!("key-2:{} x", encoded(&[9; 32])), InvalidLine::NotBase64),
            ("key-2:".to_owned(), InvalidLine::Length { length: 0 }),
            (format!("key-2:{}", encoded(&[9; 31])), InvalidLine::Length { length: 31 }),
            (format!("key-2:{}", encoded(&[9; 33])), InvalidLine::Length { length: 33 }),
            (format!("key-2:{}", encoded(&[0; 32])), InvalidLine::AllZero),
            (
                format!("key-1:{}", encoded(&[9; 32])),
                InvalidLine::DuplicateId { key_id: "key-1".to_owned(), first: 2 },
            ),
            (format!("key-2:{}", encoded(&[1; 32])), InvalidLine::DuplicateKey { first: 2 }),
        ] {
            assert_eq!(problem(&format!("#\n{good}\n{bad}\n")), (4, expected), "{bad}");
        }
        let text = format!("key-2:{}", encoded(&[9; 32]));
        assert_eq!(MasterKeys::parse(&format!("{good}{text}")).unwrap().key_ids().len(), 2, "the control");
        assert_eq!(MasterKeys::parse(&line(&"k".repeat(64), 1)).unwrap().key_ids().len(), 1);
    }

    #[test]
    fn neither_errors_nor_debug_show_a_key() {
        let secret = BASE64.encode([0x5a; KEY_LEN]);
        let shown: &str = secret.get(..10).unwrap();
        for text in [
            secret.clone(),
            format!("key-1:{secret}x"),
            format!("key-1:{}", secret.get(..20).unwrap()),
            format!("{secret}:key-1"),
            format!("key-1:{secret}\nkey-1:{secret}"),
            format!("key-1:{secret}\nkey-2:{secret}"),
        ] {
            let error = MasterKeys::parse(&text).unwrap_err();
            let mut said = format!("{error} {error:?}");
            if let MasterKeyError::InvalidLine { problem, .. } = &error {
                said += &problem.to_string();
            }
            assert!(!said.contains(shown), "{said}");
        }
        let keys = MasterKeys::parse(&format!("key-1:{secret}")).unwrap();
        assert_eq!(format!("{keys:?}"), r#"MasterKeys(["key-1"])"#);
        let sealing = format!("{:?}", crate::sealing::Sealing::from(keys));
        assert_eq!(sealing, r#"Keys(MasterKeys(["key-1"]))"#);
    }

    #[test]
    fn replacing_reaches_every_clone_and_never_changes_a_key_under_its_id() {
        let keys = MasterKeys::parse(&line("old", 1)).unwrap();
        let clone = keys.clone();
        let both = MasterKeys::parse(&(line("new", 2) + &line("old", 1))).unwrap();
        keys.replace(&both).unwrap();
        assert_eq!(clone.key_ids(), ["new", "old"]);
        // The other set stays its own.
        both.replace(&MasterKeys::parse(&line("new", 2)).unwrap()).unwrap();
        assert_eq!(clone.key_ids(), ["new", "old"]);
        let wrong = MasterKeys::parse(&(line("third", 3) + &line("old", 4))).unwrap();
        let error = keys.replace(&wrong).unwrap_err();
        assert!(matches!(&error, MasterKeyError::KeyChanged { key_id } if key_id == "old"), "{error:?}");
        assert_eq!(clone.key_ids(), ["new", "old"], "the present keys stay");
        keys.replace(&keys.clone()).unwrap();
    }
}
