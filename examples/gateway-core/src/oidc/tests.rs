use super::*;

/// What is said of these flags.
fn of(words: &[&str]) -> Result<bool, String> {
    let args = crate::cli::serving(words);
    sign_in(&args).map(|found| found.is_some()).map_err(|error| error.to_string())
}

#[test]
fn without_the_flags_there_is_none() {
    assert_eq!(of(&[]), Ok(false));
}

#[cfg(not(feature = "oidc"))]
#[test]
fn a_build_without_it_says_how_to_have_it() {
    for words in [["--oidc-issuer", "https://id.example"], ["--oidc-allow", "sub:1"]] {
        let error = of(&words).unwrap_err();
        assert!(error.starts_with(words[0]) && error.ends_with("--features oidc`"), "{error}");
    }
}

#[cfg(feature = "oidc")]
#[test]
fn what_is_wrong_is_said_by_the_flags_name() {
    const WHOLE: [&str; 8] = [
        "--oidc-issuer",
        "https://id.example",
        "--oidc-client-id",
        "console",
        "--oidc-redirect-url",
        "https://gateway.example/console/oidc/callback",
        "--oidc-allow",
        "email:ann@example.com",
    ];
    assert_eq!(of(&WHOLE), Ok(true));
    assert_eq!(
        of(&[&WHOLE[..], &["--oidc-allow", "group:ops", "--oidc-scope", "groups"]].concat()),
        Ok(true)
    );
    for left_out in [0, 2, 4, 6] {
        let words = [&WHOLE[..left_out], &WHOLE[left_out + 2..]].concat();
        let error = of(&words).unwrap_err();
        assert!(error.contains(&format!("without {};", WHOLE[left_out])), "{error}");
    }
    for (at, value) in
        [(1, "http://id.example"), (5, "https://gateway.example/callback"), (7, "ann@example.com")]
    {
        let mut words = WHOLE;
        words[at] = value;
        let error = of(&words).unwrap_err();
        assert!(error.starts_with(&format!("{}: ", WHOLE[at - 1])), "{error}");
    }
    let place = tempfile::TempDir::new().unwrap();
    let file = place.path().join("secret");
    let path = file.to_str().unwrap();
    let with_file = [&WHOLE[..], &["--oidc-client-secret-file", path]].concat();
    assert!(of(&with_file).unwrap_err().starts_with(&format!("--oidc-client-secret-file {path}: ")));
    std::fs::write(&file, " the-secret\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = of(&with_file).unwrap_err();
        assert!(error.contains("chmod 600") && !error.contains("the-secret"), "{error}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(of(&with_file), Ok(true));
    std::fs::write(&file, " \n").unwrap();
    assert!(of(&with_file).unwrap_err().contains("the file is empty"));
}
