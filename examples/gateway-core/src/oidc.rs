//! Sign-in to the console by OpenID Connect, as the flags have it.

use std::io;
use std::path::PathBuf;

use crate::cli::Args;
use crate::private_file::Exposure;

/// Why nobody could sign in so. None of it shows the client's secret.
#[derive(Debug, thiserror::Error)]
pub enum OidcProblem {
    /// This program was built without it.
    #[error(
        "--{0}: this gateway was built without OpenID Connect; build one with `cargo build --release -p {1} --features oidc`"
    )]
    NotBuiltIn(&'static str, &'static str),
    /// A flag is there and one that it needs is not.
    #[error("--{given} does nothing without --{missing}; give that too, or leave out all of --oidc-…")]
    Missing {
        /// The flag that is there.
        given: &'static str,
        /// The one that it needs.
        missing: &'static str,
    },
    /// A setting cannot work.
    #[error("--{0}: {1}")]
    Setting(&'static str, String),
    /// The file with the client's secret cannot be read.
    #[error("--oidc-client-secret-file {0}: {1}")]
    SecretFile(PathBuf, #[source] io::Error),
    /// It is not for its owner alone.
    #[error("--oidc-client-secret-file {0}: {1}")]
    ExposedSecretFile(PathBuf, #[source] Exposure),
    /// There is none in it.
    #[error(
        "--oidc-client-secret-file {0}: the file is empty; write the client's secret into it, or leave out the flag"
    )]
    EmptySecretFile(PathBuf),
}

impl OidcProblem {
    /// The flag that it comes from.
    pub(crate) fn flag(&self) -> &'static str {
        match self {
            Self::NotBuiltIn(flag, _) | Self::Setting(flag, _) | Self::Missing { given: flag, .. } => flag,
            Self::SecretFile(..) | Self::ExposedSecretFile(..) | Self::EmptySecretFile(_) => {
                "oidc-client-secret-file"
            }
        }
    }
}

/// The first of these flags that is given, if one is.
fn given(args: &Args) -> Option<&'static str> {
    let oidc = &args.oidc;
    [
        ("oidc-issuer", oidc.oidc_issuer.is_some()),
        ("oidc-client-id", oidc.oidc_client_id.is_some()),
        ("oidc-client-secret-file", oidc.oidc_client_secret_file.is_some()),
        ("oidc-redirect-url", oidc.oidc_redirect_url.is_some()),
        ("oidc-allow", !oidc.oidc_allow.is_empty()),
        ("oidc-scope", !oidc.oidc_scope.is_empty()),
    ]
    .into_iter()
    .find_map(|(flag, is_given)| is_given.then_some(flag))
}

#[cfg(not(feature = "oidc"))]
mod built {
    use std::convert::Infallible;

    use voicegain_auth_console::AdminApiBuilder;

    use super::{Args, OidcProblem, given};

    /// How operators sign in.
    pub(crate) type SignIn = Infallible;

    pub(crate) fn sign_in(args: &Args) -> Result<Option<SignIn>, OidcProblem> {
        given(args).map_or(Ok(None), |flag| Err(OidcProblem::NotBuiltIn(flag, args.program)))
    }

    pub(crate) fn add(admin: AdminApiBuilder, sign_in: Option<SignIn>) -> AdminApiBuilder {
        match sign_in {
            None => admin,
            Some(never) => match never {},
        }
    }
}

#[cfg(feature = "oidc")]
mod built {
    use std::path::Path;

    use voicegain_auth_console::{AdminApiBuilder, AllowRule, OidcConfig, OidcConfigError};
    use zeroize::Zeroizing;

    use super::{Args, OidcProblem, given};
    use crate::private_file;

    /// How operators sign in.
    pub(crate) type SignIn = OidcConfig;

    pub(crate) fn sign_in(args: &Args) -> Result<Option<SignIn>, OidcProblem> {
        let Some(given) = given(args) else { return Ok(None) };
        let oidc = &args.oidc;
        let needed =
            |value: &'_ Option<String>, missing| value.clone().ok_or(OidcProblem::Missing { given, missing });
        let issuer = needed(&oidc.oidc_issuer, "oidc-issuer")?;
        let client_id = needed(&oidc.oidc_client_id, "oidc-client-id")?;
        let redirect_url = needed(&oidc.oidc_redirect_url, "oidc-redirect-url")?;
        if oidc.oidc_allow.is_empty() {
            return Err(OidcProblem::Missing { given, missing: "oidc-allow" });
        }
        let rule = |text: &String| {
            let rule = text.parse::<AllowRule>();
            rule.map_err(|error| OidcProblem::Setting("oidc-allow", format!("`{text}`: {error}")))
        };
        let rules = oidc.oidc_allow.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        let config = OidcConfig::new(&issuer, &client_id, &redirect_url, rules)
            .map_err(|error| OidcProblem::Setting(flag_of(&error), error.to_string()))?;
        let config = match &oidc.oidc_client_secret_file {
            Some(file) => config.client_secret(&secret(file)?),
            None => config,
        };
        let scopes = oidc.oidc_scope.clone();
        Ok(Some(if scopes.is_empty() { config } else { config.scopes(scopes) }))
    }

    pub(crate) fn add(admin: AdminApiBuilder, sign_in: Option<SignIn>) -> AdminApiBuilder {
        match sign_in {
            None => admin,
            Some(config) => admin.oidc(config),
        }
    }

    fn flag_of(error: &OidcConfigError) -> &'static str {
        match error {
            OidcConfigError::ClientId => "oidc-client-id",
            OidcConfigError::RedirectUrl(_) | OidcConfigError::Callback => "oidc-redirect-url",
            OidcConfigError::NobodyAllowed => "oidc-allow",
            _ => "oidc-issuer",
        }
    }

    fn secret(file: &Path) -> Result<Zeroizing<String>, OidcProblem> {
        let (text, privacy) =
            private_file::read(file).map_err(|error| OidcProblem::SecretFile(file.to_owned(), error))?;
        privacy.map_err(|exposure| OidcProblem::ExposedSecretFile(file.to_owned(), exposure))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(OidcProblem::EmptySecretFile(file.to_owned()));
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

pub(crate) use built::{SignIn, add, sign_in};

#[cfg(test)]
mod tests;
