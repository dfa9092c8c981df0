//! What others see of a definition, as it is written, and the few fields that are filled in for them.

use serde_json::{Value, json};

const TYK: &str = "x-tyk-api-gateway";
const EXTENSIONS: [&str; 2] = [TYK, "x-claimgate"];

/// The id of the API of a document, as it is written.
#[must_use]
pub fn id(document: &Value) -> Option<&str> {
    info(document).get("id")?.as_str().filter(|id| !id.is_empty())
}

/// Gives an id to a document that has none.
pub fn set_id(document: &mut Value, id: &str) {
    if let Some(info) = document.pointer_mut("/x-tyk-api-gateway/info").and_then(Value::as_object_mut) {
        info.insert("id".into(), id.into());
    }
}

/// Whether a document says what a gateway does.
#[must_use]
pub fn has_extension(document: &Value) -> bool {
    document.get(TYK).is_some()
}

/// The OpenAPI document alone.
#[must_use]
pub fn public(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(members) = document.as_object_mut() {
        EXTENSIONS.iter().for_each(|extension| drop(members.shift_remove(*extension)));
    }
    document
}

/// A new OpenAPI document with what the old one tells the gateway, as far as the new one does not say it.
#[must_use]
pub fn updated(old: &Value, mut new: Value) -> Value {
    if let Some(members) = new.as_object_mut() {
        for extension in EXTENSIONS {
            if let (false, Some(kept)) = (members.contains_key(extension), old.get(extension)) {
                members.insert(extension.into(), kept.clone());
            }
        }
    }
    new
}

/// The members of Tyk's classic definition that say where an API is and where it leads.
#[must_use]
pub fn classic(document: &Value) -> Value {
    let (info, at) = (info(document), |pointer: &str| document.pointer(pointer).cloned());
    let tyk = |path: &str| at(&format!("/{TYK}/{path}"));
    let is_on = |pointer: &str| tyk(pointer) == Some(Value::Bool(true));
    let name = info.get("name").cloned();
    json!({
        "api_id": info.get("id"),
        "org_id": info.get("orgId").cloned().unwrap_or_else(|| "".into()),
        "name": name,
        "slug": name.as_ref().and_then(Value::as_str).map(slug),
        "is_oas": true,
        "active": !matches!(tyk("info/state/active"), Some(Value::Bool(false))),
        "internal": is_on("info/state/internal"),
        "expiration": info.get("expiration").cloned().unwrap_or_else(|| "".into()),
        "use_keyless": !is_on("server/authentication/enabled"),
        "strip_auth_data": is_on("server/authentication/stripAuthorizationData"),
        "domain": tyk("server/customDomain/name").unwrap_or_else(|| "".into()),
        "domain_disabled": !is_on("server/customDomain/enabled"),
        "proxy": {
            "listen_path": tyk("server/listenPath/value"),
            "strip_listen_path": is_on("server/listenPath/strip"),
            "target_url": tyk("upstream/url"),
        },
    })
}

/// The versions of an API, of which it is one itself: for each the name, the id of the API that it is, and
/// whether it is the default.
#[must_use]
pub fn versions(document: &Value) -> Vec<(&str, &str, bool)> {
    let Some(own) = id(document) else { return Vec::new() };
    let versioning = info(document).get("versioning");
    let text = |name: &str| versioning.and_then(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default();
    let (name, default) = (text("name"), text("default"));
    let listed = versioning.and_then(|v| v.get("versions")).and_then(Value::as_array);
    let others = listed.into_iter().flatten().filter_map(|version| {
        let name = version.get("name")?.as_str()?;
        Some((name, version.get("id")?.as_str()?, name == default))
    });
    let is_default = listed.is_none() || default == "self" || default == name;
    std::iter::once((name, own, is_default)).chain(others).collect()
}

fn info(document: &Value) -> &Value {
    document.pointer("/x-tyk-api-gateway/info").unwrap_or(&Value::Null)
}

fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "openapi": "3.0.3",
            "paths": {},
            "x-tyk-api-gateway": {
                "info": { "id": "orders", "name": "Our Orders", "orgId": "o", "versioning": {
                    "enabled": true, "name": "v1", "default": "self",
                    "versions": [{ "id": "orders-v2", "name": "v2" }],
                } },
                "upstream": { "url": "http://u" },
                "server": { "listenPath": { "value": "/orders/", "strip": true } },
            },
            "x-claimgate": {},
        })
    }

    #[test]
    fn what_others_see() {
        let document = document();
        assert_eq!(id(&document), Some("orders"));
        assert_eq!(id(&json!({ "x-tyk-api-gateway": { "info": { "id": "" } } })), None);
        assert_eq!(public(&document), json!({ "openapi": "3.0.3", "paths": {} }));
        let classic = classic(&document);
        assert_eq!((&classic["api_id"], &classic["slug"]), (&json!("orders"), &json!("our-orders")));
        assert_eq!(classic["proxy"]["listen_path"], "/orders/");
        assert_eq!(versions(&document), [("v1", "orders", true), ("v2", "orders-v2", false)]);
    }

    #[test]
    fn an_openapi_document_is_updated() {
        let new = json!({ "openapi": "3.0.3", "paths": { "/x": {} }, "x-claimgate": { "a": 1 } });
        let updated = updated(&document(), new);
        assert_eq!(id(&updated), Some("orders"));
        assert_eq!((&updated["paths"], &updated["x-claimgate"]), (&json!({ "/x": {} }), &json!({ "a": 1 })));
    }
}
