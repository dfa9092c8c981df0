//! The versions of an API (`info.versioning`).

use std::collections::HashMap;

use regex::Regex;

use super::{context::Context, raw};
use crate::{
    api_address::ApiName,
    document::FieldPath,
    versioning::{VersionPlace, Versions},
};

/// Reads the block `versioning`, which stands at `at`. What is wrong with it is told, and the other
/// APIs go to `leads_to`; nothing, if it is switched off.
pub(super) fn versions(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::Versioning,
    leads_to: &mut Vec<(ApiName, FieldPath)>,
) -> Option<Versions> {
    if !raw.enabled {
        return None;
    }
    let mut others = HashMap::new();
    for (n, version) in raw.versions.iter().enumerate() {
        let at = at.member("versions").element(n);
        if version.name.is_empty() || version.id.is_empty() {
            context.error(&at, "a version has a name, and the id of an API; write both");
            continue;
        }
        if version.name == raw.name || version.name == "self" {
            let message = "this name is that of the base itself, which answers instead; write another name";
            context.error(&at.member("name"), message);
        }
        let api = ApiName::new(&version.id);
        leads_to.push((api.clone(), at.member("id")));
        if others.insert(version.name.as_str().into(), api).is_some() {
            context.error(&at.member("name"), "this name comes twice; write each version once");
        }
    }
    let default = raw.default.as_str();
    let is_known = |name: &str| name == "self" || name == raw.name || others.contains_key(name);
    if !default.is_empty() && !is_known(default) {
        let message = "no version has this name, so requests that name none are answered with 404; write self, or the name of a version";
        context.warning(&at.member("default"), message);
    }
    if default.is_empty() && raw.fallback_to_default {
        let message = "there is no default to fall back to; write one in default, or remove this";
        context.warning(&at.member("fallbackToDefault"), message);
    }
    let place = place(context, at, raw)?;
    Some(Versions {
        place,
        own_name: raw.name.as_str().into(),
        others,
        default: (!default.is_empty()).then(|| default.into()),
        falls_back: raw.fallback_to_default,
        strips: raw.strip_versioning_data,
    })
}

fn place(context: &mut Context<'_>, at: &FieldPath, raw: &raw::Versioning) -> Option<VersionPlace> {
    let (at_key, at_pattern) = (at.member("key"), at.member("urlVersioningPattern"));
    let in_url = raw.location == "url";
    if !in_url && !raw.url_versioning_pattern.is_empty() {
        context
            .warning(&at_pattern, "only versions in the path are matched by it (location: url); remove it");
    }
    match raw.location.as_str() {
        "url" => {
            let pattern = Some(raw.url_versioning_pattern.as_str()).filter(|pattern| !pattern.is_empty());
            match pattern.map(Regex::new).transpose() {
                Ok(pattern) => Some(VersionPlace::Segment { pattern }),
                Err(_) => {
                    context.error(&at_pattern, "this is no regular expression that can be used; correct it");
                    None
                }
            }
        }
        "header" => {
            let name = raw.key.parse();
            name.map(VersionPlace::Header)
                .map_err(|_| {
                    let message = "this is no name of a header field; write one such as X-Api-Version";
                    context.error(&at_key, message);
                })
                .ok()
        }
        "url-param" if raw.key.is_empty() => {
            context.error(&at_key, "it must be said which parameter names the version; write its name");
            None
        }
        "url-param" => Some(VersionPlace::Parameter(raw.key.as_str().into())),
        _ => {
            let message = "this place is not known; write header, url-param or url";
            context.error(&at.member("location"), message);
            None
        }
    }
}
