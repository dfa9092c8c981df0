//! What a request asks for.

use std::borrow::Cow;

use http::{HeaderValue, Method, Uri, Version, header::HOST, request::Parts};

use crate::percent;

/// The longest path in octets that is decoded or cleaned. What costs more than a look belongs to those who
/// have a token; no server needs to take a longer request line (RFC 9112 section 3).
const MAX_ODD_PATH: usize = 8 * 1024;

/// The host, path and query of a request. The path is decoded once, for all who decide by it; the
/// upstream gets the octets that the client sent.
#[derive(Debug)]
pub(super) struct Target<'r> {
    /// The `Host` that was asked for.
    pub(super) host: Option<HeaderValue>,
    /// The same without port, in lower case.
    pub(super) host_name: String,
    /// The path as it was sent, or as another API made it.
    pub(super) raw: Cow<'r, str>,
    /// The path decoded.
    pub(super) path: Cow<'r, str>,
    /// The query as it was sent, or as another API made it.
    pub(super) query: Option<Cow<'r, str>>,
    /// Upstreams may read the path differently than we do.
    pub(super) ambiguous: bool,
}

/// What is wrong with a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadTarget {
    /// It is none that can be forwarded.
    Invalid,
    /// Its path has dot segments or empty segments: this is the path that is meant.
    Unclean(String),
}

impl<'r> Target<'r> {
    /// The target of a request with this URI and the rest of its head.
    pub(super) fn new(uri: &'r Uri, parts: &Parts) -> Result<Self, BadTarget> {
        let raw = uri.path();
        if !is_method(&parts.method) || !raw.starts_with('/') {
            return Err(BadTarget::Invalid);
        }
        let host = host(uri, parts)?;
        let host_name = host.as_ref().map(host_name).unwrap_or_default();
        let target = Self::of_path(raw.into(), uri.query().map(Into::into))?;
        Ok(Self { host, host_name, ..target })
    }

    /// The same, borrowed from nothing.
    pub(super) fn to_owned(&self) -> Target<'static> {
        Target {
            host: self.host.clone(),
            host_name: self.host_name.clone(),
            raw: self.raw.clone().into_owned().into(),
            path: self.path.clone().into_owned().into(),
            query: self.query.clone().map(|query| query.into_owned().into()),
            ambiguous: self.ambiguous,
        }
    }

    /// A request for the same host that another API made one for this path and query.
    pub(super) fn led_to(&self, raw: String, query: Option<String>) -> Result<Target<'static>, BadTarget> {
        let target = Target::of_path(raw.into(), query.map(Into::into))?;
        Ok(Target { host: self.host.clone(), host_name: self.host_name.clone(), ..target })
    }

    /// The same without the `length` octets of the decoded path that follow the first `taken`; nothing if no
    /// plain slash comes first in what was sent of them, for the path would not end there to everybody.
    pub(super) fn without(&self, taken: usize, length: usize) -> Option<Target<'static>> {
        let after = taken.saturating_add(length);
        let (start, end) = (self.raw_offset(taken), self.raw_offset(after));
        self.raw.get(start..).filter(|raw| raw.starts_with('/'))?;
        let cut = |path: &str, start, end| Some(format!("{}{}", path.get(..start)?, path.get(end..)?));
        let rooted = |path: String| if path.is_empty() { "/".to_owned() } else { path };
        let raw = rooted(cut(&self.raw, start, end)?);
        raw.starts_with('/').then_some(())?;
        let path = rooted(cut(&self.path, taken, after)?);
        Some(Target { raw: raw.into(), path: path.into(), ..self.to_owned() })
    }

    fn of_path(raw: Cow<'r, str>, query: Option<Cow<'r, str>>) -> Result<Self, BadTarget> {
        let new = |path, raw, query, ambiguous| Self {
            host: None,
            host_name: String::new(),
            raw,
            path,
            query,
            ambiguous,
        };
        if !raw.starts_with('/') {
            return Err(BadTarget::Invalid);
        }
        if is_plain(&raw) {
            return Ok(new(raw.clone(), raw, query, false));
        }
        if raw.len() > MAX_ODD_PATH {
            return Err(BadTarget::Invalid);
        }
        let (path, valid_text) = decode(&raw).ok_or(BadTarget::Invalid)?;
        if is_unclean(&path) {
            return Err(BadTarget::Unclean(with_query(&cleaned(&raw), query.as_deref())));
        }
        if climbs(&path) || (!valid_text && has_overlong(&raw)) {
            return Err(BadTarget::Invalid);
        }
        let ambiguous = !valid_text || is_ambiguous(&raw, &path);
        Ok(new(path.into(), raw, query, ambiguous))
    }

    /// The raw path behind the first `taken` octets of the decoded one.
    pub(super) fn raw_below(&self, taken: usize) -> &str {
        match self.raw.get(self.raw_offset(taken)..) {
            None | Some("") => "/",
            Some(rest) => rest,
        }
    }

    /// The raw path up to there.
    pub(super) fn raw_above(&self, taken: usize) -> &str {
        self.raw.get(..self.raw_offset(taken)).unwrap_or_default()
    }

    /// Where in the raw path the first `taken` octets of the decoded one end.
    fn raw_offset(&self, taken: usize) -> usize {
        let mut at = 0_usize;
        for _ in 0..taken {
            let escaped = self.raw.as_bytes().get(at) == Some(&b'%');
            at = at.saturating_add(if escaped { 3 } else { 1 });
        }
        at
    }

    /// The query.
    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The decoded path behind its first `taken` octets.
    pub(super) fn path_below(&self, taken: usize) -> &str {
        match self.path.get(taken..) {
            None | Some("") => "/",
            Some(below) => below,
        }
    }
}

