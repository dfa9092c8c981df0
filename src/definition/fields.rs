//! Every field of `x-tyk-api-gateway` and `x-claimgate`, and what becomes of it.
//!
//! The rule: a field is refused when serving the API without it could let somebody in, skip a check
//! or send something elsewhere. A field whose absence changes only convenience, reporting or speed
//! is a warning. A field that is not in these tables is an error in the parts that decide about
//! tokens, and wherever its name is near a known one: it may be a misspelt check.

use crate::document::{Field, Section, Shape, Unknown};

const fn section(fields: &'static [Field]) -> Section {
    Section { fields, unknown: Unknown::Warning }
}

/// A part that decides who gets in.
const fn guarded(fields: &'static [Field]) -> Section {
    Section { fields, unknown: Unknown::Error }
}

const NOT_BUILT: &str = "this is not supported yet, and without it the API would not be protected as it says; remove it or keep this API where it is";
const ELSEWHERE: &str = "this is not supported yet, and without it requests would go elsewhere; remove it or keep this API where it is";
const CODE: &str = "custom code is not run, and without it the API would not behave as it says; remove it or keep this API where it is";
const METHOD: &str =
    "this authentication method is not supported; use a JWT scheme, or keep this API where it is";
const BODY: &str = "bodies are not transformed yet, and without it the upstream or the caller would see what was to be changed; remove it or keep this API where it is";
const MISPLACED: &str = "this has no effect here, and the API would not be protected as it says; it belongs to x-tyk-api-gateway.server.authentication, or to the top of the document";
const REPORTING: &str = "this is about reporting and has no effect here";
const CACHE: &str = "answers are not cached";
const TIMES: &str =
    "the times of a token are always checked; forgive clock differences with the skews of the scheme";

pub(super) static OPENAPI: Section = Section {
    fields: &[
        Field::honour("openapi", Shape::Any),
        Field::honour("info", Shape::Object(&OPENAPI_INFO)),
        Field::honour("paths", Shape::Map(&Shape::Any)),
        Field::honour("components", Shape::Object(&COMPONENTS)),
        Field::honour("security", Shape::List(&Shape::Map(&Shape::Any))),
        Field::honour("x-tyk-api-gateway", Shape::Object(&TYK)),
        Field::honour("x-claimgate", Shape::Object(&CLAIMGATE)),
        Field::refuse_content("authentication", MISPLACED),
        Field::refuse_content("securitySchemes", MISPLACED),
    ],
    // The rest of the document describes the API to others.
    unknown: Unknown::Ignore,
};

static OPENAPI_INFO: Section =
    Section { fields: &[Field::refuse_content("security", MISPLACED)], unknown: Unknown::Ignore };

static COMPONENTS: Section = Section {
    fields: &[Field::honour("securitySchemes", Shape::Map(&Shape::Object(&OPENAPI_SCHEME)))],
    unknown: Unknown::Ignore,
};

static OPENAPI_SCHEME: Section = Section {
    fields: &[
        Field::honour("type", Shape::Text),
        Field::honour("scheme", Shape::Text),
        Field::honour("bearerFormat", Shape::Text),
        Field::honour("in", Shape::Text),
        Field::honour("name", Shape::Text),
    ],
    unknown: Unknown::Ignore,
};

static TYK: Section = section(&[
    Field::honour("info", Shape::Object(&INFO)),
    Field::honour("upstream", Shape::Object(&UPSTREAM)),
    Field::honour("server", Shape::Object(&SERVER)),
    Field::honour("middleware", Shape::Object(&MIDDLEWARE)),
    Field::honour("errorOverrides", Shape::Object(&ERROR_OVERRIDES)),
    Field::refuse_content("authentication", MISPLACED),
    Field::refuse_content("securitySchemes", MISPLACED),
    Field::refuse_content("security", MISPLACED),
    Field::refuse_content("x-claimgate", MISPLACED),
]);

