//! How a text names values elsewhere.
//!
//! | written | what it names |
//! |---|---|
//! | `env://NAME` | the environment variable `NAME`, else `TYK_SECRET_` and the name in capitals |
//! | `file://PATH` | a file below `kv.file.base_path` |
//! | `secrets://KEY` | a member of `secrets` in `claimgate.yaml` |
//! | `consul://KEY` | the key in Consul; without a slash, one in the folder `tyk-apis` |
//! | `vault://PATH.FIELD` | a field of a secret in Vault; without a slash, one of `secret/tyk-apis` |
//! | `kv://STORE/PATH#POINTER` | a value of a named store, or a part of it that is JSON |
//! | `$kv{STORE:PATH#POINTER}` | the same, anywhere in a text |
//! | `$secret_env.NAME`, `…_conf.`, `…_file.`, `…_consul.`, `…_vault.` | the older names, anywhere in a text |
//!
//! The first six reach from the beginning of the text, or from a space in it, to its end. Letter case
//! of the marks does not count, nor does space around the whole: what looks like a reference is one.

use zeroize::Zeroizing;

use super::{Secret, Unresolved};
use crate::lenient_base64;

/// The folder of keys that Tyk's definitions name without a path.
const CONSUL_FOLDER: &str = "tyk-apis";
/// The secret whose fields Tyk's definitions name without a path.
const VAULT_SECRET: &str = "secret/tyk-apis";

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) place: Place,
    pub(super) field: Field,
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// An environment variable by its own name.
    Variable(String),
    /// What a store has at a path.
    Stored { store: String, path: String },
}

/// Which part of what is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    /// All of it.
    Whole,
    /// A JSON Pointer (RFC 6901) into it, with or without the first slash.
    Pointer(String),
    /// A member of it, or members one below the other with dots between them.
    Dotted(String),
}

/// A stretch of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    /// A reference, and how it is written.
    Reference(Reference, &'t str),
}

/// A mark that begins a reference.
#[derive(Clone, Copy)]
enum Mark {
    /// `scheme://`
    Scheme(Kind),
    /// `$kv{`
    Inline,
    /// `$secret_kind.`
    Label(Kind),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Env,
    File,
    Secrets,
    Consul,
    Vault,
    Store,
    /// The environment in the words of `$secret_env`.
    Prefixed,
}

const MARKS: [(&str, Mark); 12] = [
    ("env://", Mark::Scheme(Kind::Env)),
    ("file://", Mark::Scheme(Kind::File)),
    ("secrets://", Mark::Scheme(Kind::Secrets)),
    ("consul://", Mark::Scheme(Kind::Consul)),
    ("vault://", Mark::Scheme(Kind::Vault)),
    ("kv://", Mark::Scheme(Kind::Store)),
    ("$kv{", Mark::Inline),
    ("$secret_env.", Mark::Label(Kind::Prefixed)),
    ("$secret_conf.", Mark::Label(Kind::Secrets)),
    ("$secret_file.", Mark::Label(Kind::File)),
    ("$secret_consul.", Mark::Label(Kind::Consul)),
    ("$secret_vault.", Mark::Label(Kind::Vault)),
];

/// Splits a text at its references; nothing if it has none.
///
/// # Errors
/// [`Unresolved`] when a reference is not well written.
pub(super) fn pieces(text: &str) -> Result<Option<Vec<Piece<'_>>>, Unresolved> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, mark, after)) = next_mark(text, rest)? {
        if pieces.is_empty() && before.trim_matches(is_blank).is_empty() {
            // Space around a reference is not a part of the value.
        } else if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let (name, after) = name_of(mark, after)?;
        let written = rest.get(before.len()..rest.len().saturating_sub(after.len())).unwrap_or_default();
        pieces.push(Piece::Reference(parse(mark, name, written.trim_matches(is_blank))?, written));
        rest = after;
    }
    if pieces.is_empty() {
        return Ok(None);
    }
    if !rest.trim_matches(is_blank).is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(Some(pieces))
}

/// A text with its references replaced by what `value` says of them; nothing if it has none.
///
/// # Errors
/// The first of `value`, or [`Unresolved`] when one of them is not well written.
pub(super) fn expand(
    text: &str,
    value: impl Fn(&Reference, &str) -> Result<Secret, Unresolved>,
) -> Result<Option<Secret>, Unresolved> {
    // Nearly all texts have none.
    if !text.contains("://") && !text.contains('$') {
        return Ok(None);
    }
    let Some(pieces) = pieces(text)? else { return Ok(None) };
    if let [Piece::Reference(reference, written)] = &*pieces {
        return value(reference, written.trim()).map(Some);
    }
    let mut expanded = Zeroizing::new(String::new());
    for piece in pieces {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Reference(reference, written) => expanded.push_str(&value(&reference, written.trim())?),
        }
    }
    Ok(Some(expanded.as_str().into()))
}

