//! What the upstream learns of the claims (`claimHeaders`, `payloadHeader`).

use std::sync::Arc;

use http::HeaderName;

use super::{SecurityScheme, context::Context, raw};
use crate::{
    auth::Security,
    document::FieldPath,
    lookalikes,
    middleware::{ClaimHeader, ClaimHeaders, Form, HeaderRules, Operations, PayloadHeader},
    proxy::is_claim_of_proxies,
};

/// What stands between the elements of a list if nothing else is said.
const SEPARATOR: &str = ",";
/// The longest payload header in octets if nothing else is said: as much as many servers take in one
/// field.
const MAX_PAYLOAD: u64 = 8 * 1024;

pub(super) struct ClaimHeadersParser<'c, 'p> {
    pub(super) context: &'c mut Context<'p>,
    /// Where the global part of our extension's middleware stands.
    pub(super) at: FieldPath,
}

impl ClaimHeadersParser<'_, '_> {
    /// Reads the fields, which neither come twice nor are set by the rules of the API or its operations, of
    /// an API with these requirements.
    pub(super) fn parse(
        mut self,
        raw: &raw::ClaimgateGlobal,
        of_api: &HeaderRules,
        operations: &Operations,
        required: Option<&Security<Arc<SecurityScheme>>>,
    ) -> ClaimHeaders {
        let at_claims = self.at.member("claimHeaders");
        let at_payload = self.at.member("payloadHeader");
        let mut places = Vec::new();
        let mut headers = ClaimHeaders::default();
        for (n, header) in raw.claim_headers.iter().enumerate() {
            let at = at_claims.element(n);
            if let Some(header) = self.header(&at, header) {
                headers.claims.push(header);
                places.push(at);
            }
        }
        headers.payload = raw.payload_header.as_ref().and_then(|raw| self.payload(&at_payload, raw));
        places.push(at_payload);
        let rules = || operations.iter().map(|operation| &operation.request_headers).chain([of_api]);
        let set: Vec<&HeaderName> = rules().flat_map(HeaderRules::templates).map(|(name, _)| name).collect();
        let mut earlier: Vec<&HeaderName> = Vec::new();
        for (name, at) in headers.names().zip(&places) {
            let is_read_alike =
                |other: &&HeaderName| lookalikes::is_read_alike(name.as_str(), other.as_str());
            let message = if earlier.iter().any(is_read_alike) {
                "an earlier entry sets this header, or one that servers take for it; keep one of them"
            } else if set.iter().any(is_read_alike) {
                "transformRequestHeaders sets this header as well, or one that servers take for it; set it in one place"
            } else if is_claim_of_proxies(name) {
                "upstreams read from this header, or one that they take for it, where a request comes from; a claim does not say so: give it another name"
            } else {
                earlier.push(name);
                continue;
            };
            self.context.error(&at.member("name"), message);
        }
        let first = headers.names().zip(&places).next().map(|(_, at)| at);
        if let Some((at, token)) = first.zip(required.and_then(unheard)) {
            let message = format!(
                "an API key says who the caller is where {token} and a key are both required, so no claim of the token gets here and these fields are empty; write baseIdentityProvider: jwt_claim if the token is to say who the caller is"
            );
            self.context.warning(at, message);
        }
        headers
    }

    fn header(&mut self, at: &FieldPath, raw: &raw::ClaimHeader) -> Option<ClaimHeader> {
        let claim = self.context.locator(&at.member("claim"), &raw.claim);
        let form = self.form(at, raw)?;
        let header = ClaimHeader::new(&raw.name, claim?, &raw.default, form);
        header.map_err(|reason| self.context.error(at, reason.to_string())).ok()
    }

    fn form(&mut self, at: &FieldPath, raw: &raw::ClaimHeader) -> Option<Form> {
        let separator = raw.separator.as_deref().unwrap_or(SEPARATOR);
        if separator.is_empty() || separator.chars().any(char::is_control) {
            let message = "without a separator that a header can hold, the elements of a list would run together; write one such as a comma";
            self.context.error(&at.member("separator"), message);
        }
        match raw.encoding.as_deref() {
            None | Some("plain") => Some(Form::Plain(separator.into())),
            Some("percent") => Some(Form::Percent(separator.into())),
            Some("base64url") => Some(Form::Base64Url(separator.into())),
            Some("json") => {
                if raw.separator.is_some() {
                    let message = "in JSON a list stays a list and has no separator; remove it";
                    self.context.error(&at.member("separator"), message);
                }
                Some(Form::Json)
            }
            Some(_) => {
                let message = "unknown encoding; write plain, percent, base64url or json";
                self.context.error(&at.member("encoding"), message);
                None
            }
        }
    }

    fn payload(&mut self, at: &FieldPath, raw: &raw::PayloadHeader) -> Option<PayloadHeader> {
        let size = raw.max_size.unwrap_or(MAX_PAYLOAD);
        if !(256..=64 * 1024).contains(&size) {
            let message = "the size is counted in octets, from 256 to 65536; correct it";
            self.context.error(&at.member("maxSize"), message);
        }
        let header = PayloadHeader::new(&raw.name, usize::try_from(size).unwrap_or(usize::MAX));
        header.map_err(|reason| self.context.error(at, reason.to_string())).ok()
    }
}

/// A token that is required together with an API key which gives the session: its claims are told nobody.
fn unheard(required: &Security<Arc<SecurityScheme>>) -> Option<&str> {
    let with_key = required.requirements().filter(|one| matches!(*one.session, SecurityScheme::ApiKey(_)));
    with_key.flat_map(|one| one.schemes()).find_map(|scheme| match &**scheme {
        SecurityScheme::Jwt(jwt) => Some(&*jwt.name),
        SecurityScheme::ApiKey(_) => None,
    })
}
