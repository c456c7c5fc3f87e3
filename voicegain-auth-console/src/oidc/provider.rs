//! What is asked of the provider, and what its answer is held against.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, Client, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenClaims,
    IdTokenFields, Nonce, PkceCodeChallenge, RequestTokenError, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};

use super::http::{HttpError, is_safe};
use super::person::shown;
use super::{Flow, OidcConfig, Person};

/// How long what the provider says of itself is kept.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// How much of an error's name is shown, in characters.
const ERROR_SHOWN: usize = 60;

/// What an ID token may be signed with. With a shared secret whoever has a copy of it could sign one too, and `none` is no
/// signature.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The claims besides those that every ID token may have.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
struct Groups {
    #[serde(default)]
    groups: OneOrMany,
}

impl AdditionalClaims for Groups {}

/// Some providers write one as a text of its own.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<String>),
    One(String),
    /// It is no reason not to sign somebody in whom another rule allows.
    Other(serde_json::Value),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

type OwnIdToken =
    IdToken<Groups, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type OwnTokenResponse = StandardTokenResponse<
    IdTokenFields<
        Groups,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
type OwnClient = Client<
    Groups,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    OwnTokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why somebody could not be signed in. None of it shows a code or a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the provider could not be asked about itself: {0}")]
    Discovery(String),
    #[error("the provider could not be asked for the ID token: {0}")]
    Exchange(String),
    #[error("the provider did not take the code, and calls that {0}")]
    CodeRefused(String),
    #[error("the ID token is not good: {0}")]
    IdToken(&'static str),
}

/// The provider, as far as it is known.
pub(crate) struct Provider {
    config: OidcConfig,
    /// What it has last said of itself, with its keys.
    known: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
}

impl Provider {
    pub(crate) fn new(config: OidcConfig) -> Self {
        Self { config, known: Mutex::new(None) }
    }

    pub(crate) fn config(&self) -> &OidcConfig {
        &self.config
    }

    /// What it is called on a page.
    pub(crate) fn name(&self) -> &str {
        self.config.issuer.url().host_str().unwrap_or_default()
    }

    pub(crate) fn is_issuer(&self, issuer: &str) -> bool {
        self.config.issuer.as_str() == issuer
    }

    pub(crate) fn allows(&self, person: &Person) -> bool {
        person.is_allowed(&self.config.allow)
    }

    /// Begins a sign-in: where to send the browser, the `state` that it comes back with, and what has to fit then.
    pub(crate) async fn begin(&self, next: String) -> Result<(String, String, Flow), Failure> {
        let client = self.client(&*self.metadata().await?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        let request = request.add_scopes(self.config.scopes.iter().cloned()).set_pkce_challenge(challenge);
        let (url, state, nonce) = request.url();
        if !is_safe(url.scheme(), url.host_str().unwrap_or_default()) {
            return Err(Failure::Discovery(HttpError::NotSafe.to_string()));
        }
        Ok((url.into(), state.into_secret(), Flow { nonce, verifier, next }))
    }

    /// Whom the provider has signed in, by the code that the browser came back with.
    pub(crate) async fn person(&self, code: String, flow: Flow) -> Result<Person, Failure> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| Failure::Discovery("it names no token endpoint".to_owned()))?;
        let answer = request.set_pkce_verifier(flow.verifier).request_async(&self.config.http).await;
        let answer = answer.map_err(|error| failed_exchange(&error))?;
        let token = answer.id_token().ok_or(Failure::IdToken("there is none"))?;
        match self.claims(&metadata, token, &flow.nonce) {
            // The provider may have another key by now, under another id or under none.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => self.claims(&*self.discover().await?, token, &flow.nonce),
            checked => checked,
        }
        .map(person)
        .map_err(|error| Failure::IdToken(fault(&error)))
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> OwnClient {
        let OidcConfig { client_id, client_secret, redirect_url, .. } = &self.config;
        let client =
            Client::from_provider_metadata(metadata.clone(), client_id.clone(), client_secret.clone())
                .set_redirect_uri(redirect_url.clone());
        // Where it says nothing, it takes the secret in a header.
        let takes = |method| {
            metadata
                .token_endpoint_auth_methods_supported()
                .is_some_and(|methods: &Vec<CoreClientAuthMethod>| methods.contains(&method))
        };
        let in_body =
            takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
        client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }

    /// As a public client's, since a secret is no key to check a signature with.
    fn claims<'a>(
        &self,
        metadata: &CoreProviderMetadata,
        token: &'a OwnIdToken,
        nonce: &Nonce,
    ) -> Result<&'a IdTokenClaims<Groups, CoreGenderClaim>, ClaimsVerificationError> {
        let OidcConfig { client_id, issuer, .. } = &self.config;
        let verifier = CoreIdTokenVerifier::new_public_client(
            client_id.clone(),
            issuer.clone(),
            metadata.jwks().clone(),
        );
        token.claims(&verifier.set_allowed_algs(ALGORITHMS), nonce)
    }

    /// What the provider says of itself, asked anew if that is long ago.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((since, metadata)) if since.elapsed() < KEPT => Ok(metadata),
            _ => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let OidcConfig { issuer, http, .. } = &self.config;
        let answer = CoreProviderMetadata::discover_async(issuer.clone(), http).await;
        let metadata = Arc::new(answer.map_err(|error| Failure::Discovery(chain(&error)))?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }
}

fn person(claims: &IdTokenClaims<Groups, CoreGenderClaim>) -> Person {
    Person {
        subject: claims.subject().to_string(),
        email: claims.email().map(|email| email.to_string()),
        is_email_verified: claims.email_verified() == Some(true),
        groups: match &claims.additional_claims().groups {
            OneOrMany::Many(groups) => groups.clone(),
            OneOrMany::One(group) => vec![group.clone()],
            OneOrMany::Other(_) => Vec::new(),
        },
    }
}

/// What the provider says beside the error's name may hold the code, and what cannot be read may hold a token.
fn failed_exchange(
    error: &RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>,
) -> Failure {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            Failure::CodeRefused(shown(answer.error().as_ref(), ERROR_SHOWN))
        }
        RequestTokenError::Request(error) => Failure::Exchange(error.to_string()),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Failure::Exchange("its answer is not what OpenID Connect has there".to_owned())
        }
    }
}

/// What does not fit in an ID token.
fn fault(error: &ClaimsVerificationError) -> &'static str {
    use SignatureVerificationError::{DisallowedAlg, NoMatchingKey, NoSignature, UnsupportedAlg};
    match error {
        ClaimsVerificationError::InvalidIssuer(_) => "another issuer has made it",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another audience",
        ClaimsVerificationError::InvalidNonce(_) => "its nonce is not the one of this sign-in",
        ClaimsVerificationError::Expired(_) => "it has expired; compare the clocks",
        ClaimsVerificationError::SignatureVerification(error) => match error {
            NoMatchingKey => "none of the provider's keys can have signed it",
            NoSignature | DisallowedAlg(_) | UnsupportedAlg(_) => {
                "its algorithm is none of RS, PS, ES256, ES384 and EdDSA"
            }
            _ => "its signature is not the provider's",
        },
        _ => "it is not what OpenID Connect has there",
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    shown(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "), 500)
}
