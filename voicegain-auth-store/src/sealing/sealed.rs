use std::sync::Arc;

use voicegain_auth_core::store::StoreError;
use voicegain_auth_core::{AccountId, ContextId, Generation, Secret, WebConfig, WebConfigId};
use zeroize::Zeroizing;

use super::aead::Associated;
use super::error::{SealError, SealingMismatch};
use super::keys::MasterKeys;

/// How a store keeps its secrets.
///
/// A store remembers from its creation on whether it is plain or sealed, and by which keys; one that is opened
/// in another way says so instead of opening.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Sealing {
    /// As they are: whoever can read the store's files, its backups or its disk can sign tokens.
    Plain,
    /// Sealed under master keys that the store does not hold.
    Keys(MasterKeys),
}

impl From<MasterKeys> for Sealing {
    fn from(keys: MasterKeys) -> Self {
        Self::Keys(keys)
    }
}

/// What one call of a store's `reseal` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resealed {
    /// The last web config of the page, to go on after, be it one that has ended; `None` if there was none.
    pub last: Option<WebConfigId>,
    /// How many secrets were sealed anew.
    pub resealed: u64,
    /// How many were left as they are because they could not be opened. The log names each with the reason. While
    /// there is one, its key is not to be given up.
    pub skipped: u64,
    /// Whether there are more to look at.
    pub more: bool,
}

/// What one call of a store's `retire_keys` did. Each list is in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// The ids of the keys that were forgotten.
    pub retired: Vec<String>,
    /// The ids of the keys that the store knows now: those that it may hold secrets under, the first one among them. A
    /// change of keys is done when that is the only one, whoever heard of the answers in between.
    pub known: Vec<String>,
}

/// The record that a secret belongs to. A sealed secret opens for no other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) id: WebConfigId,
    pub(crate) account_id: &'a AccountId,
    pub(crate) context_id: &'a ContextId,
    pub(crate) generation: Generation,
}

impl<'a> Binding<'a> {
    pub(crate) const fn of(config: &'a WebConfig) -> Self {
        Self {
            id: config.id,
            account_id: &config.account_id,
            context_id: &config.context_id,
            generation: config.generation,
        }
    }

    fn bind(&self, format: i16, associated: Associated) -> Associated {
        associated
            .field(b"voicegain-auth secret")
            .field(&format.to_be_bytes())
            .field(self.id.as_bytes())
            .field(self.account_id.as_str().as_bytes())
            .field(self.context_id.as_str().as_bytes())
            .field(&self.generation.get().to_be_bytes())
    }
}

/// A secret as a store keeps it.
#[derive(Clone)]
pub(crate) struct SealedSecret {
    /// [`PLAIN`](Self::PLAIN) or [`SEALED`](Self::SEALED).
    pub(crate) format: i16,
    /// Which key it is sealed under; `None` if it is plain.
    pub(crate) key_id: Option<String>,
    /// The secret, or nonce, ciphertext and tag.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl SealedSecret {
    /// The format of a secret that is not sealed.
    pub(crate) const PLAIN: i16 = 0;
    /// The format of a secret that is sealed as this version does it.
    pub(crate) const SEALED: i16 = 1;
}

impl Sealing {
    /// What a store is to keep of a secret.
    pub(crate) fn seal(&self, secret: &Secret, binding: &Binding<'_>) -> Result<SealedSecret, SealError> {
        let (format, key_id, bytes) = match self {
            Self::Plain => (SealedSecret::PLAIN, None, secret.expose().to_vec()),
            Self::Keys(keys) => {
                let (format, key_id) = (SealedSecret::SEALED, keys.first_id());
                let bytes = keys.seal(&key_id, secret.expose(), |bound| binding.bind(format, bound))?;
                (format, Some(key_id.to_string()), bytes)
            }
        };
        Ok(SealedSecret { format, key_id, bytes: Zeroizing::new(bytes) })
    }