static ERROR_OVERRIDES: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("value", Shape::Map(&Shape::List(&Shape::Object(&ERROR_OVERRIDE)))),
]);

static ERROR_OVERRIDE: Section = section(&[
    Field::honour("match", Shape::Object(&ERROR_MATCH)),
    Field::honour("response", Shape::Object(&ERROR_RESPONSE)),
]);

static ERROR_MATCH: Section = section(&[
    Field::honour("flag", Shape::Text),
    Field::honour("messagePattern", Shape::Text),
    Field::honour("bodyField", Shape::Text),
    Field::honour("bodyValue", Shape::Text),
]);

static ERROR_RESPONSE: Section = section(&[
    Field::honour("statusCode", Shape::Count),
    Field::honour("body", Shape::Text),
    Field::honour("message", Shape::Text),
    Field::honour("template", Shape::Text),
    Field::honour("headers", Shape::Map(&Shape::Text)),
]);

static INFO: Section = section(&[
    Field::honour("name", Shape::Text),
    Field::honour("id", Shape::Text),
    Field::honour("orgId", Shape::Text),
    Field::ignore("dbId"),
    Field::honour("expiration", Shape::Text),
    Field::honour("state", Shape::Object(&STATE)),
    Field::honour("versioning", Shape::Object(&VERSIONING)),
]);

static VERSIONING: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("name", Shape::Text),
    Field::honour("default", Shape::Text),
    Field::honour("location", Shape::Text),
    Field::honour("key", Shape::Text),
    Field::honour("versions", Shape::List(&Shape::Object(&VERSION))),
    Field::honour("stripVersioningData", Shape::Bool),
    Field::honour("fallbackToDefault", Shape::Bool),
    Field::honour("urlVersioningPattern", Shape::Text),
]);

static VERSION: Section = guarded(&[Field::honour("name", Shape::Text), Field::honour("id", Shape::Text)]);

static STATE: Section =
    section(&[Field::honour("active", Shape::Bool), Field::honour("internal", Shape::Bool)]);

static UPSTREAM: Section = section(&[
    Field::honour("url", Shape::Text),
    Field::honour("loadBalancing", Shape::Object(&LOAD_BALANCING)),
    Field::honour("preserveHostHeader", Shape::Object(&SWITCH)),
    Field::honour("preserveTrailingSlash", Shape::Object(&SWITCH)),
    Field::honour("rateLimit", Shape::Object(&RATE_LIMIT)),
    Field::honour("tlsTransport", Shape::Object(&TLS_TRANSPORT)),
    Field::refuse("mutualTLS", NOT_BUILT),
    Field::refuse("certificatePinning", NOT_BUILT),
    Field::refuse("authentication", ELSEWHERE),
    Field::refuse("proxy", ELSEWHERE),
    Field::refuse("serviceDiscovery", ELSEWHERE),
    Field::warn("uptimeTests", "upstreams are not probed"),
    Field::ignore("test"),
]);

static LOAD_BALANCING: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::warn(
        "skipUnavailableHosts",
        "upstreams are not probed; one that cannot be reached is passed over for the requests that meet it",
    ),
    Field::honour("targets", Shape::List(&Shape::Object(&BALANCED_TARGET))),
]);

static BALANCED_TARGET: Section =
    section(&[Field::honour("url", Shape::Text), Field::honour("weight", Shape::Count)]);

static RATE_LIMIT: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("rate", Shape::Number),
    Field::honour("per", Shape::Duration),
]);

static SWITCH: Section = section(&[Field::honour("enabled", Shape::Bool)]);

static TLS_TRANSPORT: Section = guarded(&[
    Field::honour("insecureSkipVerify", Shape::Bool),
    Field::honour("minVersion", Shape::Text),
    Field::honour("maxVersion", Shape::Text),
    Field::honour("ciphers", Shape::Texts),
    Field::honour("forceCommonNameCheck", Shape::Bool),
]);

