//! The table.

use super::Flag;

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As RFC 6750 and RFC 9110 say.
    Rfc,
    /// As Tyk does.
    Tyk,
}

/// What `WWW-Authenticate` says in profile `rfc` (RFC 6750 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// No such field: authentication would not help.
    None,
    /// The scheme and realm alone: the request had no credential (section 3.1).
    Plain,
    /// With `error` and `error_description`.
    Error,
}

/// What a refusal looks like from outside.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The stable code for logs.
    pub code: &'static str,
    /// The status in profile `rfc`.
    pub status: u16,
    /// `error` in profile `rfc`.
    pub error: &'static str,
    /// `error_description` in profile `rfc`: fixed, without anything that the request said.
    pub description: &'static str,
    /// `WWW-Authenticate` in profile `rfc`.
    pub challenge: Challenge,
    /// `Retry-After` in profile `rfc`, in seconds.
    pub retry_after: Option<u32>,
    /// The status in profile `tyk`.
    pub tyk_status: u16,
    /// The text in profile `tyk`; `{}` is the refusal's detail.
    pub tyk_message: &'static str,
    /// What rules of `errorOverrides` may name it by.
    pub flag: Option<Flag>,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a request is turned away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the request's path.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

reasons! {
    /// The request is not one that can be forwarded.
    BadRequest,
    /// The request's body ended early or was malformed.
    BodyBroken,
    /// The request's body did not go on.
    BodyTimeout,
    /// No API answers here.
    NotFound,
    /// The request names no version of the API.
    VersionMissing,
    /// The request names more than one version.
    VersionAmbiguous,
    /// The API has no such version.
    VersionUnknown,
    /// The API is served no longer.
    ApiExpired,
    /// The API does not answer the client's address.
    AddressDenied,
    /// The request's body is larger than the API takes.
    RequestTooLarge,
    /// The request does not say how long its body is.
    LengthMissing,
    /// The operation is closed, or others are allowed.
    OperationForbidden,
    /// There is no credential in the enabled places.
    TokenMissing,
    /// There is more than one credential.
    TokenAmbiguous,
    /// There is no API key in the enabled places.
    ApiKeyMissing,
    /// There is more than one API key.
    ApiKeyAmbiguous,
    /// The API key is not known here.
    ApiKeyUnknown,
    /// Nobody can tell whether there is such an API key: Redis, where they are kept, cannot be asked.
    ApiKeysUnavailable,
    /// The API key is switched off.
    ApiKeyInactive,
    /// The API key has expired.
    ApiKeyExpired,
    /// The token is too long.
    TokenTooLarge,
    /// The token cannot be read.
    TokenMalformed,
    /// The header names an extension that must be understood.
    TokenCritical,
    /// The token is signed only, and must be encrypted.
    TokenNotEncrypted,
    /// The content of an encrypted token is compressed.
    TokenCompressed,
    /// An encrypted token does not hold a signed one.
    TokenNotNested,
    /// An encrypted token cannot be decrypted.
    DecryptionFailed,
    /// The header of an encrypted token contradicts the claims.
    HeaderClaimDiffers,
    /// `alg` is no signature algorithm.
    AlgorithmUnknown,
    /// `alg` is not allowed.
    AlgorithmNotAllowed,
    /// No key fits.
    KeyUnknown,
    /// No key could be had yet.
    KeysUnavailable,
    /// The signature is wrong.
    SignatureInvalid,
    /// The claims cannot be read.
    ClaimsMalformed,
    /// The claims are `null`.
    ClaimsNull,
    /// `exp` has passed.
    TokenExpired,
    /// `iat` is in the future.
    TokenIssuedInFuture,
    /// `nbf` is in the future.
    TokenNotYetValid,
    /// A required claim is absent.
    RequiredClaimMissing,
    /// `typ` is not allowed.
    TypeNotAllowed,
    /// `iat` is too long ago.
    TokenTooOld,
    /// `exp` and `iat` are too far apart.
    TokenLivesTooLong,
    /// `iss` is absent.
    IssuerMissing,
    /// `iss` is not a text.
    IssuerNotText,
    /// `iss` is not allowed.
    IssuerNotAllowed,
    /// `aud` is absent.
    AudienceMissing,
    /// `aud` is neither text nor list.
    AudienceMalformed,
    /// No `aud` is allowed.
    AudienceNotAllowed,
    /// Neither `azp` nor `client_id` is there.
    PartyMissing,
    /// `azp` or `client_id` is not allowed.
    PartyNotAllowed,
    /// `jti` is absent.
    JtiMissing,
    /// `allowedSubjects` is set and there is no subject.
    SubjectMissing,
    /// `allowedSubjects` is set and the subject is empty.
    SubjectEmpty,
    /// The subject is not allowed.
    SubjectNotAllowed,
    /// A rule's claim is absent.
    ClaimMissing,
    /// A claim is there that a rule does not allow.
    ClaimPresent,
    /// A rule's claim is `null`.
    ClaimNull,
    /// A rule's claim contains no allowed value.
    ClaimNotContaining,
    /// A rule's claim is not what it allows.
    ClaimNotMatching,
    /// No claim names the caller.
    IdentityMissing,
    /// The claim that names the caller is empty.
    IdentityEmpty,
    /// The policy claim names a policy that does not exist, or the first of several defaults or all of
    /// those of the rules that match do.
    PolicyUnknown,
    /// The only default policy does not exist.
    DefaultPolicyUnknown,
    /// Nothing selects a policy.
    PolicyNone,
    /// No rule about claims selects a policy.
    PolicyRuleUnmatched,
    /// Scopes would select a policy, and the token has none.
    ScopeMissing,
    /// The same, to a caller who had a token with one before.
    ScopeMissingAgain,
    /// No scope of the token maps to a policy.
    ScopeUnmapped,
    /// The policies of the token's scopes do not exist.
    ScopePolicyUnknown,
    /// The policies give no rights at all.
    PolicyWithoutRights,
    /// A policy is not active.
    PolicyInactive,
    /// The policies do not grant this API.
    ApiNotGranted,
    /// The policies do not grant this path or method.
    PathNotGranted,
    /// The token lacks a scope that the operation asks for.
    ScopeInsufficient,
    /// The caller is over the rate of its policies.
    RateExceeded,
    /// The caller has used up the quota of its policies.
    QuotaExceeded,
    /// All callers together are over the rate of the API or operation.
    ApiRateExceeded,
    /// The limits of the request cannot be asked, and are closed then.
    LimitsUnavailable,
    /// The operation is mocked, and has no example that the request asks for.
    MockUnmatched,
    /// A claim cannot be put into a header.
    ClaimNotForwardable,
    /// The request was led from API to API too often.
    LoopTooDeep,
    /// The API that the request was led to does not exist.
    ApiUnknown,
    /// The upstream's name cannot be resolved.
    UpstreamLookupFailed,
    /// The upstream cannot be connected to.
    UpstreamUnreachable,
    /// The upstream took too long.
    UpstreamTimeout,
    /// The upstream's answer ended early or was malformed.
    UpstreamBroken,
    /// The client left before the answer began; nobody was answered.
    ClientClosed,
}