    /// The secret that a store has kept. What is not sealed the way this store is does not count, or whoever can
    /// write to the store could put a plain secret of their own in the place of a sealed one.
    pub(crate) fn open(&self, sealed: &SealedSecret, binding: &Binding<'_>) -> Result<Secret, SealError> {
        match (self, sealed.format) {
            (Self::Plain, SealedSecret::PLAIN) => Ok(Secret::from_bytes(&sealed.bytes)?),
            (Self::Plain, SealedSecret::SEALED) => Err(SealError::Sealed),
            (Self::Keys(_), SealedSecret::PLAIN) => Err(SealError::NotSealed),
            (Self::Keys(keys), SealedSecret::SEALED) => {
                let key_id = sealed.key_id.as_deref().ok_or(SealError::NoKeyId)?;
                let plain = keys.open(key_id, &sealed.bytes, |bound| binding.bind(sealed.format, bound))?;
                Ok(Secret::from_bytes(&plain)?)
            }
            (_, format) => Err(SealError::UnknownFormat(format)),
        }
    }

    /// The same keys, which nobody replaces meanwhile.
    pub(crate) fn snapshot(&self) -> Self {
        match self {
            Self::Plain => Self::Plain,
            Self::Keys(keys) => Self::Keys(keys.snapshot()),
        }
    }

    /// Whether these keys may take the place of the present ones, as far as this process can tell.
    pub(crate) fn may_adopt(&self, keys: &MasterKeys) -> Result<(), StoreError> {
        self.snapshot().adopt(keys)
    }

    /// Seals and opens with these keys from now on, and so does everything that shares the present ones.
    pub(crate) fn adopt(&self, keys: &MasterKeys) -> Result<(), StoreError> {
        match self {
            Self::Plain => Err(StoreError::unavailable(SealingMismatch::StoreIsPlain)),
            Self::Keys(present) => present.replace(keys).map_err(StoreError::unavailable),
        }
    }

    /// The id of the key that seals.
    pub(crate) fn first_id(&self) -> Result<Arc<str>, SealError> {
        match self {
            Self::Plain => Err(SealError::NothingToReseal),
            Self::Keys(keys) => Ok(keys.first_id()),
        }
    }

    /// The same secret under the first key.
    pub(crate) fn reseal(&self, sealed: &SealedSecret, binding: &Binding<'_>) -> Result<Anew, SealError> {
        let first = self.first_id()?;
        if sealed.format == SealedSecret::SEALED && sealed.key_id.as_deref() == Some(&*first) {
            return Ok(Anew::UpToDate);
        }
        match self.open(sealed, binding) {
            Ok(secret) => self.seal(&secret, binding).map(Anew::Sealed),
            Err(error) => {
                skip(binding.id, &error.into());
                Ok(Anew::Skipped)
            }
        }
    }
}

/// What became of a secret that was to be sealed anew.
pub(crate) enum Anew {
    /// It is under the first key already.
    UpToDate,
    /// It is to be put in the place of what is there.
    Sealed(SealedSecret),
    /// It could not be opened, which is in the log.
    Skipped,
}