/// What is before the next mark, the mark, and what follows it.
fn next_mark<'t>(whole: &str, rest: &'t str) -> Result<Option<(&'t str, Mark, &'t str)>, Unresolved> {
    for (at, _) in rest.char_indices() {
        let (before, here) = rest.split_at(at);
        if starts_with(here, "$secret_") && !MARKS.iter().any(|(mark, _)| starts_with(here, mark)) {
            return Err(Unresolved::new(
                "$secret_ variables are env, conf, file, consul and vault, such as $secret_vault.NAME; correct it",
            ));
        }
        let Some((mark, kind)) = MARKS.iter().find(|(mark, _)| starts_with(here, mark)) else { continue };
        let after = here.get(mark.len()..).unwrap_or_default();
        // Behind an earlier reference of the text `before` is not all that precedes.
        let preceding = whole.get(..whole.len().saturating_sub(here.len())).unwrap_or_default();
        match (kind, preceding.trim_start_matches(is_blank).chars().next_back()) {
            // The end of another scheme, such as `git+file://`.
            (Mark::Scheme(_), Some(c)) if c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-') => {}
            (Mark::Scheme(_), Some(c)) if !is_blank(c) => {
                return Err(Unresolved::new(format!(
                    "{mark} stands in the middle of a text; a reference begins it or follows a space, and elsewhere it is written $kv{{STORE:KEY}}"
                )));
            }
            _ => return Ok(Some((before, *kind, after))),
        }
    }
    Ok(None)
}

/// The name that follows a mark, and what follows the reference.
fn name_of(mark: Mark, after: &str) -> Result<(&str, &str), Unresolved> {
    match mark {
        Mark::Scheme(_) => Ok((after.trim_end_matches(is_blank), "")),
        Mark::Inline => {
            after.split_once('}').ok_or_else(|| Unresolved::new("$kv{ has no end; write $kv{STORE:KEY}"))
        }
        Mark::Label(kind) => {
            // A variable and a member have no path: a slash behind them belongs to the text, as in a URL.
            let has_path = !matches!(kind, Kind::Prefixed | Kind::Secrets);
            let in_name =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || (c == '/' && has_path);
            Ok(after.split_at(after.find(|c| !in_name(c)).unwrap_or(after.len())))
        }
    }
}

fn parse(mark: Mark, name: &str, written: &str) -> Result<Reference, Unresolved> {
    if name.is_empty() || name.contains(char::is_control) {
        return Err(Unresolved::new(format!("{written} names nothing; write a name after it")));
    }
    let kind = match mark {
        Mark::Scheme(kind) | Mark::Label(kind) => kind,
        Mark::Inline => {
            let (store, path) = name.split_once(':').ok_or_else(|| {
                Unresolved::new(format!("{written} names no store; write $kv{{STORE:KEY}}"))
            })?;
            return in_store(store, path, written);
        }
    };
    let stored = |store: &str, path: &str, field| {
        check_path(path, written)?;
        Ok(Reference { place: Place::Stored { store: store.into(), path: path.into() }, field })
    };
    match kind {
        Kind::Env => Ok(Reference { place: Place::Variable(name.into()), field: Field::Whole }),
        Kind::Prefixed => stored("env", name, Field::Whole),
        // What is wrong with a path of a file is told by the one who opens it.
        Kind::File => Ok(Reference {
            place: Place::Stored { store: "file".into(), path: name.into() },
            field: Field::Whole,
        }),
        Kind::Secrets => stored("secrets", name, Field::Whole),
        Kind::Consul if name.contains('/') => stored("consul", name, Field::Whole),
        Kind::Consul => stored("consul", &format!("{CONSUL_FOLDER}/{name}"), Field::Whole),
        Kind::Vault => match name.rsplit_once('/') {
            None => stored("vault", VAULT_SECRET, Field::Dotted(name.into())),
            Some((folder, secret)) => {
                let (secret, field) = secret.split_once('.').ok_or_else(|| {
                    Unresolved::new(format!(
                        "{written} names a secret, which has fields; write {written}.FIELD"
                    ))
                })?;
                stored("vault", &format!("{folder}/{secret}"), Field::Dotted(field.into()))
            }
        },
        Kind::Store => {
            let (store, path) = name.split_once('/').ok_or_else(|| {
                Unresolved::new(format!("{written} names a store, and nothing in it; write kv://STORE/KEY"))
            })?;
            in_store(store, path, written)
        }
    }
}

fn in_store(store: &str, path: &str, written: &str) -> Result<Reference, Unresolved> {
    let (path, field) = match path.split_once('#') {
        Some((path, pointer)) => (path, Field::Pointer(pointer.strip_prefix('/').unwrap_or(pointer).into())),
        None => (path, Field::Whole),
    };
    check_path(path, written)?;
    Ok(Reference { place: Place::Stored { store: store.into(), path: path.into() }, field })
}

/// A path must not lead elsewhere than where it seems to.
fn check_path(path: &str, written: &str) -> Result<(), Unresolved> {
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Unresolved::new(format!(
            "{written} has an empty or a dot segment in its path; write the path of one value"
        )));
    }
    Ok(())
}

