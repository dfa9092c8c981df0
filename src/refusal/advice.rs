//! What the owner of an API is told about a reason. Callers never see it.

use super::Reason;

impl Reason {
    /// What causes it, and what to do about it: a text for the owner of the API, with Markdown's
    /// backquotes around names.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "this is a table: one text a reason, nothing else")]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadRequest => {
                "The path means different things to different servers (dot segments in disguise, an escaped slash at the end of \
                 the listen path), so does the method (`get` for `GET`), or what the path says cannot stand in a header that a \
                 template sets. Correct the client; from unknown clients it is often an attack."
            }
            Self::BodyBroken => {
                "The client stopped in the middle of its body, or its chunks are malformed. Look at the client, or at what is between."
            }
            Self::BodyTimeout => {
                "No part of the body came for `timeouts.response`. Look at the client's network, or allow more time."
            }
            Self::NotFound => {
                "No listen path covers the host and path, or the API is not active. Note that `/orders/` does not answer `/orders`."
            }
            Self::VersionMissing => {
                "The API has versions (`info.versioning`) and no `default`. Let the client name one, or write a default."
            }
            Self::VersionAmbiguous => {
                "The header field, or the parameter, that names the version comes twice; in profile `tyk` the first counts. Correct the client."
            }
            Self::VersionUnknown => {
                "No version of `info.versioning` has the name that the client sent (letter case counts), or its API is not there: `check` tells which. \
                 `fallbackToDefault` gives such requests the default."
            }
            Self::ApiExpired => {
                "The time in `info.expiration` has passed, or cannot be read. Tell the callers where to go, or change it."
            }
            Self::AddressDenied => {
                "`ipAccessControl` has the client's address in `block`, or not in `allow`. Behind a proxy it is the address of that, unless \
                 `trustedProxies` names it; where such a proxy writes no address into `X-Forwarded-For`, the client is on no list. `claimgate explain --client` shows the decision for an address."
            }
            Self::RequestTooLarge => {
                "The body is larger than the `requestSizeLimit` of the API, or of an operation whose path the request's has in it. Let the \
                 client send less, or raise the limit."
            }
            Self::LengthMissing => {
                "In profile `tyk` a POST, PUT or PATCH to an API with a `requestSizeLimit` needs a `Content-Length`, as in Tyk. Let the client \
                 send one, or use profile `rfc`, which counts the body on its way."
            }
            Self::OperationForbidden => {
                "The operation is in `block` or `internal`, or others are in `allow` and this is not; `GET` does not allow `HEAD`. A block holds \
                 wherever its path stands in the request's: look at `claimgate explain`."
            }
            Self::TokenMissing => {
                "None of the enabled places (`header`, `query`, `cookie`) has a token. In profile `rfc` a bare token in \
                 `Authorization`, as Tyk takes it, is none: let clients write `Bearer` before it, or use profile `tyk`."
            }
            Self::TokenAmbiguous => {
                "Two enabled places have different tokens, or one place has two. Let the client send one, or enable one place."
            }
            Self::ApiKeyMissing => {
                "The place that `in` and `name` of the scheme say, or another enabled one, has no key. Let the client send it there."
            }
            Self::ApiKeyAmbiguous => {
                "Two enabled places have different keys, or one place has two. Let the client send one."
            }
            Self::ApiKeyUnknown => {
                "No such key in the organisation of the API: it was deleted, is another gateway's, has another `org_id` than the \
                 API's `orgId`, or has a `jwt_data.secret` and so is none to present. Look it up with `GET /tyk/keys/{key}`."
            }
            Self::ApiKeysUnavailable => {
                "The key is not one of those that this node knows, and Redis, where keys are kept, cannot be asked: it may have been made on another node. Look at Redis, and at the log."
            }
            Self::ApiKeyInactive => {
                "The key, or the stored key of a token's client (`clientBaseField`), is `is_inactive`. Update it with `PUT /tyk/keys/{key}`."
            }
            Self::ApiKeyExpired => {
                "The second in `expires` of the key, or of the stored key of a token's client, has passed. Give the client a new key, or this one more time."
            }
            Self::TokenTooLarge => {
                "It is longer than `maxTokenSize` (16 KiB in profile `rfc`, 64 KiB in `tyk`). Let the issuer put less into it, or raise the bound."
            }
            Self::TokenMalformed => {
                "It is no JWT in compact form: often an opaque token, one that was cut off, or one in quotes. Let the issuer give \
                 out JWTs for this API's audience."
            }
            Self::TokenCritical => {
                "Its header has `crit`, and no extension is known here. Let the issuer leave it out."
            }
            Self::TokenNotEncrypted => {
                "The scheme has `decryption`, and the token is only signed. Give the issuer the public key, or write `required: false`."
            }
            Self::TokenCompressed => {
                "Its header has `zip`, which is never taken. Let the issuer not compress."
            }
            Self::TokenNotNested => {
                "It is encrypted and has no signed token in it, or does not say so with `cty`. Let the issuer sign first, then encrypt."
            }
            Self::DecryptionFailed => {
                "It is encrypted for another key, or is damaged. Compare its `kid` with `decryption.keys`, and the key set that the issuer has."
            }
            Self::HeaderClaimDiffers => {
                "`iss`, `sub` or `aud` in the header of the encrypted token is not that of the signed one. Only the issuer can mend this."
            }
            Self::AlgorithmUnknown => {
                "`alg` (or `enc`) is missing, or is no algorithm that is known here. Look at how the issuer signs."
            }
            Self::AlgorithmNotAllowed => {
                "`alg` is a known algorithm that `signingMethod` or `algorithms` leaves out, or `none`. If the issuer is right, allow it."
            }
            Self::KeyUnknown => {
                "No key of the issuer fits: its `kid` is in no key set of this API, several keys fit a token without `kid`, the \
                 key is of another type than `alg`, or the key belongs to another issuer than `iss` says. Look at `GET \
                 /tyk/cache/jwks`: perhaps the token is from another environment, or its issuer has no key source here."
            }
            Self::KeysUnavailable => {
                "No key set could be fetched, at the start or for longer than `maxStale`. `GET /tyk/cache/jwks` says why."
            }
            Self::SignatureInvalid => {
                "The key fits and the signature is not its own: the token was changed, or two keys share a `kid`. With `hmac`: another secret."
            }
            Self::ClaimsMalformed => {
                "The signature is good, and the claims are no JSON object, have a member twice, or a time that is no number. Only the issuer can mend this."
            }
            Self::ClaimsNull => {
                "The signature is good, and the claims are `null`. Only the issuer can mend this."
            }
            Self::TokenExpired => {
                "`exp` has passed. The client must get a new token; if clocks differ, `expiresAtValidationSkew` allows for it."
            }
            Self::TokenIssuedInFuture => {
                "`iat` is ahead of this clock. Set the clocks, or allow for it with `issuedAtValidationSkew`."
            }
            Self::TokenNotYetValid => {
                "`nbf` is ahead of this clock. Set the clocks, or allow for it with `notBeforeValidationSkew`."
            }
            Self::RequiredClaimMissing => {
                "A claim of `requiredClaims` (or of the profile) is absent. Let the issuer add it, or require less."
            }
            Self::TypeNotAllowed => {
                "`typ` in the header is not one of `types` (or of the profile): often an ID token in place of an access token."
            }
            Self::TokenTooOld => "`iat` is longer ago than `maxAge`. The client must get a new token.",
            Self::TokenLivesTooLong => {
                "From `iat` to `exp` is longer than `maxLifetime`. Let the issuer give shorter lives, or allow more."
            }
            Self::IssuerMissing => "`allowedIssuers` is set and the token has no `iss`.",
            Self::IssuerNotText => "`allowedIssuers` is set and `iss` is not a text.",
            Self::IssuerNotAllowed => {
                "`iss` is not in `allowedIssuers`, which are compared letter by letter: look for a slash at the end. Else the token is from elsewhere."
            }
            Self::AudienceMissing => {
                "`allowedAudiences` is set and the token has no `aud`. Let the client ask its issuer for a token for this API."
            }
            Self::AudienceMalformed => {
                "`aud` is neither a text nor a list of texts. Only the issuer can mend this."
            }
            Self::AudienceNotAllowed => {
                "`aud` has none (or, with `audienceMatch: all`, not all) of `allowedAudiences`: the token is for another API."
            }
            Self::PartyMissing => {
                "`authorizedParties` is set and the token has neither `azp` nor `client_id`."
            }
            Self::PartyNotAllowed => {
                "The client that the token was issued to is not in `authorizedParties`. Add it if it may use this API."
            }
            Self::JtiMissing => "`jtiValidation` is on and the token has no `jti`.",
            Self::SubjectMissing => {
                "`allowedSubjects` is set, and the token has no text in any of `subjectClaims`, nor in `sub`. Without `allowedSubjects` it is `identity_missing`."
            }
            Self::SubjectEmpty => "`allowedSubjects` is set, and the claim that names the caller is empty.",
            Self::SubjectNotAllowed => "The caller is not in `allowedSubjects`.",
            Self::ClaimMissing => {
                "A claim that `customClaimValidation` or a rule in `claims` asks for is absent. `optional: true` lets such tokens pass the rule."
            }
            Self::ClaimPresent => "A rule in `claims` has `exists: false`, and the token has the claim.",
            Self::ClaimNull => "A claim that `customClaimValidation` asks for is `null`.",
            Self::ClaimNotContaining => {
                "The claim contains none of the values that `customClaimValidation` or a rule in `claims` asks for."
            }
            Self::ClaimNotMatching => {
                "The claim is not what `customClaimValidation` or a rule in `claims` asks for; types count as well."
            }
            Self::IdentityMissing => {
                "The token is good, and has no text in any of `subjectClaims`, nor in `sub`, to name the caller by. Name a claim that it has in `subjectClaims`."
            }
            Self::IdentityEmpty => {
                "The token is good, and the first of `subjectClaims` (or `sub`) that it has is empty or names nobody."
            }
            Self::PolicyUnknown => {
                "A policy was chosen that does not exist in the organisation of the API: the policy claim of the token, a key's \
                 `apply_policies`, a rule of `claimsToPolicies` or the first of `defaultPolicies` names it. Add it, or look at its `org_id`."
            }
            Self::DefaultPolicyUnknown => {
                "The one policy in `defaultPolicies` does not exist in the organisation of the API. Add it, or look at its `org_id`."
            }
            Self::PolicyNone => {
                "Nothing chooses a policy: the token has no policy claim, and the API maps no scopes and has no `defaultPolicies`; or \
                 it names a client (`clientBaseField`) whose stored key does not exist or names no policy. Let the issuer add the \
                 claim, set `defaultPolicies`, or store the client's key."
            }
            Self::PolicyRuleUnmatched => {
                "No rule of `claimsToPolicies` matches, and `noMatch` is `deny`. Give the caller a role or group that a rule has, or add a rule."
            }
            Self::ScopeMissing => {
                "Scopes choose the policies (`scopes`), and the token has none; there is no `defaultPolicies` either. Let the client \
                 ask for a scope, or look at the claim in `scopes.claims`."
            }
            Self::ScopeMissingAgain => {
                "As `scope_missing`, from a caller who had a good token before; Tyk has another text for it."
            }
            Self::ScopeUnmapped => {
                "Scopes choose the policies, and the token has some, but none is in `scopes.scopeToPolicyMapping`. Map it, or let the client ask for one that is."
            }
            Self::ScopePolicyUnknown => {
                "The token's scopes are mapped to policies that do not exist in the organisation of the API, or grant nothing."
            }
            Self::PolicyWithoutRights => {
                "The policies exist and have no `access_rights` (or `partitions` leaves them out), or none of several `defaultPolicies` exists."
            }
            Self::PolicyInactive => {
                "One of the chosen policies is not active, which refuses whatever the others grant. Activate it, or choose it no more."
            }
            Self::ApiNotGranted => {
                "The policies grant other APIs. Add this one's `id` to `access_rights`, or choose another policy."
            }
            Self::PathNotGranted => {
                "The policies grant this API, and no `allowed_urls` covers the path and method; `GET` does not include `HEAD`. \
                 A path that servers may read differently is never covered."
            }
            Self::ScopeInsufficient => {
                "The policies grant the request, and `scopeCheck` finds that `security` of the operation asks for a scope that the token lacks. \
                 Let the client ask for the scope in the challenge."
            }
            Self::RateExceeded => {
                "The caller is over the `rate` of its policies or endpoint. In profile `rfc` `RateLimit-Policy` on the answer says which. \
                 Or it has asked for its limits (`tyk/rate-limits/`) 60 times within a minute, and `RateLimit-Policy` says nothing of that."
            }
            Self::QuotaExceeded => {
                "The caller has used up the `quota_max` of its policies; it begins anew after `quota_renewal_rate` seconds."
            }
            Self::ApiRateExceeded => {
                "All callers together are over `upstream.rateLimit`, or the `rateLimit` of the operation."
            }
            Self::LimitsUnavailable => {
                "Redis cannot be asked, and `redis.onFailure` closes a limit of this request until it can. The log and `claimgate_redis_up` say since when."
            }
            Self::MockUnmatched => {
                "`mockResponse` takes its answer from the examples of the document, and none has the status, media type or name that the request asks for with \
                 `X-Tyk-Accept-Example-Code`, `Accept` or `X-Tyk-Accept-Example-Name`. Add it to the document, or let the client ask for another."
            }
            Self::ClaimNotForwardable => {
                "A header rule, `claimHeaders` or `payloadHeader` would put a claim into a header that cannot hold it. `encoding: percent` or `json` can hold any text."
            }
            Self::LoopTooDeep => {
                "APIs lead the request to each other (`tyk://`, versions) more often than `loop_limit`, or 5 times: usually in a circle. \
                 `explain` shows the way. The status is that of RFC 5842 section 7.2; who does not know it reads it as a 500."
            }
            Self::ApiUnknown => {
                "The `tyk://` address of the API that answered names none that is active here; `check` tells which. Correct the address."
            }
            Self::UpstreamLookupFailed => {
                "The host of `upstream.url`, or of the last of `loadBalancing.targets`, has no address. Correct it, or look at the name servers."
            }
            Self::UpstreamUnreachable => {
                "Nothing answers at `upstream.url`, or at any of `loadBalancing.targets`, within `timeouts.connect`, or its certificate is not trusted. The log on standard error says more with `RUST_LOG=claimgate=debug`."
            }
            Self::UpstreamTimeout => {
                "The upstream did not begin its answer within `timeouts.response`, or the `enforceTimeout` of the operation. Look at the upstream, or allow more time."
            }
            Self::UpstreamBroken => "The upstream closed the connection early, or what it sent is no HTTP.",
            Self::ClientClosed => {
                "The client left before the answer began; often its own timeout is too short."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_has_its_own() {
        let texts: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.advice()).collect();
        assert_eq!(texts.len(), Reason::ALL.len());
        for text in texts {
            assert!(
                text.ends_with('.') && !text.contains(['|', '\n']) && text.matches('`').count() % 2 == 0,
                "{text}"
            );
        }
    }
}
