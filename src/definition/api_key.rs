//! An API key scheme.

use serde_json::Value;

use super::{ApiKeyScheme, context::Context, fields::API_KEY_SCHEME, places::RawPlaces, raw};
use crate::{auth::Place, document::FieldPath};

impl Context<'_> {
    /// The scheme of this name: where OpenAPI says that the key is, and in the places that the extension
    /// adds. Nothing after an error.
    pub(super) fn api_key_scheme(
        &mut self,
        at: &FieldPath,
        name: &str,
        (openapi, value): (&raw::OpenApiScheme, &Value),
        org_id: &str,
    ) -> Option<ApiKeyScheme> {
        let mut value = value.clone();
        API_KEY_SCHEME.check(self.document, at, &mut value, self.findings);
        let scheme: raw::ApiKeyScheme = serde_json::from_value(value).unwrap_or_default();
        if !scheme.enabled {
            let message = "security requires this scheme, but it is off; set it to true";
            self.error(&at.member("enabled"), message);
            return None;
        }
        let at_openapi = FieldPath::top().members(&["components", "securitySchemes", name]);
        if openapi.name.is_empty() {
            self.error(&at_openapi.member("name"), "an API key needs the name of its place; add one");
            return None;
        }
        // What OpenAPI says counts, whatever the extension says of the same place, as in Tyk.
        let declared = raw::Place { enabled: true, name: openapi.name.clone() };
        let (mut header, mut query, mut cookie) = (scheme.header, scheme.query, scheme.cookie);
        match openapi.r#in.as_str() {
            "header" => header = Some(declared),
            "query" => query = Some(declared),
            "cookie" => cookie = Some(declared),
            _ => {
                let message = "an API key is in a header, query or cookie; write one of these";
                self.error(&at_openapi.member("in"), message);
                return None;
            }
        }
        let places = RawPlaces { header: header.as_ref(), query: query.as_ref(), cookie: cookie.as_ref() };
        let Ok(places) = places.parse() else {
            self.error(&at_openapi.member("name"), "this is not a header name; correct it");
            return None;
        };
        if places.iter().any(|place| matches!(place, Place::Query(_))) {
            let message = "an API key in the query stands in logs and histories of others; a header is safer";
            self.warning(at, message);
        }
        Some(ApiKeyScheme { name: name.into(), places, org_id: org_id.into() })
    }
}

/// Names of types are compared without letter case, as those of schemes are.
pub(super) fn is_api_key(scheme: &raw::OpenApiScheme) -> bool {
    scheme.r#type.eq_ignore_ascii_case("apiKey")
}