/// Whether rules about methods and the upstream will agree which one this is. Methods are case-sensitive
/// (RFC 9110 section 9.1), but frameworks read `delete` as `DELETE`.
fn is_method(method: &Method) -> bool {
    const STANDARD: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    let meant = STANDARD.iter().find(|own| own.as_str().eq_ignore_ascii_case(method.as_str()));
    meant.is_none_or(|meant| meant == method && *meant != Method::CONNECT)
}

/// The host of an absolute-form target, else of the one `Host` field (RFC 9112 section 3.2).
fn host(uri: &Uri, parts: &Parts) -> Result<Option<HeaderValue>, BadTarget> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() || (field.is_none() && parts.version == Version::HTTP_11) {
        return Err(BadTarget::Invalid);
    }
    if field.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(BadTarget::Invalid);
    }
    let Some(authority) = uri.authority() else { return Ok(field.cloned()) };
    if authority.as_str().contains('@') || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(BadTarget::Invalid);
    }
    HeaderValue::from_str(authority.as_str()).map(Some).map_err(|_| BadTarget::Invalid)
}

/// A host, with or without port (RFC 9110 section 7.2).
fn is_host(host: &[u8]) -> bool {
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    let of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let (name, port) = match host.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|b| *b == b']') {
            Some(end) => (rest.get(..end), rest.get(end.saturating_add(1)..)),
            None => return false,
        },
        None => {
            let end = host.iter().position(|b| *b == b':').unwrap_or(host.len());
            (host.get(..end), host.get(end..))
        }
    };
    let (name, port) = (name.unwrap_or_default(), port.unwrap_or_default());
    let is_name = if host.starts_with(b"[") {
        !name.is_empty() && name.iter().all(of_address)
    } else {
        name.iter().all(of_name)
    };
    is_name && is_port(port)
}

/// Nothing, or a colon and a port, which may be left out (RFC 3986 section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    let Some(port) = text.strip_prefix(b":") else { return text.is_empty() };
    let digits = port.iter().all(u8::is_ascii_digit);
    let number = || std::str::from_utf8(port).ok()?.parse::<u16>().ok();
    digits && (port.is_empty() || number().is_some())
}

