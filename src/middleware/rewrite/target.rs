//! What URLs become.

use std::fmt::{self, Write as _};

use super::{Captured, Groups};
use crate::{
    api_address::{ApiAddress, ApiAddressError, is_api_address},
    middleware::{Facts, Template},
    percent,
    proxy::{Upstream, UpstreamError, Upstreams},
};

/// What a URL becomes: a template, with groups of the pattern (`$1`), what rules of triggers have found
/// (`$tyk_context.trigger-0-Name-0`), and the variables of all templates.
#[derive(Debug)]
pub struct RewriteTarget {
    to: Server,
    pieces: Vec<Piece>,
}

/// Who gets the request.
#[derive(Debug)]
pub enum Server {
    /// Whoever gets all others.
    Same,
    /// Another server.
    Other(Upstreams),
    /// Another API of the gateway.
    Api(ApiAddress),
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// What a group has matched; whether it stands behind a `=` in the query, and is one value there.
    Group(usize, Within),
    /// What a rule has found.
    Found(String),
    Variable(Template),
}

/// Where in the target a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// In the value of a parameter.
    Value,
    /// Elsewhere.
    Other,
}

/// A new URL.
#[derive(Debug)]
pub struct Rewritten<'w> {
    /// Who gets it.
    pub to: &'w Server,
    /// The raw path, with its leading slash.
    pub path: String,
    /// The raw query.
    pub query: Option<String>,
    /// The same path with a letter for each claim and metadatum: what nobody vouches for.
    pub unvouched: String,
    /// A part of it is told by the caller: a claim, metadata, a header.
    pub has_variables: bool,
    /// A variable that stands for nothing has left a segment empty.
    pub has_empty_segment: bool,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The server is chosen by what a request says.
    Variable,
    /// It is no URL of a server.
    Server(UpstreamError),
    /// It is no address of an API.
    Api(ApiAddressError),
    /// It has a fragment.
    Fragment,
    /// It has dot segments.
    DotSegment,
    /// It has control characters.
    Control,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str(
                "which server or API gets a request must not depend on a variable or a group, for callers choose what they stand for; write the host out, and one trigger for each",
            ),
            Self::Server(reason) => reason.fmt(f),
            Self::Api(reason) => reason.fmt(f),
            Self::Fragment => f.write_str("a fragment is never sent; remove it, or write %23 for #"),
            Self::DotSegment => f.write_str("a path must not have the segments . or ..; write out what is meant"),
            Self::Control => f.write_str("a URL has no control characters; remove them"),
        }
    }
}

impl RewriteTarget {
    /// Reads a target: a path, the URL of another server (`http://host/path`) or the address of another
    /// API (`tyk://id/path`). The URL alone does not say all about a server: `configure` does.
    ///
    /// # Errors
    /// [`TargetError`] when it is none, or when what a request says would choose the server.
    pub fn new(text: &str, configure: impl FnOnce(&mut Upstream)) -> Result<Self, TargetError> {
        if text.chars().any(char::is_control) {
            return Err(TargetError::Control);
        }
        let (to, path) = server(text, configure)?;
        if path.contains('#') {
            return Err(TargetError::Fragment);
        }
        let pieces = pieces(&path);
        let literal = path.split('?').next().unwrap_or_default();
        if literal.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(TargetError::DotSegment);
        }
        Ok(Self { to, pieces })
    }

    /// Who gets the request.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.to
    }

    /// The highest number of a group.
    #[must_use]
    pub fn highest_group(&self) -> usize {
        let group = |piece: &Piece| if let Piece::Group(n, _) = piece { Some(*n) } else { None };
        self.pieces.iter().filter_map(group).max().unwrap_or_default()
    }

    /// The variables of all templates.
    pub fn variables(&self) -> impl Iterator<Item = &Template> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(template) => Some(template),
            Piece::Text(_) | Piece::Group(..) | Piece::Found(_) => None,
        })
    }

    pub(super) fn render(
        &self,
        groups: &Groups<'_>,
        captured: &Captured,
        facts: &Facts<'_>,
    ) -> Rewritten<'_> {
        let mut url = String::new();
        let mut unvouched = String::new();
        let mut has_empty_segment = false;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            let (begin, in_path) = (url.len(), !url.contains('?'));
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Group(n, within) => groups.write(*n, *within, &mut url),
                Piece::Found(name) => url.push_str(&percent::encode_form(found(captured, name))),
                Piece::Variable(template) => url.push_str(&percent::encode_form(&template.text(facts))),
            }
            let is_vouched_for = matches!(piece, Piece::Variable(template) if template.is_of_caller());
            let written = url.get(begin..).unwrap_or_default();
            unvouched.push_str(if is_vouched_for { "x" } else { written });
            let is_nothing = matches!(piece, Piece::Variable(_)) && begin == url.len();
            let ends = match pieces.peek() {
                None => true,
                Some(Piece::Text(next)) => next.starts_with(['/', '?']),
                Some(_) => false,
            };
            has_empty_segment |= is_nothing && in_path && ends && url.ends_with('/');
        }
        let (path, query) = match url.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (&*url, None),
        };
        // Two slashes at the beginning would be a host to some.
        let rooted = |path: &str| format!("/{}", path.trim_start_matches('/'));
        let (path, unvouched) = (rooted(path), rooted(unvouched.split('?').next().unwrap_or_default()));
        let has_variables = self.variables().next().is_some();
        Rewritten { to: &self.to, path, query, unvouched, has_variables, has_empty_segment }
    }
}

