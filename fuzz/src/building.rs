//! How the targets are built.

use std::process::Command;

use fuzz_run::Target;

use crate::Place;

/// What opens the doors for fuzzing.
const RUSTFLAGS: &str = "--cfg fuzzing";
/// SQLite takes minutes at more than this. It is not to count its memory behind a lock.
const CFLAGS: &str = "-fsanitize=address -fno-omit-frame-pointer -O1 -DSQLITE_DEFAULT_MEMSTATUS=0";

/// For everything but the Public Suffix List.
const SANITIZED: [&str; 3] = ["-Zsanitizer=address", "-Zub-checks=no", SHARED];
const SHARED: &str = "-Zshare-generics=yes";

/// The list is generic, so that its quarter of a million branches are compiled into whoever asks it, to be the most of what there is to
/// build, and each with a counter. It has no unsafe word: it is compiled once, by itself, for others to share.
const LIST: (&str, [&str; 2]) = ("psl", ["-Clink-dead-code", SHARED]);

/// What counts coverage, and where: in what reads strangers' bytes. Not in ciphers, hashes and the reference, which would take most
/// of the time and have nothing to find. Comparisons of integers are not traced either, as that would take up to half of the time; those of
/// texts are, by the sanitizer.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];
const COVERED: [&str; 8] = [
    "voicegain-auth-core",
    "voicegain-auth-store",
    "voicegain-auth-console",
    "voicegain-auth-fuzz",
    "base64-simd",
    "form_urlencoded",
    "idna",
    "uuid",
];

impl Place {
    /// Whether that went well.
    pub fn build(&self, targets: &[&Target]) -> bool {
        let mut settings = vec![
            format!("profile.release.rustflags={SANITIZED:?}"),
            "profile.release.build-override.rustflags=[]".to_owned(),
            format!("profile.release.package.{}.rustflags={:?}", LIST.0, LIST.1),
        ];
        let flags = [&SANITIZED[..], &COVERAGE].concat();
        settings
            .extend(COVERED.map(|package| format!("profile.release.package.{package}.rustflags={flags:?}")));
        let mut cargo = Command::new("cargo");
        cargo
            .args(["build", "--quiet", "--release", "--locked", "--target", &self.host])
            .args(["--package", "voicegain-auth-fuzz", "--features", "libfuzzer"])
            .arg("--target-dir")
            .arg(&self.output)
            .args(targets.iter().flat_map(|target| ["--bin", target.name]))
            .arg("-Zprofile-rustflags")
            .args(settings.iter().flat_map(|setting| ["--config", setting]))
            .current_dir(&self.fuzz)
            // The sanitizer is not stable yet; the compiler is the same.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", RUSTFLAGS)
            .env(format!("CFLAGS_{}", self.host.replace('-', "_")), CFLAGS);
        cargo.status().expect("cargo").success()
    }
}
