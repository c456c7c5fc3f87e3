//! What a store remembers of how it is sealed, and whether that fits what it is opened with.

use voicegain_auth_core::StoreError;

use super::aead::Associated;
use super::error::{SealError, SealingMismatch};
use super::keys::MasterKeys;
use super::sealed::Sealing;

/// Whether a store's secrets are sealed. It is decided when the store is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Sealed,
}

impl Kind {
    /// What a store writes down.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Sealed => "sealed",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, SealingMismatch> {
        match text {
            "plain" => Ok(Self::Plain),
            "sealed" => Ok(Self::Sealed),
            _ => Err(SealingMismatch::UnknownKind),
        }
    }
}

impl MasterKeys {
    /// A value that only the key of this id opens, for a store to remember that key by.
    pub(crate) fn check_value(&self, key_id: &str) -> Result<Vec<u8>, SealError> {
        self.seal(key_id, &[], bind_check)
    }

    /// Whether the key of this id is the one that made the check value.
    pub(crate) fn verify_check(&self, key_id: &str, check: &[u8]) -> Result<(), SealError> {
        match self.open(key_id, check, bind_check) {
            Ok(_) => Ok(()),
            Err(SealError::DoesNotOpen(key_id)) => Err(SealError::WrongKey(key_id)),
            Err(error) => Err(error),
        }
    }
}

/// The version is part of the text.
fn bind_check(associated: Associated) -> Associated {
    associated.field(b"voicegain-auth master key check 1")
}