/// What was found under this name; names of header fields are the same in whatever letter case.
fn found<'c>(captured: &'c Captured, name: &str) -> &'c str {
    let same = captured.iter().find(|(own, _)| own == name);
    let similar = || captured.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    same.or_else(similar).map_or("", |(_, value)| value)
}

/// Who gets the request, and what is left of the text: the path and the query.
fn server(text: &str, configure: impl FnOnce(&mut Upstream)) -> Result<(Server, String), TargetError> {
    let is_variable = |text: &str| text.contains('$');
    if is_api_address(text) {
        let (address, path) = ApiAddress::parse(text).map_err(TargetError::Api)?;
        let is_chosen = address.api.name().is_some_and(|name| is_variable(name.as_id()));
        return if is_chosen { Err(TargetError::Variable) } else { Ok((Server::Api(address), path)) };
    }
    // A scheme ends before the first slash; a path has no colon there.
    let begin = text.split(['/', '?']).next().unwrap_or_default();
    if text.starts_with("$tyk_") || (is_variable(begin) && begin.contains(':')) {
        return Err(TargetError::Variable);
    }
    if !begin.contains(':') {
        return Ok((Server::Same, text.to_owned()));
    }
    let (scheme, rest) = text.split_once("://").ok_or(TargetError::Server(UpstreamError::NotAUrl))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    if is_variable(authority) {
        return Err(TargetError::Variable);
    }
    let mut upstream = Upstream::new(&format!("{scheme}://{authority}")).map_err(TargetError::Server)?;
    configure(&mut upstream);
    Ok((Server::Other(upstream.into()), path.to_owned()))
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = text.get(..text.len().saturating_sub(rest.len())).unwrap_or_default();
        let Some((piece, after)) = variable(before, rest) else {
            let (this, after) = rest.split_at(c.len_utf8());
            push_literal(this, &mut literal);
            rest = after;
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
        rest = after;
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}

/// Where something stands that comes behind this in a target.
fn within(before: &str) -> Within {
    let query = before.split_once('?').map_or("", |(_, query)| query);
    let parameter = query.rsplit(['&', ';']).next().unwrap_or_default();
    if parameter.contains('=') { Within::Value } else { Within::Other }
}

/// The variable at the beginning of a text that stands behind another, and what follows it.
fn variable<'t>(before: &str, text: &'t str) -> Option<(Piece, &'t str)> {
    let name = text.strip_prefix('$')?;
    let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
    if digits > 0 {
        let (number, after) = name.split_at(digits);
        return Some((Piece::Group(number.parse().unwrap_or(usize::MAX), within(before)), after));
    }
    let prefix = ["tyk_context.", "tyk_meta."].into_iter().find(|prefix| name.starts_with(prefix))?;
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = name.find(|c| !in_name(c)).unwrap_or(name.len());
    let (name, after) = name.split_at(end);
    let piece = match name.strip_prefix(prefix).filter(|name| name.starts_with("trigger-")) {
        Some(found) => Piece::Found(found.to_owned()),
        None => Piece::Variable(Template::new(&format!("${name}"))),
    };
    Some((piece, after))
}