/// The one answer for everything that can go wrong before a signature was found good: a caller
/// who cannot sign learns nothing.
const UNVERIFIED: Row = token("", "The access token could not be verified.");

const fn token(code: &'static str, description: &'static str) -> Row {
    Row {
        code,
        status: 401,
        error: "invalid_token",
        description,
        challenge: Challenge::Error,
        retry_after: None,
        tyk_status: 403,
        tyk_message: "Key not authorized",
        flag: Some(Flag::TokenInvalid),
    }
}

const fn claim(code: &'static str, description: &'static str, tyk_message: &'static str) -> Row {
    Row { tyk_status: 401, tyk_message, flag: Some(Flag::ClaimsInvalid), ..token(code, description) }
}

const fn api_key(code: &'static str, description: &'static str, tyk_message: &'static str) -> Row {
    Row {
        error: "invalid_api_key",
        challenge: Challenge::Plain,
        tyk_message,
        flag: Some(Flag::KeyInvalid),
        ..token(code, description)
    }
}

const fn forbidden(code: &'static str, description: &'static str, tyk_message: &'static str) -> Row {
    Row {
        code,
        status: 403,
        error: "access_denied",
        description,
        challenge: Challenge::None,
        retry_after: None,
        tyk_status: 403,
        tyk_message,
        flag: None,
    }
}

