//! What the content of an answer is, where its upstream does not say: as Go's server guesses it for Tyk (a part of
//! <https://mimesniff.spec.whatwg.org>).

/// What is looked at, in octets.
const LENGTH: usize = 512;

/// Texts that begin so, behind white space and in whatever letter case, where a tag ends.
const TAGS: [&[u8]; 17] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
];

/// What begins exactly so.
const SIGNATURES: [(&[u8], &str); 14] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1A\n", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"\0asm", "application/wasm"),
];

/// The content type of what begins like this.
#[must_use]
pub fn content_type(begin: &[u8]) -> &'static str {
    let begin = begin.get(..LENGTH).unwrap_or(begin);
    let text = begin.trim_ascii_start();
    if TAGS.iter().any(|tag| is_tag(tag, text)) {
        return "text/html; charset=utf-8";
    }
    if text.starts_with(b"<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, found)) = SIGNATURES.iter().find(|(signature, _)| begin.starts_with(signature)) {
        return found;
    }
    let is_binary = |octet: &u8| matches!(octet, 0..=8 | 11 | 14..=26 | 28..=31);
    if text.iter().any(is_binary) { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

fn is_tag(tag: &[u8], text: &[u8]) -> bool {
    let Some((begin, rest)) = text.split_at_checked(tag.len()) else { return false };
    begin.eq_ignore_ascii_case(tag) && rest.first().is_some_and(|next| matches!(next, b' ' | b'>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_guesses() {
        for (begin, expected) in [
            (&b"no"[..], "text/plain; charset=utf-8"),
            (b"", "text/plain; charset=utf-8"),
            (b"{\"a\":1}", "text/plain; charset=utf-8"),
            (b"\n <html>", "text/html; charset=utf-8"),
            (b"<!doctype html>", "text/html; charset=utf-8"),
            (b"<htmlx>", "text/plain; charset=utf-8"),
            (b"<?xml version", "text/xml; charset=utf-8"),
            (b"\x89PNG\r\n\x1A\n.", "image/png"),
            (b"a\0b", "application/octet-stream"),
            (b"caf\xC3\xA9", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type(begin), expected, "{begin:?}");
        }
    }
}