static SERVER: Section = section(&[
    Field::honour("listenPath", Shape::Object(&LISTEN_PATH)),
    Field::ignore("slug"),
    Field::honour("authentication", Shape::Object(&AUTHENTICATION)),
    Field::refuse("clientCertificates", NOT_BUILT),
    Field::honour("customDomain", Shape::Object(&CUSTOM_DOMAIN)),
    Field::honour("gatewayTags", Shape::Object(&GATEWAY_TAGS)),
    Field::honour("ipAccessControl", Shape::Object(&IP_ACCESS_CONTROL)),
    Field::refuse_content("port", ELSEWHERE),
    Field::refuse_content("protocol", ELSEWHERE),
    Field::warn("batchProcessing", "batches of requests are not served"),
    Field::warn("detailedActivityLogs", REPORTING),
    Field::warn("detailedTracing", REPORTING),
    Field::warn("eventHandlers", REPORTING),
    Field::honour("contextVariables", Shape::Object(&SWITCH)),
    Field::refuse_content("securitySchemes", MISPLACED),
    Field::refuse_content("security", MISPLACED),
    Field::refuse_content("auth", MISPLACED),
    Field::refuse_content("x-claimgate", MISPLACED),
]);

static IP_ACCESS_CONTROL: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("allow", Shape::Texts),
    Field::honour("block", Shape::Texts),
]);

static GATEWAY_TAGS: Section =
    section(&[Field::honour("enabled", Shape::Bool), Field::honour("tags", Shape::Texts)]);

static LISTEN_PATH: Section =
    section(&[Field::honour("value", Shape::Text), Field::honour("strip", Shape::Bool)]);

static CUSTOM_DOMAIN: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("name", Shape::Text),
    Field::refuse_content("certificates", "certificates of a domain are not supported yet; remove them"),
]);

static AUTHENTICATION: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("stripAuthorizationData", Shape::Bool),
    Field::honour("baseIdentityProvider", Shape::Text),
    Field::refuse("hmac", METHOD),
    Field::refuse("oidc", METHOD),
    Field::refuse("custom", METHOD),
    Field::refuse("certificateAuth", METHOD),
    // What is in here depends on the scheme's type: see `SCHEME` and `API_KEY_SCHEME`.
    Field::honour("securitySchemes", Shape::Map(&Shape::Any)),
    Field::warn("customKeyLifetime", "sessions are derived from tokens and end with them"),
    Field::honour("securityProcessingMode", Shape::Text),
    Field::honour("security", Shape::List(&Shape::Texts)),
    Field::honour("protectedResourceMetadata", Shape::Object(&RESOURCE_METADATA)),
]);

static RESOURCE_METADATA: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("wellKnownPath", Shape::Text),
    Field::honour("resource", Shape::Text),
    Field::honour("authorizationServers", Shape::Texts),
    Field::honour("scopesSupported", Shape::Texts),
    Field::honour("autoDeriveScopes", Shape::Bool),
]);

/// A JWT scheme.
pub(super) static SCHEME: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("header", Shape::Object(&PLACE)),
    Field::honour("query", Shape::Object(&PLACE)),
    Field::honour("cookie", Shape::Object(&PLACE)),
    Field::honour("source", Shape::Text),
    Field::honour("jwksURIs", Shape::List(&Shape::Object(&JWKS_URI))),
    Field::honour("signingMethod", Shape::Text),
    Field::honour("identityBaseField", Shape::Text),
    Field::honour("subjectClaims", Shape::Texts),
    Field::honour("skipKid", Shape::Bool),
    Field::honour("policyFieldName", Shape::Text),
    Field::honour("basePolicyClaims", Shape::Texts),
    Field::honour("clientBaseField", Shape::Text),
    Field::honour("scopes", Shape::Object(&SCOPES)),
    Field::honour("defaultPolicies", Shape::Texts),
    Field::honour("issuedAtValidationSkew", Shape::Count),
    Field::honour("notBeforeValidationSkew", Shape::Count),
    Field::honour("expiresAtValidationSkew", Shape::Count),
    Field::honour("allowedIssuers", Shape::Texts),
    Field::honour("allowedAudiences", Shape::Texts),
    Field::honour("allowedSubjects", Shape::Texts),
    Field::honour("jtiValidation", Shape::Object(&JTI_VALIDATION)),
    // There are no OAuth clients to map to.
    Field::ignore("idpClientIdMappingDisabled"),
    Field::honour("customClaimValidation", Shape::Map(&Shape::Object(&CLAIM_RULE))),
]);

