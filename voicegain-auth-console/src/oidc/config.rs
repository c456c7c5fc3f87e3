use std::fmt;
use std::io;

use openidconnect::url::{ParseError, Url};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl, Scope};

use super::AllowRule;
use super::http::{Http, is_safe};

/// Where the console takes the provider's answers, on its own paths and on those of the admin port.
pub(crate) const CALLBACK: &str = "/oidc/callback";
const WHOLE_CALLBACK: &str = "/console/oidc/callback";

/// How operators sign in to the console by OpenID Connect: the provider, what it knows the console by, and who may.
#[derive(Clone)]
pub struct OidcConfig {
    pub(super) issuer: IssuerUrl,
    pub(super) client_id: ClientId,
    pub(super) client_secret: Option<ClientSecret>,
    pub(super) redirect_url: RedirectUrl,
    pub(super) allow: Vec<AllowRule>,
    pub(super) scopes: Vec<Scope>,
    pub(super) http: Http,
}

/// Nobody could sign in like this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcConfigError {
    /// The issuer is none.
    #[error("the issuer {0}")]
    Issuer(UrlProblem),
    /// The client has no id.
    #[error("the client id is empty; take the one that the provider has given this console")]
    ClientId,
    /// The redirect URL is none.
    #[error("the redirect URL {0}")]
    RedirectUrl(UrlProblem),
    /// It leads elsewhere.
    #[error("the redirect URL must be the console's public one, which ends in {WHOLE_CALLBACK}")]
    Callback,
    /// There is no rule that lets somebody in.
    #[error("nobody is allowed to sign in; give at least one rule, such as email:ann@example.com")]
    NobodyAllowed,
    /// The system has no certificates to trust.
    #[error(
        "the system's certificate authorities cannot be read ({0}); install them (in Debian: ca-certificates), or name a file \
         of them in the environment variable SSL_CERT_FILE"
    )]
    CertificateAuthorities(#[source] io::Error),
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// It cannot be read.
    #[error("is no URL: {0}; write it as in https://id.example/realms/ops")]
    Unreadable(#[from] ParseError),
    /// Others on the network could read and change what is sent there.
    #[error("must begin with https:// (http:// is for localhost, 127.0.0.1 and [::1] alone)")]
    NotSafe,
    /// There is more to it than fits.
    #[error("must have no user, no query (?…) and no fragment (#…)")]
    Overlong,
}

impl OidcConfig {
    /// Signs in with the provider that is this issuer whom one of the rules allows. The provider knows the console by this
    /// client id and this redirect URL, which is the public one of the console's `/oidc/callback`, as in
    /// `https://gateway.example/console/oidc/callback`. The admin port answers to its host as `Host`.
    ///
    /// # Errors
    /// If one of them cannot be, or the system has no certificate authorities to trust.
    pub fn new(
        issuer: &str,
        client_id: &str,
        redirect_url: &str,
        allow: impl IntoIterator<Item = AllowRule>,
    ) -> Result<Self, OidcConfigError> {
        checked(issuer).map_err(OidcConfigError::Issuer)?;
        if client_id.is_empty() {
            return Err(OidcConfigError::ClientId);
        }
        if !checked(redirect_url).map_err(OidcConfigError::RedirectUrl)?.path().ends_with(WHOLE_CALLBACK) {
            return Err(OidcConfigError::Callback);
        }
        let allow: Vec<_> = allow.into_iter().collect();
        if allow.is_empty() {
            return Err(OidcConfigError::NobodyAllowed);
        }
        // As they were written: the provider compares texts.
        let issuer =
            IssuerUrl::new(issuer.to_owned()).map_err(|error| OidcConfigError::Issuer(error.into()))?;
        let redirect_url = RedirectUrl::new(redirect_url.to_owned())
            .map_err(|error| OidcConfigError::RedirectUrl(error.into()))?;
        Ok(Self {
            issuer,
            client_id: ClientId::new(client_id.to_owned()),
            client_secret: None,
            redirect_url,
            allow,
            scopes: vec![Scope::new("email".to_owned())],
            http: Http::new().map_err(OidcConfigError::CertificateAuthorities)?,
        })
    }

    /// What the console proves to the provider that it is itself with. Without one it is a public client, by PKCE alone.
    #[must_use]
    pub fn client_secret(mut self, secret: &str) -> Self {
        self.client_secret = Some(ClientSecret::new(secret.to_owned()));
        self
    }

    /// The scopes to ask for besides `openid`; `email` by default.
    #[must_use]
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = String>) -> Self {
        self.scopes = scopes.into_iter().map(Scope::new).collect();
        self
    }

    /// The host and perhaps the port that browsers come to.
    pub(crate) fn authority(&self) -> String {
        self.redirect_url.url().authority().to_owned()
    }

    /// Whether browsers come by HTTPS.
    pub(crate) fn is_https(&self) -> bool {
        self.redirect_url.url().scheme() == "https"
    }
}

impl fmt::Debug for OidcConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcConfig").field("issuer", &self.issuer.as_str()).finish_non_exhaustive()
    }
}

fn checked(text: &str) -> Result<Url, UrlProblem> {
    let url = Url::parse(text)?;
    if !is_safe(url.scheme(), url.host_str().unwrap_or_default()) {
        return Err(UrlProblem::NotSafe);
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(UrlProblem::Overlong);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example/realms/ops";
    const REDIRECT: &str = "https://gateway.example/console/oidc/callback";

    fn new(issuer: &str, client_id: &str, redirect_url: &str, rules: &[&str]) -> Result<OidcConfig, String> {
        let rules = rules.iter().map(|rule| rule.parse().unwrap());
        OidcConfig::new(issuer, client_id, redirect_url, rules).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_work_is_said_before_anybody_tries() {
        assert!(new(ISSUER, "console", REDIRECT, &["sub:1"]).is_ok());
        assert!(
            new("http://localhost:8000", "console", "http://[::1]:1/x/console/oidc/callback", &["sub:1"])
                .is_ok()
        );
        for (issuer, client_id, redirect_url, rules, problem) in [
            ("id.example", "console", REDIRECT, &["sub:1"] as &[&str], "the issuer is no URL"),
            ("http://id.example", "console", REDIRECT, &["sub:1"], "the issuer must begin with https"),
            ("https://a:b@id.example", "console", REDIRECT, &["sub:1"], "the issuer must have no user"),
            ("https://id.example?a", "console", REDIRECT, &["sub:1"], "the issuer must have no user"),
            (ISSUER, "", REDIRECT, &["sub:1"], "the client id is empty"),
            (
                ISSUER,
                "console",
                "http://gateway.example/console/oidc/callback",
                &["sub:1"],
                "the redirect URL must begin",
            ),
            (
                ISSUER,
                "console",
                "https://gateway.example/callback",
                &["sub:1"],
                "the redirect URL must be the console's",
            ),
            (ISSUER, "console", REDIRECT, &[], "nobody is allowed"),
        ] {
            let error = new(issuer, client_id, redirect_url, rules).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = new(ISSUER, "console", REDIRECT, &["sub:1"]).unwrap().client_secret("the-secret");
        assert!(!format!("{config:?}").contains("the-secret"));
        assert_eq!((config.authority().as_str(), config.is_https()), ("gateway.example", true));
    }
}