/// What cannot stand in a URL is escaped.
fn push_literal(text: &str, literal: &mut String) {
    for octet in text.bytes() {
        if matches!(octet, 0x21..=0x7E) && !matches!(octet, b'"' | b'<' | b'>' | b'\\') {
            literal.push(char::from(octet));
        } else {
            push_escaped(octet, literal);
        }
    }
}

fn push_escaped(octet: u8, text: &mut String) {
    // Writing to a text cannot fail.
    let _ = write!(text, "%{octet:02X}");
}

impl Groups<'_> {
    /// Writes what a group has matched, as it was sent. Where the target puts it into its query, what was
    /// path becomes no parameter, and what it puts into a value stays one value; where it puts it into its
    /// path, what was query begins none.
    fn write(&self, group: usize, within: Within, url: &mut String) {
        let Some(found) = self.captures.get(group) else { return };
        let into_query = url.contains('?');
        let has_path = found.start() < self.path;
        let is_value = within == Within::Value && self.one_value;
        for (at, octet) in (found.start()..).zip(found.as_str().bytes()) {
            let is_path = at < self.path;
            let separates = match octet {
                b'+' => is_path && into_query,
                b'&' | b';' | b'=' => (is_path && into_query) || is_value,
                b'?' => !into_query && !has_path && at != self.path,
                _ => false,
            };
            let of_url = matches!(octet, 0x21..=0x7E) && !matches!(octet, b'"' | b'<' | b'>' | b'#');
            // An escape that was decoded before is none any more.
            let is_none = is_path && self.is_decoded && matches!(octet, b'%' | b'?' | b'\\');
            if separates || !of_url || is_none {
                push_escaped(octet, url);
            } else {
                url.push(char::from(octet));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Result<RewriteTarget, TargetError> {
        RewriteTarget::new(text, |_| {})
    }

    #[test]
    fn no_request_chooses_the_server() {
        for text in [
            "http://$tyk_context.jwt_claims_host/x",
            "http://$1/x",
            "http://a.$1/x",
            "http://a$1/x",
            "http://a:$1/x",
            "http://$tyk_meta.host",
            "$1://a/x",
            "$tyk_context.jwt_claims_url",
            "$tyk_meta.url/x",
            "http$1://a/x",
            "tyk://$1/x",
            "tyk://$tyk_context.jwt_claims_api/x",
        ] {
            assert_eq!(target(text).err(), Some(TargetError::Variable), "{text}");
        }
        for text in ["http://", "ftp://x/", "x:y", "http:/$1", "http://u@x/", "http://u:$1@x/", "http:$1"] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_told_apart() {
        let server = |text: &str| match target(text).unwrap().to {
            Server::Same => "same".to_owned(),
            Server::Other(upstreams) => {
                upstreams.next_turn().next().unwrap().host.to_str().unwrap().to_owned()
            }
            Server::Api(address) => address.api.name().map_or_else(|| "self".to_owned(), ToString::to_string),
        };
        for (text, expected) in [
            ("/x", "same"),
            ("x/$1", "same"),
            ("$1", "same"),
            ("$1/http://evil", "same"),
            ("/x?u=http://evil/$1", "same"),
            ("", "same"),
            ("http://a:80/x/$1", "a:80"),
            ("http://a?$1", "a"),
            ("HTTPS://a", "a"),
            ("tyk://orders/x/$1", "orders"),
            ("tyk://self", "self"),
        ] {
            assert_eq!(server(text), expected, "{text}");
        }
        for (text, error) in [
            ("/x#y", TargetError::Fragment),
            ("/x/../y", TargetError::DotSegment),
            ("/x\r\n", TargetError::Control),
        ] {
            assert_eq!(target(text).err(), Some(error), "{text}");
        }
    }
}
