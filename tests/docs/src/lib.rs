//! The Rust of the pages that belong to no crate, compiled as documentation tests. Each crate has its own README for that.

/// Documentation tests for each of these pages, whose paths are from the repository's root.
macro_rules! pages {
    ($($page:literal)*) => {
        $(
            // Read for these tests alone: a copy of the sources without `docs` builds too.
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../", $page))]
            const _: () = ();
        )*

        #[cfg(test)]
        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    "README.md"
    "docs/guide/adopting.md"
    "docs/migrating/from-actix-web-httpauth.md"
    "docs/migrating/from-axum-jwt-auth.md"
    "docs/migrating/from-jwt-authorizer.md"
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::PAGES;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// The pages below a folder, their paths from the root.
    fn below(folder: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                below(&path, found);
            } else if path.ends_with(".md") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_page_with_rust_is_compiled() {
        let mut found = Vec::new();
        for folder in ["docs", "deploy"] {
            below(folder, &mut found);
        }
        for page in found {
            let has_rust = fs::read_to_string(root().join(&page)).unwrap().contains("```rust");
            assert!(
                !has_rust || PAGES.contains(&page.as_str()),
                "{page} has Rust that nothing compiles: name it in pages!"
            );
        }
    }

    /// What another crate's users have *before* they migrate is not ours to compile.
    #[test]
    fn nothing_else_is_left_out() {
        for page in PAGES {
            let mut heading = String::new();
            for line in fs::read_to_string(root().join(page)).unwrap().lines() {
                if line.starts_with("## ") {
                    line.clone_into(&mut heading);
                }
                let is_left_out = line.trim_start().starts_with("```rust") && line.contains("ignore");
                assert!(!is_left_out || heading == "## Before", "{page}: {line} below {heading}");
            }
        }
    }
}