const fn upstream(code: &'static str, status: u16, error: &'static str, description: &'static str) -> Row {
    Row {
        code,
        status,
        error,
        description,
        challenge: Challenge::None,
        retry_after: None,
        tyk_status: 500,
        tyk_message: "There was a problem proxying the request",
        flag: Some(Flag::UpstreamProtocol),
    }
}

const NO_POLICY: &str = "No policy grants this caller access.";
const AUDIENCE: &str = "The access token is not meant for this API.";
const ISSUER: &str = "The issuer of the access token is not trusted by this API.";
const PARTY: &str = "The access token was issued to a client that may not use this API.";
const CLAIMS: &str = "The claims of the access token do not satisfy this API.";

impl Reason {
    /// What this reason looks like from outside.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "this is the table: one row a reason, nothing else")]
    pub const fn row(self) -> Row {
        match self {
            Self::BadRequest => Row {
                status: 400,
                error: "invalid_request",
                tyk_status: 400,
                tyk_message: "400 Bad Request",
                ..forbidden("bad_request", "The request cannot be understood.", "")
            },
            Self::BodyBroken => Row {
                code: "body_broken",
                description: "The request body is incomplete or malformed.",
                ..Self::BadRequest.row()
            },
            Self::BodyTimeout => Row {
                status: 408,
                error: "request_timeout",
                tyk_status: 408,
                tyk_message: "Request Timeout",
                ..forbidden("body_timeout", "The request body did not arrive in time.", "")
            },
            Self::NotFound => Row {
                status: 404,
                error: "not_found",
                tyk_status: 404,
                tyk_message: "Not Found",
                ..forbidden("not_found", "There is nothing here.", "")
            },
            Self::VersionMissing => Row {
                status: 400,
                error: "invalid_request",
                ..forbidden(
                    "version_missing",
                    "The request does not name a version of this API.",
                    "Version information not found",
                )
            },
            Self::VersionAmbiguous => Row {
                description: "The request names more than one version of this API.",
                code: "version_ambiguous",
                ..Self::VersionMissing.row()
            },
            Self::VersionUnknown => Row {
                status: 404,
                error: "not_found",
                tyk_status: 404,
                ..forbidden(
                    "version_unknown",
                    "This API has no such version.",
                    "This API version does not seem to exist",
                )
            },
            Self::ApiExpired => Row {
                status: 410,
                error: "gone",
                ..forbidden(
                    "api_expired",
                    "This API has ended.",
                    "API has expired, please check documentation or contact administrator",
                )
            },
            Self::AddressDenied => forbidden(
                "address_denied",
                "This API does not answer your address.",
                "access from this IP has been disallowed",
            ),
            Self::RequestTooLarge => Row {
                status: 413,
                error: "request_too_large",
                tyk_status: 400,
                flag: Some(Flag::BodyTooLarge),
                ..forbidden(
                    "request_too_large",
                    "The request body is larger than this API takes.",
                    "Request is too large",
                )
            },
            Self::LengthMissing => Row {
                status: 411,
                error: "length_required",
                tyk_status: 411,
                flag: Some(Flag::LengthMissing),
                ..forbidden(
                    "length_missing",
                    "The request must say how long its body is.",
                    "Content length is required for this request",
                )
            },
            Self::OperationForbidden => forbidden(
                "operation_forbidden",
                "This operation is not open to callers.",
                "Requested endpoint is forbidden",
            ),
            Self::TokenMissing => Row {
                challenge: Challenge::Plain,
                tyk_status: 400,
                tyk_message: "Authorization field missing",
                flag: Some(Flag::AuthMissing),
                ..token("token_missing", "An access token is needed.")
            },
            Self::TokenAmbiguous => Row {
                status: 400,
                error: "invalid_request",
                ..token("token_ambiguous", "The request has more than one access token.")
            },
            Self::ApiKeyMissing => Row {
                tyk_status: 401,
                flag: Some(Flag::AuthMissing),
                ..api_key("api_key_missing", "An API key is needed.", "Authorization field missing")
            },
            Self::ApiKeyAmbiguous => Row {
                status: 400,
                error: "invalid_request",
                ..api_key(
                    "api_key_ambiguous",
                    "The request has more than one API key.",
                    Self::ApiKeyUnknown.row().tyk_message,
                )
            },
            Self::ApiKeyUnknown => api_key(
                "api_key_unknown",
                "The API key is not accepted.",
                "Access to this API has been disallowed",
            ),
            Self::ApiKeysUnavailable => Row {
                status: 503,
                error: "temporarily_unavailable",
                challenge: Challenge::None,
                retry_after: Some(5),
                ..api_key(
                    "api_keys_unavailable",
                    "API keys cannot be looked up at the moment.",
                    Self::ApiKeyUnknown.row().tyk_message,
                )
            },
            Self::ApiKeyInactive => {
                api_key("api_key_inactive", "The API key is not active.", "Key is inactive, please renew")
            }
            Self::ApiKeyExpired => Row {
                tyk_status: 401,
                ..api_key("api_key_expired", "The API key has expired.", "Key has expired, please renew")
            },
            Self::TokenTooLarge => Row { code: "token_too_large", ..UNVERIFIED },
            Self::TokenMalformed => Row { code: "token_malformed", ..UNVERIFIED },
            Self::TokenCritical => Row { code: "token_critical", ..UNVERIFIED },
            Self::TokenNotEncrypted => Row { code: "token_not_encrypted", ..UNVERIFIED },
            Self::TokenCompressed => Row { code: "token_compressed", ..UNVERIFIED },
            Self::TokenNotNested => Row { code: "token_not_nested", ..UNVERIFIED },
            Self::DecryptionFailed => Row { code: "decryption_failed", ..UNVERIFIED },
            Self::HeaderClaimDiffers => Row { code: "header_claim_differs", ..UNVERIFIED },
            Self::AlgorithmUnknown => Row { code: "algorithm_unknown", ..UNVERIFIED },
            Self::AlgorithmNotAllowed => Row {
                code: "algorithm_not_allowed",
                tyk_message: "Key not authorized: Unexpected signing method",
                ..UNVERIFIED
            },
            Self::KeyUnknown => Row { code: "key_unknown", ..UNVERIFIED },
            Self::KeysUnavailable => Row {
                status: 503,
                error: "temporarily_unavailable",
                challenge: Challenge::None,
                retry_after: Some(5),
                ..token("keys_unavailable", "Access tokens cannot be verified at the moment.")
            },
            Self::SignatureInvalid => Row { code: "signature_invalid", ..UNVERIFIED },
            Self::ClaimsMalformed => {
                token("claims_malformed", "The claims of the access token cannot be read.")
            }
            Self::ClaimsNull => Row {
                code: "claims_null",
                tyk_message: "no suitable claims for user ID were found",
                flag: None,
                ..Self::ClaimsMalformed.row()
            },
            Self::TokenExpired => Row {
                flag: Some(Flag::TokenExpired),
                ..claim(
                    "token_expired",
                    "The access token has expired.",
                    "Key not authorized: token has expired",
                )
            },
            Self::TokenIssuedInFuture => claim(
                "token_issued_in_future",
                "The access token was issued in the future.",
                "Key not authorized: token used before issued",
            ),
            Self::TokenNotYetValid => claim(
                "token_not_yet_valid",
                "The access token is not valid yet.",
                "Key not authorized: token is not valid yet",
            ),
            Self::RequiredClaimMissing => claim(
                "required_claim_missing",
                CLAIMS,
                "Key not authorized: {} claim is required but not present in token",
            ),
            Self::TypeNotAllowed => claim(
                "type_not_allowed",
                "This type of token is not accepted by this API.",
                "Key not authorized: invalid token type: {}",
            ),
            Self::TokenTooOld => claim(
                "token_too_old",
                "The access token was issued too long ago.",
                "Key not authorized: token is too old",
            ),
            Self::TokenLivesTooLong => claim(
                "token_lives_too_long",
                "The access token is valid for longer than this API allows.",
                "Key not authorized: token lifetime is too long",
            ),
            Self::IssuerMissing => claim(
                "issuer_missing",
                ISSUER,
                "Key not authorized: issuer claim is required but not present in token",
            ),
            Self::IssuerNotText => {
                claim("issuer_not_text", ISSUER, "Key not authorized: issuer claim must be a string")
            }
            Self::IssuerNotAllowed => {
                claim("issuer_not_allowed", ISSUER, "Key not authorized: invalid issuer claim: {}")
            }
            Self::AudienceMissing => claim(
                "audience_missing",
                AUDIENCE,
                "Key not authorized: audience claim is required but not present in token",
            ),
            Self::AudienceMalformed => {
                claim("audience_malformed", AUDIENCE, "Key not authorized: invalid audience claim format")
            }
            Self::AudienceNotAllowed => claim(
                "audience_not_allowed",
                AUDIENCE,
                "Key not authorized: no matching audience found in token: [{}]",
            ),
            Self::PartyMissing => claim(
                "party_missing",
                PARTY,
                "Key not authorized: azp or client_id claim is required but not present in token",
            ),
            Self::PartyNotAllowed => {
                claim("party_not_allowed", PARTY, "Key not authorized: invalid authorized party: {}")
            }
            Self::JtiMissing => claim(
                "jti_missing",
                CLAIMS,
                "Key not authorized: JWT ID (jti) claim is required but not present in token",
            ),
            Self::SubjectMissing => claim(
                "subject_missing",
                CLAIMS,
                "Key not authorized: no suitable claims for user ID were found",
            ),
            Self::SubjectEmpty => claim(
                "subject_empty",
                CLAIMS,
                "Key not authorized: found an empty user ID in predefined base claim, claim: {}",
            ),
            Self::SubjectNotAllowed => {
                claim("subject_not_allowed", CLAIMS, "Key not authorized: invalid subject value: {}")
            }
            Self::ClaimMissing => claim(
                "claim_missing",
                CLAIMS,
                "Key not authorized: custom claim {} is required but not present in token",
            ),
            Self::ClaimPresent => {
                claim("claim_present", CLAIMS, "Key not authorized: claim {} is not allowed in token")
            }
            Self::ClaimNull => {
                claim("claim_null", CLAIMS, "Key not authorized: custom claim {} expects a non nil value")
            }
            Self::ClaimNotContaining => claim(
                "claim_not_containing",
                CLAIMS,
                "Key not authorized: claim {} value does not contain any expected values",
            ),
            Self::ClaimNotMatching => claim(
                "claim_not_matching",
                CLAIMS,
                "Key not authorized: claim {} value does not match any expected values",
            ),
            Self::IdentityMissing => Row {
                tyk_message: "no suitable claims for user ID were found",
                flag: None,
                ..token("identity_missing", "The access token does not name its subject.")
            },
            Self::IdentityEmpty => Row {
                code: "identity_empty",
                tyk_message: "found an empty user ID in predefined base claim, claim: {}",
                ..Self::IdentityMissing.row()
            },
            Self::PolicyUnknown => {
                forbidden("policy_unknown", NO_POLICY, "key not authorized: no matching policy")
            }
            Self::DefaultPolicyUnknown => Row {
                tyk_status: 500,
                ..forbidden(
                    "default_policy_unknown",
                    NO_POLICY,
                    "failed to create key: policy not found: \"{}\"",
                )
            },
            Self::PolicyNone => {
                forbidden("policy_none", NO_POLICY, "key not authorized: no matching policy found")
            }
            Self::PolicyRuleUnmatched => Row { code: "policy_rule_unmatched", ..Self::PolicyNone.row() },
            Self::ScopeMissing => Row {
                code: "scope_missing",
                tyk_message: Self::PolicyNone.row().tyk_message,
                ..Self::ScopeUnmapped.row()
            },
            Self::ScopeMissingAgain => Row {
                code: "scope_missing_again",
                tyk_message: "key not authorized: no scope or policy in token",
                ..Self::ScopeMissing.row()
            },
            Self::ScopeUnmapped => Row {
                error: "insufficient_scope",
                challenge: Challenge::Error,
                ..forbidden(
                    "scope_unmapped",
                    "No scope of the access token grants access.",
                    "key not authorized: no matching policy found in scope claim",
                )
            },
            Self::ScopePolicyUnknown => forbidden(
                "scope_policy_unknown",
                NO_POLICY,
                "key not authorized: could not apply several policies",
            ),
            Self::PolicyWithoutRights => Row {
                tyk_status: 500,
                ..forbidden(
                    "policy_without_rights",
                    NO_POLICY,
                    "failed to create key: key has no valid policies to be applied",
                )
            },
            Self::PolicyInactive => forbidden(
                "policy_inactive",
                "The policy of this caller is not active.",
                "Key is inactive, please renew",
            ),
            Self::ApiNotGranted => forbidden(
                "api_not_granted",
                "This caller may not use this API.",
                "Access to this API has been disallowed",
            ),
            Self::PathNotGranted => forbidden(
                "path_not_granted",
                "This caller may not use this resource.",
                "Access to this resource has been disallowed",
            ),
            Self::ScopeInsufficient => Row {
                error: "insufficient_scope",
                challenge: Challenge::Error,
                ..forbidden(
                    "scope_insufficient",
                    "The access token lacks a scope that is needed here.",
                    "missing required scope: {}",
                )
            },
            Self::RateExceeded => Row {
                status: 429,
                error: "rate_limit_exceeded",
                tyk_status: 429,
                flag: Some(Flag::RateLimited),
                ..forbidden(
                    "rate_exceeded",
                    "This caller has sent too many requests in a short time.",
                    "Rate Limit Exceeded",
                )
            },
            Self::QuotaExceeded => Row {
                status: 429,
                error: "quota_exceeded",
                flag: Some(Flag::QuotaExceeded),
                ..forbidden("quota_exceeded", "The quota of this caller is used up.", "Quota exceeded")
            },
            Self::ApiRateExceeded => Row {
                code: "api_rate_exceeded",
                description: "This API gets too many requests at the moment.",
                tyk_message: "API Rate Limit Exceeded",
                ..Self::RateExceeded.row()
            },
            Self::LimitsUnavailable => Row {
                status: 503,
                error: "temporarily_unavailable",
                retry_after: Some(5),
                ..forbidden(
                    "limits_unavailable",
                    "Whether this request is within its limits cannot be told at the moment.",
                    Self::QuotaExceeded.row().tyk_message,
                )
            },
            Self::MockUnmatched => Row {
                status: 406,
                error: "not_acceptable",
                tyk_status: 500,
                ..forbidden(
                    "mock_unmatched",
                    "There is no example like the one that is asked for.",
                    "failed to mock response: mock: {}",
                )
            },
            Self::ClaimNotForwardable => Row {
                tyk_status: 500,
                ..forbidden(
                    "claim_not_forwardable",
                    "The claims of the access token cannot be forwarded.",
                    "There was a problem proxying the request",
                )
            },
            Self::LoopTooDeep => Row {
                tyk_message: "Loop level too deep. Found more than {} loops in single request",
                flag: None,
                ..upstream(
                    "loop_too_deep",
                    508,
                    "loop_detected",
                    "The request would be passed on without an end.",
                )
            },
            Self::ApiUnknown => Row {
                tyk_message: "{}",
                flag: None,
                ..upstream("api_unknown", 502, "bad_gateway", "The upstream cannot be reached.")
            },
            Self::UpstreamLookupFailed => Row {
                tyk_message: "Upstream host lookup failed",
                flag: Some(Flag::Lookup),
                ..upstream("upstream_lookup_failed", 502, "bad_gateway", "The upstream cannot be reached.")
            },
            Self::UpstreamUnreachable => Row {
                flag: Some(Flag::ConnectionFailed),
                ..upstream("upstream_unreachable", 502, "bad_gateway", "The upstream cannot be reached.")
            },
            Self::UpstreamTimeout => Row {
                tyk_status: 504,
                tyk_message: "Upstream service reached hard timeout.",
                flag: Some(Flag::UpstreamTimeout),
                ..upstream("upstream_timeout", 504, "gateway_timeout", "The upstream did not answer in time.")
            },
            Self::UpstreamBroken => {
                upstream("upstream_broken", 502, "bad_gateway", "The upstream did not answer properly.")
            }
            Self::ClientClosed => Row {
                status: 499,
                error: "client_closed",
                tyk_status: 499,
                tyk_message: "Client closed request",
                flag: Some(Flag::ClientClosed),
                ..forbidden("client_closed", "The client did not wait for the answer.", "")
            },
        }
    }

