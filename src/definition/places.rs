//! Where the credential of a scheme may be.

use super::raw;
use crate::auth::Place;

/// Where it is looked for if nothing else is said.
const AUTHORIZATION: &str = "Authorization";

/// The places of a scheme, as they are written.
#[derive(Clone, Copy)]
pub(super) struct RawPlaces<'r> {
    pub(super) header: Option<&'r raw::Place>,
    pub(super) query: Option<&'r raw::Place>,
    pub(super) cookie: Option<&'r raw::Place>,
}

/// What is no header name is named as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadHeaderName;

impl RawPlaces<'_> {
    /// The enabled places, in Tyk's order. The names of parameter and cookie default to that of the
    /// header field.
    pub(super) fn parse(self) -> Result<Vec<Place>, BadHeaderName> {
        let enabled =
            |place: Option<&raw::Place>| place.filter(|place| place.enabled).map(|place| place.name.clone());
        let named = |name: String, default: &str| if name.is_empty() { default.to_owned() } else { name };
        let header = enabled(self.header).map(|name| named(name, AUTHORIZATION));
        let default = header.as_deref().unwrap_or(AUTHORIZATION);
        let mut places = Vec::new();
        if let Some(header) = &header {
            places.push(Place::Header(header.parse().map_err(|_| BadHeaderName)?));
        }
        places.extend(enabled(self.query).map(|name| Place::Query(named(name, default))));
        places.extend(enabled(self.cookie).map(|name| Place::Cookie(named(name, default))));
        Ok(places)
    }
}