fn host_name(host: &HeaderValue) -> String {
    let host = host.to_str().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Nothing to decode, nothing to clean, nothing to doubt: nearly every path.
fn is_plain(raw: &str) -> bool {
    let odd = raw.bytes().any(|b| matches!(b, b'%' | b';' | b'$' | b'\\') || !(0x21..0x7F).contains(&b));
    !odd && !raw.contains("//") && !raw.contains("/.")
}

/// The path decoded, and whether it is UTF-8; nothing if an escape is malformed.
fn decode(raw: &str) -> Option<(String, bool)> {
    match String::from_utf8(percent::decode_path(raw)?) {
        Ok(path) => Some((path, true)),
        // Each octet that is no text stands as one character; no rule can name it.
        Err(error) => {
            let octets = error.into_bytes();
            Some((
                octets.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{1}' }).collect(),
                false,
            ))
        }
    }
}

/// Whether a decoded path has empty or dot segments.
fn is_unclean(path: &str) -> bool {
    path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// A raw path without empty and dot segments, be their dots and slashes escaped or not. What is left
/// keeps the octets that the client sent.
fn cleaned(raw: &str) -> String {
    let slashes = raw.replace("%2F", "%2f");
    let mut segments: Vec<&str> = Vec::new();
    for segment in slashes.split('/') {
        // An escaped slash counts as one where it ends an empty or dot segment, as it did when the path
        // was found unclean; elsewhere it stays.
        if segment.contains('%') && segment.split("%2f").any(|piece| dots(piece).is_some()) {
            segment.split("%2f").for_each(|piece| walk(&mut segments, piece));
        } else {
            walk(&mut segments, segment);
        }
    }
    let ends = |text: &str| text.ends_with('/') || text.ends_with("%2f");
    let end = if ends(&slashes) && !segments.is_empty() { "/" } else { "" };
    // Browsers read a back slash as a slash: two of them would lead to another host.
    format!("/{}{end}", segments.join("/").replace('\\', "%5C"))
}

/// Goes where a segment leads from these.
fn walk<'p>(segments: &mut Vec<&'p str>, segment: &'p str) {
    match dots(segment) {
        None => segments.push(segment),
        Some(2) => {
            segments.pop();
        }
        Some(_) => {}
    }
}

/// How many dots an empty or dot segment is made of, be they escaped or not; nothing for any other.
fn dots(mut segment: &str) -> Option<usize> {
    for count in 0..=2 {
        if segment.is_empty() {
            return Some(count);
        }
        let escaped = || segment.strip_prefix("%2e").or_else(|| segment.strip_prefix("%2E"));
        segment = segment.strip_prefix('.').or_else(escaped)?;
    }
    None
}

/// Whether servers are known to read such a path in more than one way: encoded separators (also those of
/// the query and the fragment, which some cut off after they have decoded), back slashes, control
/// characters, spaces that are trimmed, parameters that hide a dot segment, a second level of escapes,
/// streams of a file (`:$` on NTFS), and characters that look like a separator once they are simplified.
fn is_ambiguous(raw: &str, path: &str) -> bool {
    let lower = raw.to_ascii_lowercase();
    let escaped_twice = |(at, _): (usize, &str)| {
        path.get(at + 1..at + 3).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let hidden =
        |segment: &str| segment.split_once(';').is_some_and(|(name, _)| matches!(name, "" | "." | ".."));
    lower.contains("%2f")
        || lower.contains("%3b")
        || path.contains(['?', '#', '\\', '\u{FF0F}', '\u{FF0E}', '\u{2024}', '\u{2215}', '\u{2044}'])
        || path.contains("/ ")
        || path.contains(":$")
        || path.chars().any(|c| c.is_control() || (c != ' ' && is_blank(c)))
        || path.match_indices('%').any(escaped_twice)
        || path.split('/').any(hidden)
}

/// Whether a path has a dot or a slash in the form that UTF-8 forbids, and that some servers read
/// (RFC 3629 section 3).
fn has_overlong(raw: &str) -> bool {
    let lower = raw.to_ascii_lowercase();
    ["%c0%ae", "%c0%af", "%c1%9c", "%e0%80%ae", "%e0%80%af"].iter().any(|overlong| lower.contains(overlong))
}

/// Whether a character is a space or cannot be seen: some servers trim such.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{AD}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// Whether some server would find a dot segment in a path that has none to us: behind other escapes,
/// a back slash, parameters, spaces, or characters that look like dots and slashes. Such a path asks
/// for something outside of what its API is.
fn climbs(path: &str) -> bool {
    // Nobody means anything with so many escapes of escapes.
    let Some(read) = decoded_throughout(path) else { return true };
    let read = String::from_utf8_lossy(&read);
    let is_slash = |c| matches!(c, '/' | '\\' | '\u{FF3C}' | '\u{FF0F}' | '\u{2215}' | '\u{2044}');
    let is_dots = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default();
        let mut dots = name.chars().filter(|c| !is_blank(*c) && !c.is_control()).map(|c| match c {
            '.' | '\u{FF0E}' | '\u{2024}' => Some(1),
            '\u{2025}' => Some(2),
            _ => None,
        });
        let count = dots.try_fold(0_usize, |count, dots| count.checked_add(dots?).filter(|sum| *sum <= 2));
        count.is_some_and(|count| count > 0)
    };
    read.split(is_slash).any(is_dots)
}

/// The path without escapes, be they escapes of escapes; nothing if they are too deep. In one pass: an
/// escape gives way to its octet as soon as it is complete, and that may complete another one.
fn decoded_throughout(path: &str) -> Option<Cow<'_, [u8]>> {
    const LEVELS: u8 = 8;
    if !path.contains('%') {
        return Some(path.as_bytes().into());
    }
    // Each octet with the number of escapes that it came out of.
    let mut read: Vec<(u8, u8)> = Vec::with_capacity(path.len());
    for octet in path.bytes() {
        read.push((octet, 0));
        while let [.., (b'%', a), (high, b), (low, c)] = *read.as_slice()
            && let Some(octet) = percent::octet(high, low)
        {
            let level = a.max(b).max(c).saturating_add(1);
            if level > LEVELS {
                return None;
            }
            read.truncate(read.len().saturating_sub(3));
            read.push((octet, level));
        }
    }
    Some(read.into_iter().map(|(octet, _)| octet).collect())
}