/// Logs that a web config is left out when secrets are sealed anew.
pub(crate) fn skip(id: WebConfigId, error: &StoreError) {
    tracing::warn!(
        web_config = %id,
        error = error.chain(),
        "a secret was not sealed anew: give this process the key that it is under, or regenerate or delete its web config"
    );
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::line;
    use super::*;

    /// The fields of a binding, to be changed one by one.
    #[derive(Clone)]
    struct Record {
        id: WebConfigId,
        account_id: AccountId,
        context_id: ContextId,
        generation: Generation,
    }

    impl Record {
        fn new() -> Self {
            Self {
                id: WebConfigId::from_bytes([7; 16]),
                account_id: "account".parse().unwrap(),
                context_id: "context".parse().unwrap(),
                generation: Generation::FIRST,
            }
        }

        fn binding(&self) -> Binding<'_> {
            let Self { id, account_id, context_id, generation } = self;
            Binding { id: *id, account_id, context_id, generation: *generation }
        }
    }

    fn keys(keys: &[(&str, u8)]) -> Sealing {
        let text: String = keys.iter().map(|(id, byte)| line(id, *byte)).collect();
        MasterKeys::parse(&text).unwrap().into()
    }

    fn secret() -> Secret {
        Secret::generate().unwrap()
    }

    #[test]
    fn secrets_of_every_length_open_again() {
        let (sealing, record) = (keys(&[("a", 1)]), Record::new());
        for length in [32, 33, 256] {
            let secret = Secret::from_bytes(&vec![length as u8; length]).unwrap();
            let sealed = sealing.seal(&secret, &record.binding()).unwrap();
            assert_eq!((sealed.format, sealed.key_id.as_deref()), (1, Some("a")));
            assert!(!sealed.bytes.windows(8).any(|window| window == &secret.expose()[..8]));
            assert_eq!(sealing.open(&sealed, &record.binding()), Ok(secret));
        }
    }

    #[test]
    fn every_bound_field_counts() {
        let (sealing, record) = (keys(&[("a", 1), ("b", 1 << 1)]), Record::new());
        let sealed = sealing.seal(&secret(), &record.binding()).unwrap();
        let does_not_open = Err(SealError::DoesNotOpen("a".to_owned()));
        let others = [
            Record { id: WebConfigId::from_bytes([8; 16]), ..record.clone() },
            Record { account_id: "other".parse().unwrap(), ..record.clone() },
            Record { context_id: "other".parse().unwrap(), ..record.clone() },
            Record { generation: Generation::new(2), ..record.clone() },
            // The same characters, divided in another way.
            Record {
                account_id: "accountc".parse().unwrap(),
                context_id: "ontext".parse().unwrap(),
                ..record.clone()
            },
            Record {
                account_id: "context".parse().unwrap(),
                context_id: "account".parse().unwrap(),
                ..record.clone()
            },
        ];
        for other in others {
            assert_eq!(sealing.open(&sealed, &other.binding()), does_not_open);
        }
        // The format and the key id, where nothing else differs.
        let raw = |format: i16, key_id: &str| {
            let Sealing::Keys(keys) = keys(&[("a", 1)]) else { unreachable!() };
            keys.open(key_id, &sealed.bytes, |bound| record.binding().bind(format, bound))
        };
        assert!(raw(1, "a").is_ok());
        assert_eq!(raw(2, "a"), Err(SealError::DoesNotOpen("a".to_owned())));
        let renamed = SealedSecret { key_id: Some("c".to_owned()), ..sealed.clone() };
        assert_eq!(
            keys(&[("c", 1)]).open(&renamed, &record.binding()),
            Err(SealError::DoesNotOpen("c".to_owned()))
        );
        assert!(sealing.open(&sealed, &record.binding()).is_ok());
    }

    #[test]
    fn a_check_value_is_no_secret() {
        let Sealing::Keys(keys) = keys(&[("a", 1)]) else { unreachable!() };
        let check = keys.check_value("a").unwrap();
        let sealed = SealedSecret { format: 1, key_id: Some("a".to_owned()), bytes: Zeroizing::new(check) };
        let opened = Sealing::Keys(keys).open(&sealed, &Record::new().binding());
        assert_eq!(opened, Err(SealError::DoesNotOpen("a".to_owned())));
    }

    #[test]
    fn another_key_does_not_open_and_an_unknown_one_is_named() {
        let record = Record::new();
        let sealed = keys(&[("a", 1)]).seal(&secret(), &record.binding()).unwrap();
        let open = |sealing: Sealing| sealing.open(&sealed, &record.binding());
        assert_eq!(open(keys(&[("a", 2)])), Err(SealError::DoesNotOpen("a".to_owned())));
        let unknown = open(keys(&[("b", 1)])).unwrap_err();
        assert_eq!(unknown, SealError::UnknownKey("a".to_owned()));
        assert!(unknown.to_string().contains("master key a, which"), "{unknown}");
        assert!(open(keys(&[("b", 2), ("a", 1)])).is_ok(), "all keys open");
    }

    #[test]
    fn sealing_one_secret_twice_gives_two_texts() {
        let (sealing, record, secret) = (keys(&[("a", 1)]), Record::new(), secret());
        let [one, two] = [(); 2].map(|()| sealing.seal(&secret, &record.binding()).unwrap().bytes);
        assert_ne!(one, two);
    }

    #[test]
    fn what_is_not_sealed_the_stores_way_does_not_count() {
        let (record, secret) = (Record::new(), secret());
        let plain = Sealing::Plain.seal(&secret, &record.binding()).unwrap();
        assert_eq!((plain.format, &plain.key_id), (0, &None));
        assert_eq!(plain.bytes.as_slice(), secret.expose());
        assert_eq!(Sealing::Plain.open(&plain, &record.binding()), Ok(secret.clone()));
        let sealing = keys(&[("a", 1)]);
        assert_eq!(sealing.open(&plain, &record.binding()), Err(SealError::NotSealed));
        let mut sealed = sealing.seal(&secret, &record.binding()).unwrap();
        assert_eq!(Sealing::Plain.open(&sealed, &record.binding()), Err(SealError::Sealed));
        sealed.key_id = None;
        assert_eq!(sealing.open(&sealed, &record.binding()), Err(SealError::NoKeyId));
        for format in [-1, 2, i16::MAX] {
            sealed.format = format;
            for sealing in [&sealing, &Sealing::Plain] {
                let opened = sealing.open(&sealed, &record.binding());
                assert_eq!(opened, Err(SealError::UnknownFormat(format)));
            }
        }
        let short = SealedSecret { bytes: Zeroizing::new(vec![1; 31]), ..plain };
        assert!(matches!(Sealing::Plain.open(&short, &record.binding()), Err(SealError::Invalid(_))));
    }

    #[test]
    fn a_secret_moves_to_the_first_key_once() {
        let (record, secret) = (Record::new(), secret());
        let sealed = keys(&[("old", 1)]).seal(&secret, &record.binding()).unwrap();
        let both = keys(&[("new", 2), ("old", 1)]);
        let Anew::Sealed(moved) = both.reseal(&sealed, &record.binding()).unwrap() else {
            panic!("not moved")
        };
        assert_eq!(moved.key_id.as_deref(), Some("new"));
        assert!(matches!(both.reseal(&moved, &record.binding()), Ok(Anew::UpToDate)));
        assert_eq!(keys(&[("new", 2)]).open(&moved, &record.binding()), Ok(secret));
        let plain = Sealing::Plain.reseal(&sealed, &record.binding());
        assert_eq!(plain.err(), Some(SealError::NothingToReseal));
    }

    #[test]
    fn what_does_not_open_is_skipped() {
        let (record, both) = (Record::new(), keys(&[("new", 2), ("old", 1)]));
        let sealed = keys(&[("old", 1)]).seal(&secret(), &record.binding()).unwrap();
        let skipped = |sealing: &Sealing, sealed: &SealedSecret| {
            matches!(sealing.reseal(sealed, &record.binding()), Ok(Anew::Skipped))
        };
        assert!(skipped(&keys(&[("new", 2)]), &sealed), "under a key that is not there");
        assert!(!skipped(&both, &sealed), "the control");
        let mut damaged = sealed.clone();
        damaged.bytes[30] ^= 1;
        assert!(skipped(&both, &damaged));
        assert!(skipped(&both, &SealedSecret { key_id: None, ..sealed.clone() }));
        assert!(skipped(&both, &SealedSecret { format: 7, ..sealed }));
        // A plain secret does not become a sealed one by the way.
        assert!(skipped(&both, &Sealing::Plain.seal(&secret(), &record.binding()).unwrap()));
    }

    #[test]
    fn a_snapshot_keeps_its_keys() {
        let held = MasterKeys::parse(&line("old", 1)).unwrap();
        let sealing = Sealing::Keys(held.clone());
        let snapshot = sealing.snapshot();
        held.replace(&MasterKeys::parse(&line("new", 2)).unwrap()).unwrap();
        assert_eq!(&*snapshot.first_id().unwrap(), "old");
        assert_eq!(&*sealing.first_id().unwrap(), "new");
    }
}