/// An API key scheme.
pub(super) static API_KEY_SCHEME: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("header", Shape::Object(&PLACE)),
    Field::honour("query", Shape::Object(&PLACE)),
    Field::honour("cookie", Shape::Object(&PLACE)),
    Field::refuse("enableClientCertificate", NOT_BUILT),
    Field::refuse("signatureValidation", NOT_BUILT),
]);

static PLACE: Section = guarded(&[Field::honour("enabled", Shape::Bool), Field::honour("name", Shape::Text)]);

static JWKS_URI: Section =
    guarded(&[Field::honour("url", Shape::Text), Field::honour("cacheTimeout", Shape::Duration)]);

static SCOPES: Section = guarded(&[
    Field::honour("claimName", Shape::Text),
    Field::honour("claims", Shape::Texts),
    Field::honour("scopeToPolicyMapping", Shape::List(&Shape::Object(&SCOPE_TO_POLICY))),
]);

static SCOPE_TO_POLICY: Section =
    guarded(&[Field::honour("scope", Shape::Text), Field::honour("policyId", Shape::Text)]);

static JTI_VALIDATION: Section = guarded(&[Field::honour("enabled", Shape::Bool)]);

static CLAIM_RULE: Section = guarded(&[
    Field::honour("type", Shape::Text),
    Field::honour("allowedValues", Shape::List(&Shape::Any)),
    Field::honour("nonBlocking", Shape::Bool),
]);

static MIDDLEWARE: Section = section(&[
    Field::honour("global", Shape::Object(&GLOBAL)),
    Field::honour("operations", Shape::Map(&Shape::Object(&OPERATION))),
    Field::refuse("mcpTools", NOT_BUILT),
    Field::refuse("mcpResources", NOT_BUILT),
    Field::refuse("mcpPrompts", NOT_BUILT),
]);

static GLOBAL: Section = section(&[
    Field::honour("transformRequestHeaders", Shape::Object(&TRANSFORM_HEADERS)),
    Field::honour("transformResponseHeaders", Shape::Object(&TRANSFORM_HEADERS)),
    Field::honour("contextVariables", Shape::Object(&SWITCH)),
    Field::honour("cors", Shape::Object(&CORS)),
    Field::honour("requestSizeLimit", Shape::Object(&REQUEST_SIZE_LIMIT)),
    Field::honour("ignoreCase", Shape::Object(&SWITCH)),
    Field::warn("cache", CACHE),
    Field::honour("skipRateLimit", Shape::Bool),
    Field::honour("skipQuota", Shape::Bool),
    // No key is created here, so no quota could be reset by that.
    Field::ignore("skipQuotaReset"),
    Field::warn("trafficLogs", REPORTING),
    Field::refuse("pluginConfig", CODE),
    Field::refuse("prePlugin", CODE),
    Field::refuse("prePlugins", CODE),
    Field::refuse("postAuthenticationPlugin", CODE),
    Field::refuse("postAuthenticationPlugins", CODE),
    Field::refuse("postPlugin", CODE),
    Field::refuse("postPlugins", CODE),
    Field::refuse("responsePlugin", CODE),
    Field::refuse("responsePlugins", CODE),
]);

static REQUEST_SIZE_LIMIT: Section =
    guarded(&[Field::honour("enabled", Shape::Bool), Field::honour("value", Shape::Count)]);

static TRANSFORM_HEADERS: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("add", Shape::List(&Shape::Object(&HEADER))),
    Field::honour("remove", Shape::Texts),
]);

