//! The document as it is written: a mirror for serde, without defaults of its own and without
//! decisions. The tables in [`fields`](super::fields) have taken out what cannot be read.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A map that keeps the order of the document.
pub(super) type Members<T> = Vec<(String, T)>;

pub(super) fn members<'de, D: Deserializer<'de>, T: for<'t> Deserialize<'t>>(
    deserializer: D,
) -> Result<Members<T>, D::Error> {
    let map = Map::deserialize(deserializer)?;
    map.into_iter()
        .map(|(name, value)| Ok((name, serde_json::from_value(value).map_err(serde::de::Error::custom)?)))
        .collect()
}

macro_rules! mirrors {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Default, Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(super) struct $name { $($(#[$field_meta])* pub(super) $field: $type,)* }
        )*
    };
}

mirrors! {
    struct OpenApi {
        openapi: Option<Value>,
        paths: Map<String, Value>,
        components: Components,
        #[serde(deserialize_with = "requirements")]
        security: Option<Vec<Members<Value>>>,
        #[serde(rename = "x-tyk-api-gateway")]
        tyk: Option<Tyk>,
        #[serde(rename = "x-claimgate")]
        claimgate: Claimgate,
    }

    struct Components {
        #[serde(deserialize_with = "members")]
        security_schemes: Members<OpenApiScheme>,
    }

    struct OpenApiScheme {
        r#type: String,
        scheme: String,
        bearer_format: String,
        r#in: String,
        name: String,
    }

    struct Tyk {
        info: Info,
        upstream: Upstream,
        server: Server,
        middleware: Middleware,
        error_overrides: ErrorOverrides,
    }

    struct ErrorOverrides {
        enabled: bool,
        #[serde(deserialize_with = "members")]
        value: Members<Vec<ErrorOverride>>,
    }

    struct ErrorOverride {
        r#match: ErrorMatch,
        response: ErrorResponse,
    }

    // The gateway-wide form has the names of Tyk's own configuration.
    struct ErrorMatch {
        flag: String,
        #[serde(alias = "message_pattern")]
        message_pattern: String,
        #[serde(alias = "body_field")]
        body_field: String,
        #[serde(alias = "body_value")]
        body_value: String,
    }

    struct ErrorResponse {
        #[serde(alias = "status_code")]
        status_code: Option<u64>,
        body: String,
        message: String,
        template: String,
        #[serde(deserialize_with = "members")]
        headers: Members<String>,
    }

    struct Info {
        name: String,
        id: String,
        org_id: String,
        state: State,
        expiration: String,
        versioning: Versioning,
    }

    struct Versioning {
        enabled: bool,
        name: String,
        default: String,
        location: String,
        key: String,
        versions: Vec<VersionReference>,
        strip_versioning_data: bool,
        fallback_to_default: bool,
        url_versioning_pattern: String,
    }

    struct VersionReference {
        name: String,
        id: String,
    }

    struct State {
        active: Option<bool>,
        internal: bool,
    }

    struct Upstream {
        url: String,
        preserve_host_header: Switch,
        preserve_trailing_slash: Switch,
        rate_limit: RateLimit,
        load_balancing: LoadBalancing,
        tls_transport: TlsTransport,
    }

    struct TlsTransport {
        insecure_skip_verify: bool,
        force_common_name_check: bool,
        min_version: String,
        max_version: String,
        ciphers: Vec<String>,
    }

    struct LoadBalancing {
        enabled: bool,
        targets: Vec<BalancedTarget>,
    }

    struct BalancedTarget {
        url: String,
        weight: u64,
    }

    struct RateLimit {
        enabled: bool,
        rate: f64,
        per: String,
    }

    struct Switch {
        enabled: bool,
    }

    struct Server {
        listen_path: ListenPath,
        authentication: Authentication,
        custom_domain: CustomDomain,
        gateway_tags: GatewayTags,
        ip_access_control: IpAccessControl,
        context_variables: Switch,
    }

    struct IpAccessControl {
        enabled: bool,
        allow: Vec<String>,
        block: Vec<String>,
    }

    struct ListenPath {
        value: String,
        strip: bool,
    }

    struct GatewayTags {
        enabled: bool,
        tags: Vec<String>,
    }

    struct CustomDomain {
        enabled: bool,
        name: String,
    }

    struct Authentication {
        enabled: Option<bool>,
        strip_authorization_data: bool,
        base_identity_provider: String,
        #[serde(deserialize_with = "members")]
        security_schemes: Members<Value>,
        security_processing_mode: String,
        security: Vec<Vec<String>>,
        protected_resource_metadata: ProtectedResourceMetadata,
    }

    struct ProtectedResourceMetadata {
        enabled: bool,
        well_known_path: String,
        resource: String,
        authorization_servers: Vec<String>,
        scopes_supported: Vec<String>,
        auto_derive_scopes: bool,
    }

    struct Scheme {
        enabled: bool,
        header: Option<Place>,
        query: Option<Place>,
        cookie: Option<Place>,
        source: String,
        #[serde(rename = "jwksURIs")]
        jwks_uris: Vec<JwksUri>,
        signing_method: Option<String>,
        identity_base_field: String,
        subject_claims: Vec<String>,
        skip_kid: bool,
        policy_field_name: String,
        client_base_field: String,
        base_policy_claims: Vec<String>,
        scopes: ScopesBlock,
        default_policies: Vec<String>,
        issued_at_validation_skew: u64,
        not_before_validation_skew: u64,
        expires_at_validation_skew: u64,
        allowed_issuers: Vec<String>,
        allowed_audiences: Vec<String>,
        allowed_subjects: Vec<String>,
        jti_validation: Switch,
        #[serde(deserialize_with = "members")]
        custom_claim_validation: Members<ClaimRule>,
    }

    struct ApiKeyScheme {
        enabled: bool,
        header: Option<Place>,
        query: Option<Place>,
        cookie: Option<Place>,
    }

    struct Place {
        enabled: bool,
        name: String,
    }

    struct JwksUri {
        url: String,
        cache_timeout: Option<String>,
    }

    struct ScopesBlock {
        claim_name: String,
        claims: Vec<String>,
        scope_to_policy_mapping: Vec<ScopeToPolicy>,
    }

    struct ScopeToPolicy {
        scope: String,
        policy_id: String,
    }

    struct ClaimRule {
        r#type: Option<String>,
        allowed_values: Vec<Value>,
        non_blocking: bool,
    }

    struct Middleware {
        global: Global,
        #[serde(deserialize_with = "members")]
        operations: Members<Operation>,
    }

    struct Global {
        transform_request_headers: TransformHeaders,
        transform_response_headers: TransformHeaders,
        context_variables: Option<Switch>,
        cors: Cors,
        request_size_limit: RequestSizeLimit,
        ignore_case: Switch,
        skip_rate_limit: bool,
        skip_quota: bool,
    }

    struct RequestSizeLimit {
        enabled: bool,
        value: u64,
    }

    struct TransformHeaders {
        enabled: bool,
        add: Vec<Header>,
        remove: Vec<String>,
    }

    struct Header {
        name: String,
        value: String,
    }

    struct Cors {
        enabled: bool,
        max_age: u64,
        allow_credentials: bool,
        exposed_headers: Vec<String>,
        allowed_headers: Vec<String>,
        options_passthrough: bool,
        allowed_origins: Vec<String>,
        allowed_methods: Vec<String>,
    }

    struct Operation {
        allow: PathSwitch,
        block: PathSwitch,
        internal: Switch,
        ignore_authentication: PathSwitch,
        request_size_limit: RequestSizeLimit,
        transform_request_method: TransformMethod,
        transform_request_headers: TransformHeaders,
        transform_response_headers: TransformHeaders,
        mock_response: MockResponse,
        rate_limit: RateLimit,
        enforce_timeout: EnforceTimeout,
        url_rewrite: UrlRewrite,
    }

    struct UrlRewrite {
        enabled: bool,
        pattern: String,
        rewrite_to: String,
        triggers: Vec<RewriteTrigger>,
    }

    struct RewriteTrigger {
        condition: String,
        rules: Vec<RewriteRule>,
        rewrite_to: String,
    }

    struct RewriteRule {
        r#in: String,
        name: String,
        pattern: String,
        negate: bool,
    }

    struct EnforceTimeout {
        enabled: bool,
        value: u64,
    }

    struct PathSwitch {
        enabled: bool,
        ignore_case: bool,
    }

    struct TransformMethod {
        enabled: bool,
        to_method: String,
    }

    struct MockResponse {
        enabled: bool,
        code: Option<u64>,
        body: String,
        headers: Vec<Header>,
        #[serde(rename = "fromOASExamples")]
        from_oas_examples: FromOasExamples,
    }

    struct FromOasExamples {
        enabled: bool,
        code: Option<u64>,
        content_type: String,
        example_name: String,
    }

    struct Claimgate {
        upstream: ClaimgateUpstream,
        server: ClaimgateServer,
        middleware: ClaimgateMiddleware,
    }

    struct ClaimgateUpstream {
        rate_limit: ClaimgateRateLimit,
    }

    struct ClaimgateRateLimit {
        key: Option<Vec<String>>,
        on_failure: Option<String>,
    }

    struct ClaimgateMiddleware {
        global: ClaimgateGlobal,
        #[serde(deserialize_with = "members")]
        operations: Members<ClaimgateOperation>,
    }

    struct ClaimgateOperation {
        optional_authentication: Switch,
    }

    struct ClaimgateGlobal {
        unanchored_paths: Switch,
        claim_headers: Vec<ClaimHeader>,
        payload_header: Option<PayloadHeader>,
    }

    struct ClaimHeader {
        name: String,
        claim: String,
        default: String,
        separator: Option<String>,
        encoding: Option<String>,
    }

    struct PayloadHeader {
        name: String,
        max_size: Option<u64>,
    }

    struct ClaimgateServer {
        authentication: ClaimgateAuthentication,
    }

    struct ClaimgateAuthentication {
        #[serde(deserialize_with = "members")]
        security_schemes: Members<ClaimgateScheme>,
        optional_security: Switch,
    }

    struct ClaimgateScheme {
        algorithms: Option<Vec<String>>,
        required_claims: Vec<String>,
        types: Option<Vec<String>>,
        profile: Option<String>,
        max_age: Option<String>,
        max_lifetime: Option<String>,
        audience_match: Option<String>,
        authorized_parties: Option<Vec<String>>,
        claims: Vec<TokenRule>,
        #[serde(deserialize_with = "members")]
        modes: Members<String>,
        max_token_size: Option<u64>,
        key_sources: Vec<BoundSource>,
        decryption: Option<Decryption>,
        scope_check: Option<ScopeCheck>,
        claims_to_policies: Option<ClaimsToPolicies>,
    }

    struct ClaimsToPolicies {
        rules: Vec<PolicyRule>,
        no_match: Option<String>,
    }

    struct PolicyRule {
        claim: String,
        values: Vec<Value>,
        policies: Vec<String>,
    }

    struct ScopeCheck {
        enabled: Option<bool>,
        claim_names: Vec<String>,
    }

    struct TokenRule {
        claim: String,
        name: Option<String>,
        mode: Option<String>,
        optional: bool,
        exists: Option<bool>,
        equals: Option<Value>,
        not_equals: Option<Value>,
        one_of: Option<Vec<Value>>,
        none_of: Option<Vec<Value>>,
        contains: Option<Value>,
        contains_any: Option<Vec<Value>>,
        contains_all: Option<Vec<Value>>,
        contains_only: Option<Vec<Value>>,
        contains_none: Option<Vec<Value>>,
        starts_with: Option<String>,
        ends_with: Option<String>,
        matches: Option<String>,
        greater_than: Option<Value>,
        at_least: Option<Value>,
        less_than: Option<Value>,
        at_most: Option<Value>,
    }

    struct Decryption {
        keys: Vec<DecryptionKey>,
        algorithms: Option<Vec<String>>,
        content_encryption: Option<Vec<String>>,
        required: Option<bool>,
    }

    struct DecryptionKey {
        source: String,
        kid: Option<String>,
        algorithm: Option<String>,
    }

    struct BoundSource {
        url: String,
        source: String,
        issuer: String,
        issuers: Vec<String>,
        audiences: Vec<String>,
        algorithms: Vec<String>,
        types: Vec<String>,
        cache_timeout: Option<String>,
        fetch: Option<Map<String, Value>>,
    }
}

fn requirements<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Members<Value>>>, D::Error> {
    let list = Option::<Vec<Map<String, Value>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|requirement| requirement.into_iter().collect()).collect()))
}