/// Whether no server finds a dot segment in a raw path that was made here, and every escape is one.
pub(super) fn is_safe(raw: &str) -> bool {
    is_plain(raw) || decode(raw).is_some_and(|(path, valid)| !climbs(&path) && (valid || !has_overlong(raw)))
}

/// The same as far as the RFC goes: for servers that split a path before they decode it (RFC 3986 section
/// 3.3).
pub(super) fn has_no_dot_segment(raw: &str) -> bool {
    decode(raw).is_some() && !raw.split('/').any(|segment| dots(segment).is_some_and(|count| count > 0))
}

/// Reads a text as the target of a request, for `fuzzing`: a path that is taken has nothing to clean, a
/// clean one is not cleaned again, and every place of it can be asked for.
#[cfg(any(fuzzing, test))]
pub(crate) fn fuzz(text: &str) {
    let parts = |target: &str| {
        let request = http::Request::builder().uri(target).header(HOST, "x").body(());
        request.map(|request| request.into_parts().0)
    };
    let Ok(own) = parts(text) else { return };
    match Target::new(&own.uri.clone(), &own) {
        Ok(target) => {
            assert!(!is_unclean(&target.path), "{text}");
            for taken in 0..=target.path.len().saturating_add(1) {
                assert!(!target.path_below(taken).is_empty() && !target.raw_below(taken).is_empty());
            }
        }
        Err(BadTarget::Unclean(clean)) => {
            assert!(clean.starts_with('/') && !clean.starts_with("//"), "{clean}");
            if let Ok(parts) = parts(&clean) {
                let again = Target::new(&parts.uri, &parts);
                assert!(!matches!(again, Err(BadTarget::Unclean(_))), "{text} leads to {clean} and on");
            }
        }
        Err(BadTarget::Invalid) => {}
    }
}