    /// Whether a caller who cannot sign may meet it; all such reasons look alike.
    #[must_use]
    pub fn needs_no_signature(self) -> bool {
        self.row().description == UNVERIFIED.description
    }

    /// Whether the token itself is what is wrong, not whom it names or what that one may do.
    pub(super) const fn is_about_the_token(self) -> bool {
        let row = self.row();
        let is_refused = !matches!(row.challenge, Challenge::None) || matches!(self, Self::KeysUnavailable);
        is_refused
            && !matches!(
                self,
                Self::IdentityMissing
                    | Self::IdentityEmpty
                    | Self::ScopeMissing
                    | Self::ScopeMissingAgain
                    | Self::ScopeUnmapped
                    | Self::ScopeInsufficient
                    | Self::ApiKeyMissing
                    | Self::ApiKeyAmbiguous
                    | Self::ApiKeyUnknown
                    | Self::ApiKeyInactive
                    | Self::ApiKeyExpired
            )
    }

    /// Whether policies, or what they grant, are what is missing.
    #[must_use]
    pub const fn is_about_rights(self) -> bool {
        matches!(
            self,
            Self::PolicyUnknown
                | Self::PolicyNone
                | Self::PolicyRuleUnmatched
                | Self::PolicyWithoutRights
                | Self::PolicyInactive
                | Self::ApiNotGranted
                | Self::PathNotGranted
        )
    }

    /// The stable code for logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_rows_complete() {
        let codes: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let row = reason.row();
            assert!(
                !row.code.is_empty() && !row.error.is_empty() && !row.tyk_message.is_empty(),
                "{reason:?}"
            );
            assert!(row.description.ends_with('.'), "{reason:?}");
            assert_eq!(
                row.status == 401,
                row.challenge != Challenge::None && row.status != 400 && row.status != 403,
                "{reason:?}: RFC 9110 15.5.2"
            );
        }
    }

    #[test]
    fn what_needs_no_good_signature_looks_the_same() {
        let seen = [
            Reason::TokenTooLarge,
            Reason::TokenMalformed,
            Reason::TokenCritical,
            Reason::AlgorithmUnknown,
            Reason::AlgorithmNotAllowed,
            Reason::KeyUnknown,
            Reason::SignatureInvalid,
        ]
        .map(|reason| (reason.row().status, reason.row().error, reason.row().description));
        assert!(seen.iter().all(|answer| *answer == seen[0]));
    }
}