static HEADER: Section = guarded(&[Field::honour("name", Shape::Text), Field::honour("value", Shape::Text)]);

static CORS: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("maxAge", Shape::Count),
    Field::honour("allowCredentials", Shape::Bool),
    Field::honour("exposedHeaders", Shape::Texts),
    Field::honour("allowedHeaders", Shape::Texts),
    Field::honour("optionsPassthrough", Shape::Bool),
    Field::ignore("debug"),
    Field::honour("allowedOrigins", Shape::Texts),
    Field::honour("allowedMethods", Shape::Texts),
]);

static OPERATION: Section = section(&[
    Field::honour("allow", Shape::Object(&PATH_SWITCH)),
    Field::honour("block", Shape::Object(&PATH_SWITCH)),
    Field::honour("ignoreAuthentication", Shape::Object(&PATH_SWITCH)),
    Field::honour("internal", Shape::Object(&GUARDED_SWITCH)),
    Field::honour("transformRequestHeaders", Shape::Object(&TRANSFORM_HEADERS)),
    Field::honour("transformResponseHeaders", Shape::Object(&TRANSFORM_HEADERS)),
    Field::honour("urlRewrite", Shape::Object(&URL_REWRITE)),
    Field::honour("transformRequestMethod", Shape::Object(&TRANSFORM_METHOD)),
    Field::honour("rateLimit", Shape::Object(&RATE_LIMIT)),
    Field::honour("requestSizeLimit", Shape::Object(&REQUEST_SIZE_LIMIT)),
    Field::honour("enforceTimeout", Shape::Object(&ENFORCE_TIMEOUT)),
    Field::refuse("validateRequest", NOT_BUILT),
    Field::honour("mockResponse", Shape::Object(&MOCK_RESPONSE)),
    Field::warn("circuitBreaker", "requests are sent to failing upstreams as well"),
    Field::warn("cache", CACHE),
    Field::refuse("transformRequestBody", BODY),
    Field::refuse("transformResponseBody", BODY),
    Field::refuse("virtualEndpoint", CODE),
    Field::refuse("postPlugins", CODE),
    Field::ignore("trackEndpoint"),
    Field::ignore("doNotTrackEndpoint"),
]);

static URL_REWRITE: Section = guarded(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("pattern", Shape::Text),
    Field::honour("rewriteTo", Shape::Text),
    Field::honour("triggers", Shape::List(&Shape::Object(&REWRITE_TRIGGER))),
]);

static REWRITE_TRIGGER: Section = guarded(&[
    Field::honour("condition", Shape::Text),
    Field::honour("rules", Shape::List(&Shape::Object(&REWRITE_RULE))),
    Field::honour("rewriteTo", Shape::Text),
]);

static REWRITE_RULE: Section = guarded(&[
    Field::honour("in", Shape::Text),
    Field::honour("name", Shape::Text),
    Field::honour("pattern", Shape::Text),
    Field::honour("negate", Shape::Bool),
]);

static ENFORCE_TIMEOUT: Section =
    section(&[Field::honour("enabled", Shape::Bool), Field::honour("value", Shape::Count)]);

static PATH_SWITCH: Section =
    guarded(&[Field::honour("enabled", Shape::Bool), Field::honour("ignoreCase", Shape::Bool)]);

static TRANSFORM_METHOD: Section =
    guarded(&[Field::honour("enabled", Shape::Bool), Field::honour("toMethod", Shape::Text)]);

static MOCK_RESPONSE: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("code", Shape::Count),
    Field::honour("body", Shape::Text),
    Field::honour("headers", Shape::List(&Shape::Object(&HEADER))),
    Field::honour("fromOASExamples", Shape::Object(&FROM_OAS_EXAMPLES)),
]);

static FROM_OAS_EXAMPLES: Section = section(&[
    Field::honour("enabled", Shape::Bool),
    Field::honour("code", Shape::Count),
    Field::honour("contentType", Shape::Text),
    Field::honour("exampleName", Shape::Text),
]);

