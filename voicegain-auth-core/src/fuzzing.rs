//! Doors for the project's own fuzzing, which asks what no user may. Built with `--cfg fuzzing` alone, and no part of the
//! public interface.

pub use crate::jws::doors::{Reading, is_known, readings};

use crate::json::{JsonError, Object, max_members, with_names};

/// The names of a JSON object's members, if the strict reader takes it (rule W5). At most 8,192 bytes.
pub fn member_names(json: &[u8]) -> Option<Vec<String>> {
    debug_assert!(max_members(json.len()) <= max_members(8_192));
    let mut text = json.to_vec();
    let names = with_names(&mut text, |text, names| {
        let mut object = Object::open(text, names)?;
        let mut found = Vec::new();
        while let Some(name) = object.next_member()? {
            found.push(String::from_utf8_lossy(object.slice(name)).into_owned());
            object.skip()?;
        }
        object.finish()?;
        Ok::<_, JsonError>(found)
    });
    names.ok()
}