/// Whether octets that are to be a key are the text of a reference, base64 of one, or look like one to
/// a store that nobody knows: then they are public, and no key.
#[must_use]
pub fn is_like_reference(octets: &[u8]) -> bool {
    /// Base64 in base64 in base64 is nobody's mistake.
    const DEPTH: usize = 3;
    let mut octets = Zeroizing::new(octets.to_vec());
    for _ in 0..DEPTH {
        let Ok(text) = std::str::from_utf8(&octets) else { return false };
        let text = text.trim_matches(is_blank);
        if names_elsewhere(text) {
            return true;
        }
        let Some(decoded) = lenient_base64::decode(text) else { return false };
        octets = decoded;
    }
    false
}

/// Whether a text is `scheme://…`, `$kv{…` or `$secret_…`.
fn names_elsewhere(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    starts_with(text, "$kv{")
        || starts_with(text, "$secret_")
        || scheme.is_some_and(|scheme| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
        })
}

/// What counts for nothing around a reference: space, control characters, and what is not seen at all.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

fn starts_with(text: &str, mark: &str) -> bool {
    text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    /// `place|field` of the references of a text, with the text between them.
    fn read(text: &str) -> String {
        let Some(pieces) = pieces(text).unwrap() else { return "none".into() };
        let show = |piece: &Piece<'_>| match piece {
            Piece::Text(text) => format!("<{text}>"),
            Piece::Reference(Reference { place, field }, _) => {
                let place = match place {
                    Place::Variable(name) => format!("variable {name}"),
                    Place::Stored { store, path } => format!("{store} {path}"),
                };
                match field {
                    Field::Whole => place,
                    Field::Pointer(pointer) => format!("{place} #{pointer}"),
                    Field::Dotted(field) => format!("{place} .{field}"),
                }
            }
        };
        pieces.iter().map(show).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("env://NAME", "variable NAME"),
            ("file:///run/key.pem", "file /run/key.pem"),
            ("secrets://jwt-secret", "secrets jwt-secret"),
            ("consul://jwt-key", "consul tyk-apis/jwt-key"),
            ("consul://team/jwt", "consul team/jwt"),
            ("vault://jwt", "vault secret/tyk-apis .jwt"),
            ("vault://parent.child", "vault secret/tyk-apis .parent.child"),
            ("vault://secret/team/app.key", "vault secret/team/app .key"),
            ("vault://kv1/v1.2/app.a.b", "vault kv1/v1.2/app .a.b"),
            ("kv://prod/secret/app#user", "prod secret/app #user"),
            ("kv://prod/secret/app#/a/0", "prod secret/app #a/0"),
            ("kv://env/TOKEN", "env TOKEN"),
            (
                "https://$kv{hosts:orders}/v1?t=$kv{prod:a/b#c}",
                "<https://>; hosts orders; </v1?t=>; prod a/b #c",
            ),
            ("$secret_env.token", "env token"),
            (
                "k=$secret_vault.a.b, $secret_conf.c;",
                "<k=>; vault secret/tyk-apis .a.b; <, >; secrets c; <;>",
            ),
            ("Bearer env://TOKEN", "<Bearer >; variable TOKEN"),
            // Neither case nor space hides one.
            (" \tEnV://NAME\r\n", "variable NAME"),
            ("\u{feff}Consul://a/b\u{200b}", "consul a/b"),
            ("VAULT://x", "vault secret/tyk-apis .x"),
            ("$KV{a:b}", "a b"),
            // What is none.
            ("https://idp.example/jwks.json", "none"),
            ("git+file://x", "none"),
            ("xenv://x", "none"),
            ("$tyk_context.path", "none"),
            ("env:/NAME", "none"),
            ("", "none"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_well_written() {
        for (text, reason) in [
            ("env://", "names nothing"),
            ("kv://store", "nothing in it"),
            ("kv://store/", "empty or a dot segment"),
            ("$kv{a:b", "has no end"),
            ("$kv{ab}", "names no store"),
            ("vault://secret/app", "write vault://secret/app.FIELD"),
            ("consul://a/../b", "empty or a dot segment"),
            ("vault://secret/../sys/x.y", "empty or a dot segment"),
            ("https://env://HOST/", "in the middle"),
            ("x=\"env://HOST\"", "in the middle"),
            ("$secret_aws.x", "env, conf, file, consul and vault"),
            ("$secret_env.", "names nothing"),
        ] {
            let error = pieces(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_key() {
        let encode = |text: &str| STANDARD.encode(text);
        for text in ["consul://secrets/jwt-secret", " VAULT://x\n", "aws://x/y", "$kv{a:b}", "$secret_env.x"]
        {
            for text in [text.to_owned(), encode(text), encode(&encode(text))] {
                assert!(is_like_reference(text.as_bytes()), "{text}");
            }
            let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            assert!(is_like_reference(url_safe.as_bytes()), "{url_safe}");
        }
        for key in
            ["a-long-secret-with-a-colon: //", "0123456789abcdef0123456789abcdef", "", "{\"kty\":\"oct\"}"]
        {
            assert!(!is_like_reference(key.as_bytes()), "{key}");
        }
        assert!(!is_like_reference(&[0xff; 64]));
    }
}