static CLAIMGATE: Section = guarded(&[
    Field::honour("upstream", Shape::Object(&CLAIMGATE_UPSTREAM)),
    Field::honour("server", Shape::Object(&CLAIMGATE_SERVER)),
    Field::honour("middleware", Shape::Object(&CLAIMGATE_MIDDLEWARE)),
]);

static CLAIMGATE_UPSTREAM: Section =
    guarded(&[Field::honour("rateLimit", Shape::Object(&CLAIMGATE_RATE_LIMIT))]);

static CLAIMGATE_RATE_LIMIT: Section =
    guarded(&[Field::honour("key", Shape::Texts), Field::honour("onFailure", Shape::Text)]);

static CLAIMGATE_SERVER: Section =
    guarded(&[Field::honour("authentication", Shape::Object(&CLAIMGATE_AUTHENTICATION))]);

static CLAIMGATE_AUTHENTICATION: Section = guarded(&[
    Field::honour("securitySchemes", Shape::Map(&Shape::Object(&CLAIMGATE_SCHEME))),
    Field::honour("optionalSecurity", Shape::Object(&GUARDED_SWITCH)),
]);

static GUARDED_SWITCH: Section = guarded(&[Field::honour("enabled", Shape::Bool)]);

static CLAIMGATE_SCHEME: Section = guarded(&[
    Field::honour("algorithms", Shape::Texts),
    Field::honour("requiredClaims", Shape::Texts),
    Field::honour("types", Shape::Texts),
    Field::honour("profile", Shape::Text),
    Field::honour("maxAge", Shape::Duration),
    Field::honour("maxLifetime", Shape::Duration),
    Field::honour("audienceMatch", Shape::Text),
    Field::honour("authorizedParties", Shape::Texts),
    Field::honour("claims", Shape::List(&Shape::Object(&TOKEN_RULE))),
    Field::honour("modes", Shape::Object(&MODES)),
    Field::honour("maxTokenSize", Shape::Count),
    Field::honour("keySources", Shape::List(&Shape::Object(&BOUND_SOURCE))),
    Field::honour("decryption", Shape::Object(&DECRYPTION)),
    Field::honour("scopeCheck", Shape::Object(&SCOPE_CHECK)),
    Field::honour("claimsToPolicies", Shape::Object(&CLAIMS_TO_POLICIES)),
]);

static CLAIMS_TO_POLICIES: Section = guarded(&[
    Field::honour("rules", Shape::List(&Shape::Object(&POLICY_RULE))),
    Field::honour("noMatch", Shape::Text),
]);

static POLICY_RULE: Section = guarded(&[
    Field::honour("claim", Shape::Text),
    Field::honour("values", Shape::List(&Shape::Any)),
    Field::honour("policies", Shape::Texts),
]);

static SCOPE_CHECK: Section =
    guarded(&[Field::honour("enabled", Shape::Bool), Field::honour("claimNames", Shape::Texts)]);

static TOKEN_RULE: Section = guarded(&[
    Field::honour("claim", Shape::Text),
    Field::honour("name", Shape::Text),
    Field::honour("mode", Shape::Text),
    Field::honour("optional", Shape::Bool),
    Field::honour("exists", Shape::Bool),
    Field::honour("equals", Shape::Any),
    Field::honour("notEquals", Shape::Any),
    Field::honour("oneOf", Shape::List(&Shape::Any)),
    Field::honour("noneOf", Shape::List(&Shape::Any)),
    Field::honour("contains", Shape::Any),
    Field::honour("containsAny", Shape::List(&Shape::Any)),
    Field::honour("containsAll", Shape::List(&Shape::Any)),
    Field::honour("containsOnly", Shape::List(&Shape::Any)),
    Field::honour("containsNone", Shape::List(&Shape::Any)),
    Field::honour("startsWith", Shape::Text),
    Field::honour("endsWith", Shape::Text),
    Field::honour("matches", Shape::Text),
    Field::honour("greaterThan", Shape::Number),
    Field::honour("atLeast", Shape::Number),
    Field::honour("lessThan", Shape::Number),
    Field::honour("atMost", Shape::Number),
]);

