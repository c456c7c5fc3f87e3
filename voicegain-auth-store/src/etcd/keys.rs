//! Where things are kept below the prefix.

use voicegain_auth_core::store::{Revision, Scope};
use voicegain_auth_core::{AccountId, ContextId, WebConfigId};

/// The names of all keys of one store.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Ends without a slash.
    prefix: String,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// As the operator named it.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// What all keys of the store begin with.
    pub(super) fn all(&self) -> String {
        self.key("")
    }

    /// The log's head: what every change moves, and nothing else does.
    pub(super) fn head(&self) -> String {
        self.key("head")
    }

    pub(super) fn meta(&self) -> String {
        self.key("meta/")
    }

    /// The kind of the store, written once.
    pub(super) fn store(&self) -> String {
        self.key("meta/store")
    }

    /// What all key checks begin with.
    pub(super) fn key_checks(&self) -> String {
        self.key("meta/keys/")
    }

    /// The value that tells whether a master key is the one known under this id. Key ids need no escaping.
    pub(super) fn key_check(&self, key_id: &str) -> String {
        self.key_checks() + key_id
    }

    /// A key that is never there.
    pub(super) fn nothing(&self) -> String {
        self.key("nothing")
    }

    pub(super) fn log(&self) -> String {
        self.key("log/")
    }

    /// Twenty digits hold every revision, and sort as numbers do.
    pub(super) fn log_entry(&self, revision: Revision) -> String {
        format!("{}{:020}", self.log(), revision.get())
    }

    pub(super) fn configs(&self) -> String {
        self.key("configs/")
    }

    pub(super) fn config(&self, id: WebConfigId) -> String {
        format!("{}{id}", self.configs())
    }

    /// The last generation of a deleted web config (rule W7).
    pub(super) fn ended(&self, id: WebConfigId) -> String {
        self.key(&format!("ended/{id}"))
    }

    /// The last day on which a web config was used.
    pub(super) fn used(&self, id: WebConfigId) -> String {
        self.key(&format!("uses/{id}"))
    }

    pub(super) fn account(&self, account: &AccountId) -> String {
        self.key(&format!("contexts/{}/", escape(account.as_str())))
    }

    pub(super) fn context(&self, account: &AccountId, context: &ContextId) -> String {
        format!("{}{}/", self.account(account), escape(context.as_str()))
    }

    /// What finds a web config by its account and context.
    pub(super) fn index(&self, account: &AccountId, context: &ContextId, id: WebConfigId) -> String {
        format!("{}{id}", self.context(account, context))
    }

    pub(super) fn scope(&self, scope: &Scope) -> String {
        match scope {
            Scope::Account(account) => self.account(account),
            Scope::Context(account, context) => self.context(account, context),
        }
    }

    pub(super) fn markers(&self) -> String {
        self.key("markers/")
    }

    /// The revision of the last bulk end of an account.
    pub(super) fn account_marker(&self, account: &AccountId) -> String {
        self.key(&format!("markers/accounts/{}", escape(account.as_str())))
    }

    /// The revision of the last bulk end of one context.
    pub(super) fn context_marker(&self, account: &AccountId, context: &ContextId) -> String {
        self.key(&format!("markers/contexts/{}/{}", escape(account.as_str()), escape(context.as_str())))
    }

    pub(super) fn marker(&self, scope: &Scope) -> String {
        match scope {
            Scope::Account(account) => self.account_marker(account),
            Scope::Context(account, context) => self.context_marker(account, context),
        }
    }
}

/// The first key after all that begin like this. What is passed ends with a slash, the byte before the zero.
pub(super) fn end_of(keys: &str) -> String {
    let mut end = keys.to_owned();
    end.pop();
    end.push('0');
    end
}

/// The first key after this one.
pub(super) fn after(key: &str) -> String {
    let mut after = key.to_owned();
    after.push('\0');
    after
}

/// The id that a key ends with.
pub(super) fn id_of(key: &[u8]) -> Option<WebConfigId> {
    WebConfigId::parse(key.rsplit(|byte| *byte == b'/').next()?).ok()
}

/// Which web config an index key finds, and whose it is.
pub(super) fn read_index(keys: &Keys, key: &[u8]) -> Option<(AccountId, ContextId, WebConfigId)> {
    let key = str::from_utf8(key).ok()?.strip_prefix(&keys.key("contexts/"))?;
    let mut parts = key.split('/');
    let account = unescape(parts.next()?).parse().ok()?;
    let context = unescape(parts.next()?).parse().ok()?;
    let id = parts.next()?.parse().ok()?;
    Some((account, context, id))
}

/// Account and context ids may hold slashes, which end a part of a key here: `/` and the escaping `%` itself
/// are written as in URLs, so that no two ids are written alike, and none covers another.
fn escape(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for character in id.chars() {
        match character {
            '%' => escaped.push_str("%25"),
            '/' => escaped.push_str("%2F"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescape(part: &str) -> String {
    // In this order, or `%252F` would become a slash.
    part.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys() -> Keys {
        Keys::new("/p".to_owned())
    }

    #[test]
    fn no_account_or_context_covers_another() {
        let ids =
            ["a", "a/", "/a", "a/b", "a%2Fb", "a%", "a%25", "%", "/", "//", "b", "ab", "A", "a0", "a\u{7e}"];
        let mut seen = BTreeSet::new();
        let id = WebConfigId::generate().unwrap();
        for account in ids {
            for context in ids {
                let (account, context) = (account.parse().unwrap(), context.parse().unwrap());
                assert!(seen.insert(keys().context(&account, &context)), "{account} {context}");
                let index = keys().index(&account, &context, id);
                assert_eq!(read_index(&keys(), index.as_bytes()), Some((account, context, id)));
            }
        }
        for one in &seen {
            for other in &seen {
                assert!(one == other || !other.starts_with(one.as_str()), "{one} covers {other}");
            }
        }
        let account = keys().account(&"a".parse().unwrap());
        let inside =
            seen.iter().filter(|key| (account.as_str()..end_of(&account).as_str()).contains(&key.as_str()));
        assert_eq!(inside.count(), ids.len(), "an account's range holds its own contexts alone");
    }

    #[test]
    fn markers_of_accounts_and_contexts_differ() {
        let account = keys().account_marker(&"a/b".parse().unwrap());
        let context = keys().context_marker(&"a".parse().unwrap(), &"b".parse().unwrap());
        assert_eq!(account, "/p/markers/accounts/a%2Fb");
        assert_eq!(context, "/p/markers/contexts/a/b");
    }

    #[test]
    fn log_keys_sort_as_numbers() {
        let key = |number| keys().log_entry(Revision::new(number));
        assert!(key(9) < key(10) && key(10) < key(u64::MAX));
        assert_eq!(key(0), "/p/log/00000000000000000000");
        assert!(key(u64::MAX) < end_of(&keys().log()));
    }

    #[test]
    fn an_id_is_read_from_the_end_of_a_key() {
        let id: WebConfigId = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729".parse().unwrap();
        assert_eq!(id_of(keys().config(id).as_bytes()), Some(id));
        assert_eq!(id_of(b"/p/configs/none"), None);
    }
}
