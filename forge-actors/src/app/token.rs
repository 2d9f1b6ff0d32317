//! JSON Web Tokens (RFC 7519), HS256: the algorithm is Forge's choice and never the token header's.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::sign_in_link::{SignInKey, SignInLink, accepted_until};
use crate::kernel::diagnose::{Diagnose, FailureKind};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Identity;
use crate::kernel::remedy;

/// Fewest bytes of a secret: the output size of the hash (RFC 7518 §3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// The claims that tokens carry besides their subject, and how times are compared.
#[derive(Debug, Clone)]
pub struct TokenRules {
    /// `iss` that is written and required; `None` writes and requires none.
    pub issuer: Option<String>,
    /// `aud` that is written and required; `None` writes and requires none.
    pub audience: Option<String>,
    /// Difference between clocks that is accepted.
    pub leeway: Duration,
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub struct Tokens {
    keys: Arc<Keys>,
}

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    links: SignInKey,
    validation: Validation,
    rules: TokenRules,
}

/// The error of a secret that is too short to be a key.
#[derive(Debug, thiserror::Error)]
#[error("the secret has {length} bytes; HS256 needs at least {SECRET_BYTES_MIN}")]
pub struct ShortSecret {
    /// Bytes of the secret.
    pub length: usize,
}

impl Diagnose for ShortSecret {
    fn code(&self) -> &'static str {
        "short-secret"
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Config
    }

    fn help(&self) -> Option<Cow<'_, str>> {
        Some("openssl rand -hex 32".into())
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl Tokens {
    /// Makes the keys of a secret.
    ///
    /// # Errors
    /// When the secret has fewer than [`SECRET_BYTES_MIN`] bytes.
    pub fn new(secret: &[u8], rules: TokenRules) -> Result<Self, ShortSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ShortSecret { length: secret.len() });
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = rules.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        if let Some(issuer) = &rules.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        match &rules.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        let encoding = EncodingKey::from_secret(secret);
        let decoding = DecodingKey::from_secret(secret);
        let keys = Keys { encoding, decoding, links: SignInKey::derived_from(secret), validation, rules };
        Ok(Self { keys: Arc::new(keys) })
    }

    /// The difference between clocks with which tokens are accepted.
    pub fn leeway(&self) -> Duration {
        self.keys.rules.leeway
    }

    /// Signs a token for `subject` that is valid for `ttl`.
    ///
    /// # Errors
    /// `INTERNAL` when signing fails.
    pub fn issue(
        &self,
        subject: impl ToString,
        roles: &[&str],
        tenant: Option<&str>,
        ttl: Duration,
    ) -> Result<String, Fault> {
        let now = chrono::Utc::now().timestamp();
        let rules = &self.keys.rules;
        let claims = Claims {
            sub: subject.to_string(),
            exp: now.saturating_add_unsigned(ttl.as_secs()),
            iat: Some(now),
            iss: rules.issuer.clone(),
            aud: rules.audience.clone().map(Into::into),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            tenant: tenant.map(str::to_owned),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.keys.encoding)
            .map_err(Fault::internal)
    }

    /// Makes the code of a one-time link, to be exchanged within `ttl` for the token of an administrator. The
    /// caller of [`verify_link`](Self::verify_link) stores the ids of used links until
    /// [`link_accepted_until`](Self::link_accepted_until) at the least.
    ///
    /// # Errors
    /// `INTERNAL` when the machine has no randomness.
    pub fn issue_link(&self, ttl: Duration) -> Result<String, Fault> {
        self.keys.links.issue(ttl)
    }

    /// Verifies the code of a one-time link. Whether the link was used before is checked by the caller.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the code is forged or expired.
    pub fn verify_link(&self, code: &str) -> Result<SignInLink, Fault> {
        self.keys.links.verify(code, self.keys.rules.leeway)
    }

    /// The last second, since 1970, in which [`verify_link`](Self::verify_link) accepts this link.
    pub fn link_accepted_until(&self, link: &SignInLink) -> i64 {
        accepted_until(link, self.keys.rules.leeway)
    }

    /// Verifies a token. The response to the client says only whether the token expired; the log has the
    /// reason.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the token is forged, expired or not yet valid.
    pub fn verify(&self, token: &str) -> Result<Identity, Fault> {
        let verified = jsonwebtoken::decode::<serde_json::Map<String, serde_json::Value>>(
            token,
            &self.keys.decoding,
            &self.keys.validation,
        );
        let verified = verified.map_err(|error| refused(&error))?;
        if let Some(reason) = refused_extension(&verified.header) {
            return Err(invalid(reason));
        }
        let claims = verified.claims;
        let typed = Claims::deserialize(serde_json::Value::Object(claims.clone()));
        let typed = typed.map_err(invalid)?;
        if typed.sub.is_empty() || typed.sub.contains('\0') {
            let reason = "`sub` is empty, or has a character that Postgres stores in no text";
            return Err(invalid(reason));
        }
        let horizon =
            chrono::Utc::now().timestamp().saturating_add_unsigned(self.keys.rules.leeway.as_secs());
        if typed.iat.is_some_and(|issued| issued > horizon) {
            return Err(invalid("`iat` is in the future"));
        }
        Ok(Identity { subject: typed.sub, roles: typed.roles, tenant: typed.tenant, claims })
    }
}

/// Why the header of a signature that is right is refused all the same. `crit` names extensions that a reader
/// must understand (RFC 7515 §4.1.11), and this reader has none; `b64: false` changes which bytes are signed
/// (RFC 7797), so another reader of the same token would verify another payload.
fn refused_extension(header: &Header) -> Option<String> {
    let b64 = header.extras.inner().get("b64");
    if header.crit.is_some() {
        Some("the header has `crit`".to_owned())
    } else if b64.is_some_and(|b64| *b64 != serde_json::Value::Bool(true)) {
        Some("the header has `b64`, and it is not true".to_owned())
    } else {
        None
    }
}

fn refused(error: &jsonwebtoken::errors::Error) -> Fault {
    let message = match error.kind() {
        jsonwebtoken::errors::ErrorKind::ExpiredSignature => "the token is expired",
        _ => "the token is not valid",
    };
    Fault::new(Code::Unauthenticated, message).with_help(remedy::TOKEN).because(error.to_string())
}

fn invalid(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
    Fault::new(Code::Unauthenticated, "the token is not valid").with_help(remedy::TOKEN).because(reason)
}