/// The checks that may do less than refuse, by their names. Rules about claims have their mode with them.
static MODES: Section = guarded(&[
    Field::honour("requiredClaims", Shape::Text),
    Field::honour("typ", Shape::Text),
    Field::honour("profile", Shape::Text),
    Field::honour("maxAge", Shape::Text),
    Field::honour("maxLifetime", Shape::Text),
    Field::honour("iss", Shape::Text),
    Field::honour("aud", Shape::Text),
    Field::honour("azp", Shape::Text),
    Field::honour("jti", Shape::Text),
    Field::honour("sub", Shape::Text),
    Field::refuse_content("exp", TIMES),
    Field::refuse_content("nbf", TIMES),
    Field::refuse_content("iat", TIMES),
]);

static DECRYPTION: Section = guarded(&[
    Field::honour("keys", Shape::List(&Shape::Object(&DECRYPTION_KEY))),
    Field::honour("algorithms", Shape::Texts),
    Field::honour("contentEncryption", Shape::Texts),
    Field::honour("required", Shape::Bool),
]);

static DECRYPTION_KEY: Section = guarded(&[
    Field::honour("source", Shape::Text),
    Field::honour("kid", Shape::Text),
    Field::honour("algorithm", Shape::Text),
]);

static BOUND_SOURCE: Section = guarded(&[
    Field::honour("url", Shape::Text),
    Field::honour("source", Shape::Text),
    Field::honour("issuer", Shape::Text),
    Field::honour("issuers", Shape::Texts),
    Field::honour("audiences", Shape::Texts),
    Field::honour("algorithms", Shape::Texts),
    Field::honour("types", Shape::Texts),
    Field::honour("cacheTimeout", Shape::Duration),
    Field::honour("fetch", Shape::Object(&FETCH)),
]);

static FETCH: Section = guarded(&[
    Field::honour("ca", Shape::Text),
    Field::honour("clientCertificate", Shape::Text),
    Field::honour("clientKey", Shape::Text),
    Field::honour("proxy", Shape::Text),
    Field::honour("headers", Shape::Map(&Shape::Text)),
    Field::honour("plainHttp", Shape::Text),
    Field::honour("privateNetworks", Shape::Text),
    Field::honour("timeout", Shape::Duration),
    Field::honour("maxBytes", Shape::Count),
    Field::honour("maxKeys", Shape::Count),
    Field::honour("maxStale", Shape::Duration),
]);

static CLAIMGATE_MIDDLEWARE: Section = guarded(&[
    Field::honour("global", Shape::Object(&CLAIMGATE_GLOBAL)),
    Field::honour("operations", Shape::Map(&Shape::Object(&CLAIMGATE_OPERATION))),
]);

static CLAIMGATE_OPERATION: Section =
    guarded(&[Field::honour("optionalAuthentication", Shape::Object(&GUARDED_SWITCH))]);

static CLAIMGATE_GLOBAL: Section = guarded(&[
    Field::honour("unanchoredPaths", Shape::Object(&GUARDED_SWITCH)),
    Field::honour("claimHeaders", Shape::List(&Shape::Object(&CLAIM_HEADER))),
    Field::honour("payloadHeader", Shape::Object(&PAYLOAD_HEADER)),
]);

static CLAIM_HEADER: Section = guarded(&[
    Field::honour("name", Shape::Text),
    Field::honour("claim", Shape::Text),
    Field::honour("default", Shape::Text),
    Field::honour("separator", Shape::Text),
    Field::honour("encoding", Shape::Text),
]);

static PAYLOAD_HEADER: Section =
    guarded(&[Field::honour("name", Shape::Text), Field::honour("maxSize", Shape::Count)]);