impl Sealing {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Plain => Kind::Plain,
            Self::Keys(_) => Kind::Sealed,
        }
    }

    /// Whether a store may be opened like this that remembers to be of this kind, and these keys: pairs of a
    /// key id and its check value. Answers the pair to remember besides, if there is one.
    ///
    /// The keys that a store remembers are those that it may hold secrets under: each from before its first secret
    /// until it is retired. All of them are needed, or a process that has missed the last change of keys would start
    /// as if nothing were wrong, answer for none of the newer records, and seal its own under a key that is to go.
    pub(crate) fn admit<K: AsRef<str>, C: AsRef<[u8]>>(
        &self,
        kind: Kind,
        known: &[(K, C)],
    ) -> Result<Option<(String, Vec<u8>)>, SealingMismatch> {
        let key_ids = || known.iter().map(|(key_id, _)| key_id.as_ref().to_owned()).collect();
        let keys = match (self, kind) {
            (Self::Plain, Kind::Plain) => return Ok(None),
            (Self::Plain, Kind::Sealed) => return Err(SealingMismatch::StoreIsSealed { key_ids: key_ids() }),
            (Self::Keys(_), Kind::Plain) => return Err(SealingMismatch::StoreIsPlain),
            (Self::Keys(keys), Kind::Sealed) => keys,
        };
        let mut missing = Vec::new();
        for (key_id, check) in known {
            match keys.verify_check(key_id.as_ref(), check.as_ref()) {
                Ok(()) => {}
                Err(SealError::UnknownKey(key_id)) => missing.push(key_id),
                Err(_) => return Err(SealingMismatch::WrongKey { key_id: key_id.as_ref().to_owned() }),
            }
        }
        if !missing.is_empty() {
            return Err(SealingMismatch::MissingKey { key_ids: missing });
        }
        let first = keys.first_id();
        if known.iter().any(|(key_id, _)| *key_id.as_ref() == *first) {
            return Ok(None);
        }
        let check = keys.check_value(&first).map_err(|_| SealingMismatch::NoRandomness)?;
        Ok(Some((first.to_string(), check)))
    }

    /// As [`admit`](Self::admit), for keys that are to take the place of these. If these seal under a key that the store has
    /// retired, the same key cannot come back by being read once more: whoever has it first was left behind.
    pub(crate) fn admit_adoption<K: AsRef<str>, C: AsRef<[u8]>>(
        &self,
        next: &MasterKeys,
        kind: Kind,
        known: &[(K, C)],
    ) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let new = Self::Keys(next.clone()).admit(kind, known).map_err(StoreError::unavailable)?;
        match (self.first_id(), new) {
            (Ok(first), Some((key_id, _))) if *first == *key_id => Err(SealError::NotKnown(key_id).into()),
            (_, new) => Ok(new),
        }
    }

    /// Whether a secret may be written under this key, to be asked in the transaction that writes it: the keys may
    /// have been replaced, and the store may have forgotten one, since the store was opened. `kind` is what the store
    /// is now, `check` what it remembers the key by, if it does. It learns of a key when it is opened with it or adopts
    /// it, and in no other way: one that it has retired would otherwise come back by whoever was left behind with it,
    /// and keep every process without it from starting.
    pub(crate) fn admit_write(
        &self,
        kind: Kind,
        key_id: Option<&str>,
        check: Option<&[u8]>,
    ) -> Result<(), SealError> {
        if self.kind() != kind {
            return Err(SealError::KindChanged(kind.as_str()));
        }
        match (self, key_id) {
            (Self::Plain, _) => Ok(()),
            (Self::Keys(_), None) => Err(SealError::NotSealed),
            (Self::Keys(keys), Some(key_id)) => match check {
                Some(check) => keys.verify_check(key_id, check),
                None => Err(SealError::NotKnown(key_id.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::line;
    use super::*;

    fn sealing(keys: &[(&str, u8)]) -> (MasterKeys, Sealing) {
        let text: String = keys.iter().map(|(id, byte)| line(id, *byte)).collect();
        let keys = MasterKeys::parse(&text).unwrap();
        (keys.clone(), Sealing::Keys(keys))
    }

    const NONE: &[(String, Vec<u8>)] = &[];

    #[test]
    fn a_check_value_opens_under_its_key_alone() {
        let (keys, _) = sealing(&[("a", 1), ("b", 2)]);
        let check = keys.check_value("a").unwrap();
        assert_eq!(keys.verify_check("a", &check), Ok(()));
        assert_eq!(keys.verify_check("b", &check), Err(SealError::WrongKey("b".to_owned())));
        assert_eq!(keys.verify_check("c", &check), Err(SealError::UnknownKey("c".to_owned())));
        // The id counts even where the key is the same.
        let (renamed, _) = sealing(&[("b", 1)]);
        assert_eq!(renamed.verify_check("b", &check), Err(SealError::WrongKey("b".to_owned())));
        let (wrong, _) = sealing(&[("a", 2)]);
        assert_eq!(wrong.verify_check("a", &check), Err(SealError::WrongKey("a".to_owned())));
        for bad in [&check[1..], &[]] {
            assert_eq!(keys.verify_check("a", bad), Err(SealError::WrongKey("a".to_owned())));
        }
        assert_eq!(keys.check_value("c"), Err(SealError::UnknownKey("c".to_owned())));
    }

    #[test]
    fn plain_and_sealed_stores_are_told_apart() {
        let (keys, sealed) = sealing(&[("a", 1)]);
        assert_eq!(Sealing::Plain.admit(Kind::Plain, NONE), Ok(None));
        let known = [("a", keys.check_value("a").unwrap())];
        assert_eq!(
            Sealing::Plain.admit(Kind::Sealed, &known),
            Err(SealingMismatch::StoreIsSealed { key_ids: vec!["a".to_owned()] })
        );
        assert_eq!(sealed.admit(Kind::Plain, NONE), Err(SealingMismatch::StoreIsPlain));
        assert_eq!(Kind::parse(Kind::Plain.as_str()), Ok(Kind::Plain));
        assert_eq!(Kind::parse(Kind::Sealed.as_str()), Ok(Kind::Sealed));
        assert_eq!(Kind::parse("Sealed"), Err(SealingMismatch::UnknownKind));
        assert_eq!((Sealing::Plain.kind(), sealed.kind()), (Kind::Plain, Kind::Sealed));
    }

    #[test]
    fn the_first_key_is_remembered_and_the_right_ones_are_asked_for() {
        let (keys, one) = sealing(&[("a", 1)]);
        let (key_id, check) = one.admit(Kind::Sealed, NONE).unwrap().unwrap();
        assert_eq!(key_id, "a");
        assert_eq!(keys.verify_check("a", &check), Ok(()));
        let known = [(key_id, check)];
        assert_eq!(one.admit(Kind::Sealed, &known), Ok(None));

        // Both, the old one first: the new one has not sealed yet.
        assert_eq!(sealing(&[("a", 1), ("b", 2)]).1.admit(Kind::Sealed, &known), Ok(None));
        let (added, check) = sealing(&[("b", 2), ("a", 1)]).1.admit(Kind::Sealed, &known).unwrap().unwrap();
        assert_eq!(added, "b");
        let both = [known[0].clone(), (added, check)];
        assert_eq!(sealing(&[("b", 2), ("a", 1)]).1.admit(Kind::Sealed, &both), Ok(None));

        let missing = |ids: &[&str]| {
            Err(SealingMismatch::MissingKey { key_ids: ids.iter().map(|id| (*id).to_owned()).collect() })
        };
        assert_eq!(sealing(&[("b", 2)]).1.admit(Kind::Sealed, &known), missing(&["a"]));
        // Every key that is known has to be there, the newer one and the older one alike.
        assert_eq!(sealing(&[("b", 2)]).1.admit(Kind::Sealed, &both), missing(&["a"]));
        assert_eq!(sealing(&[("a", 1)]).1.admit(Kind::Sealed, &both), missing(&["b"]));
        assert_eq!(sealing(&[("c", 3)]).1.admit(Kind::Sealed, &both), missing(&["a", "b"]));
        let wrong = |key_id: &str| Err(SealingMismatch::WrongKey { key_id: key_id.to_owned() });
        assert_eq!(sealing(&[("a", 2)]).1.admit(Kind::Sealed, &known), wrong("a"));
        // Also where another key is right.
        assert_eq!(sealing(&[("a", 1), ("b", 3)]).1.admit(Kind::Sealed, &both), wrong("b"));
    }

    #[test]
    fn a_write_is_admitted_under_the_key_that_the_store_knows() {
        let (keys, one) = sealing(&[("a", 1)]);
        let check = keys.check_value("a").unwrap();
        assert_eq!(one.admit_write(Kind::Sealed, Some("a"), Some(&check)), Ok(()));
        // The store has forgotten it, or has never heard of it.
        let unknown = one.admit_write(Kind::Sealed, Some("a"), None);
        assert_eq!(unknown, Err(SealError::NotKnown("a".to_owned())));
        let wrong = sealing(&[("a", 2)]).1.admit_write(Kind::Sealed, Some("a"), Some(&check));
        assert_eq!(wrong, Err(SealError::WrongKey("a".to_owned())));
        // The key was taken away meanwhile.
        let gone = one.admit_write(Kind::Sealed, Some("b"), Some(&check));
        assert_eq!(gone, Err(SealError::UnknownKey("b".to_owned())));
        assert_eq!(Sealing::Plain.admit_write(Kind::Plain, None, None), Ok(()));
        let became = Sealing::Plain.admit_write(Kind::Sealed, None, None);
        assert_eq!(became, Err(SealError::KindChanged("sealed")));
        let became = one.admit_write(Kind::Plain, Some("a"), Some(&check));
        assert_eq!(became, Err(SealError::KindChanged("plain")));
    }
}