fn with_query(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn paths() {
        for (target, raw, path, ambiguous) in [
            ("/a/b?x=1", "/a/b", "/a/b", false),
            ("/ap%69/x", "/ap%69/x", "/api/x", false),
            ("/a%20b", "/a%20b", "/a b", false),
            ("/%c3%a9", "/%c3%a9", "/é", false),
            ("/a;v=1/b", "/a;v=1/b", "/a;v=1/b", false),
            ("/a%2Fb", "/a%2Fb", "/a/b", true),
            ("/a%5cb", "/a%5cb", "/a\\b", true),
            ("/a%00", "/a%00", "/a\0", true),
            ("/;/y", "/;/y", "/;/y", true),
            ("/%2561", "/%2561", "/%61", true),
            ("/users/me%3Fx?y", "/users/me%3Fx", "/users/me?x", true),
            ("/users/me%23x", "/users/me%23x", "/users/me#x", true),
            ("/users/%20me", "/users/%20me", "/users/ me", true),
            ("/users/me%20", "/users/me%20", "/users/me ", false),
            ("/me%C2%A0", "/me%C2%A0", "/me\u{a0}", true),
            ("/me%E2%80%8B", "/me%E2%80%8B", "/me\u{200b}", true),
            ("/users/me::$DATA", "/users/me::$DATA", "/users/me::$DATA", true),
            (
                "/me:$i30:$INDEX_ALLOCATION/x",
                "/me:$i30:$INDEX_ALLOCATION/x",
                "/me:$i30:$INDEX_ALLOCATION/x",
                true,
            ),
            ("/Orders(7)/$count", "/Orders(7)/$count", "/Orders(7)/$count", false),
            ("/users:batch", "/users:batch", "/users:batch", false),
            ("/%c1%bf", "/%c1%bf", "/\u{1}\u{1}", true),
            ("/%ef%bc%8f", "/%ef%bc%8f", "/\u{ff0f}", true),
            ("/...", "/...", "/...", false),
        ] {
            let parts = parts(target, &["h"]);
            let target = Target::new(&parts.uri, &parts).unwrap();
            assert_eq!((&*target.raw, &*target.path, target.ambiguous), (raw, path, ambiguous), "{target:?}");
        }
    }

    #[test]
    fn unclean_paths_are_sent_to_the_clean_one() {
        for (target, clean) in [
            ("//a", "/a"),
            ("/a//b/?q=/../", "/a/b/?q=/../"),
            ("/a/./b", "/a/b"),
            ("/a/../../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/..%2fb", "/b"),
            ("/a/.", "/a"),
            ("/..", "/"),
            ("/a//caf%e9/x", "/a/caf%e9/x"),
            ("/a//b%20c;d%2fe", "/a/b%20c;d%2fe"),
            ("//a%2fb", "/a%2fb"),
            ("/a%2f%2e%2e%2Fb", "/b"),
            ("/a//b%2f", "/a/b/"),
            ("/a//%3F", "/a/%3F"),
            ("/a b%20".split(' ').next().unwrap(), ""),
        ] {
            let parts = parts(target, &["h"]);
            let result = Target::new(&parts.uri, &parts).err();
            let expected = (!clean.is_empty()).then(|| BadTarget::Unclean(clean.into()));
            assert_eq!(result, expected, "{target}");
        }
    }

    #[test]
    fn paths_that_climb_to_some() {
        for target in [
            "/x/..;/y",
            "/x/..;a=b/y",
            "/x/.;/y",
            "/x/..%5cy",
            "/x%5c..%5cy",
            "/x/%252e%252e/y",
            "/x/%25252e%25252E%252fy",
            "/x/%2525252525252e%2525252525252e/y",
            "/x/%25252525252525252525252525252525252525x",
            "/x/%c0%ae%c0%ae/y",
            "/x/..%c0%afy",
            "/x/..%c1%9cy",
            "/x/.%00./y",
            "/x/.%20./y",
            "/x/.%0d.",
            "/x/..%252fy",
            "/x/..%253by",
            "/x/%2525%2532%2565%252e/y",
            "/x/%25%2532e%252e/y",
            "/x/%E2%80%8B../y",
            "/x/%ef%bc%8e%ef%bc%8e/y",
            "/x/..%ef%bc%8fy",
            "/x/%e2%80%a5/y",
            "/x/..%20/y",
            "/x/..%00/y",
            "/x/..%09",
        ] {
            let parts = parts(target, &["h"]);
            assert_eq!(Target::new(&parts.uri, &parts).err(), Some(BadTarget::Invalid), "{target}");
        }
        for target in ["/x/...", "/x/..y", "/x/a..b", "/x/%252e", "/x/100%25", "/x/a%2fb"] {
            let parts = parts(target, &["h"]);
            let climbing = target.ends_with("%252e");
            assert_eq!(Target::new(&parts.uri, &parts).is_err(), climbing, "{target}");
        }
    }

    #[test]
    fn methods_that_the_upstream_may_read_as_another() {
        for (method, good) in [
            ("GET", true),
            ("PATCH", true),
            ("PURGE", true),
            ("purge", true),
            ("GETS", true),
            ("get", false),
            ("Delete", false),
            ("pATCH", false),
            ("CONNECT", false),
            ("connect", false),
        ] {
            let mut parts = parts("/x", &["h"]);
            parts.method = method.parse().unwrap();
            assert_eq!(Target::new(&parts.uri, &parts).is_ok(), good, "{method}");
        }
    }

    #[test]
    fn only_plain_paths_may_be_long() {
        for (segment, longest) in
            [("/x", usize::MAX), ("/.", 0), ("/%61", MAX_ODD_PATH), ("/x;", MAX_ODD_PATH)]
        {
            for size in [MAX_ODD_PATH, 7 * MAX_ODD_PATH] {
                let raw: String = segment.chars().cycle().take(size).collect();
                let parts = parts(&raw, &["h"]);
                let read = Target::new(&parts.uri, &parts);
                let unclean = matches!(read, Err(BadTarget::Unclean(_)));
                assert_eq!((read.is_ok(), unclean), (size <= longest, longest == 0 && size <= MAX_ODD_PATH));
            }
        }
    }

    #[test]
    fn hosts() {
        let name = |target: &str, hosts: &[&str]| {
            let parts = parts(target, hosts);
            Target::new(&parts.uri, &parts).map(|target| target.host_name)
        };
        assert_eq!(name("/", &["API.Example.com.:8080"]).as_deref(), Ok("api.example.com"));
        assert_eq!(name("http://b.example/x", &["a.example"]).as_deref(), Ok("b.example"));
        assert_eq!(name("/", &["[::1]:80"]).as_deref(), Ok("[::1]"));
        for (target, hosts) in [
            ("/", &[][..]),
            ("/", &["a", "b"]),
            ("/", &["a b"]),
            ("/", &["u@a"]),
            ("/", &["a:99999"]),
            ("/", &["a:b"]),
            ("/", &["a:+80"]),
            ("/", &["a:80:90"]),
            ("/", &["["]),
            ("/", &["[]"]),
            ("/", &["a]b["]),
            ("/", &["[::1]x"]),
            ("/", &["a/b"]),
            ("http://u@b/x", &["b"]),
            ("ftp://b/x", &["b"]),
            ("*", &["b"]),
            ("/%zz", &["b"]),
            ("/%", &["b"]),
        ] {
            assert_eq!(name(target, hosts), Err(BadTarget::Invalid), "{target} {hosts:?}");
        }
    }

    #[test]
    fn what_is_below_the_listen_path() {
        let parts = parts("/ap%69/x%2Fy", &["h"]);
        let target = Target::new(&parts.uri, &parts).unwrap();
        assert_eq!(target.raw_below(4), "/x%2Fy");
        assert_eq!(target.path_below(4), "/x/y");
        assert_eq!(target.raw_below(100), "/");
        for (raw, taken) in [("/é/orders", 3), ("/%c3%a9/orders", 3), ("/%c3é/orders", 4)] {
            let target = Target {
                host: None,
                host_name: String::new(),
                raw: raw.into(),
                path: "".into(),
                query: None,
                ambiguous: false,
            };
            assert_eq!(target.raw_below(taken), "/orders", "{raw}");
        }
    }
}
