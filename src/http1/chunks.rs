//! Bodies that say themselves where they end (RFC 9112 section 7.1).

use bytes::{Buf as _, Bytes, BytesMut};

use super::{Decoded, decoder::Broken};

/// The longest line of a size in octets, its extensions included: nobody needs them.
const MAX_LINE: usize = 4 * 1024;
/// The most octets of extensions in one body: each of them can stand for one octet of data.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// The most octets of trailers.
const MAX_TRAILERS: usize = 16 * 1024;
/// The most trailers.
const MAX_TRAILER_FIELDS: usize = 100;

/// How far a body has been read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    extensions: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// Before the line with the size of the next chunk.
    #[default]
    Size,
    /// So many octets of the chunk are still to come.
    Data(u64),
    /// Before the end of line behind the data.
    End,
    /// Behind the last chunk.
    Trailers,
    /// Behind all.
    Over,
}

impl Chunks {
    /// Decodes what has come.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Broken> {
        loop {
            self.at = match self.at {
                At::Size => match self.size(input)? {
                    None => return Ok(Decoded::More),
                    Some(0) => At::Trailers,
                    Some(size) => At::Data(size),
                },
                At::Data(left) => {
                    let data = take(input, left);
                    let left = left.saturating_sub(data.len() as u64);
                    self.at = if left == 0 { At::End } else { At::Data(left) };
                    return Ok(if data.is_empty() { Decoded::More } else { Decoded::Data(data) });
                }
                At::End => match input.get(..2) {
                    None if b"\r\n".starts_with(input) => return Ok(Decoded::More),
                    Some(b"\r\n") => {
                        input.advance(2);
                        At::Size
                    }
                    _ => return Err(Broken),
                },
                At::Trailers => match trailers(input)? {
                    false => return Ok(Decoded::More),
                    true => At::Over,
                },
                At::Over => return Ok(Decoded::End),
            };
        }
    }

    /// The size of the next chunk, if its whole line has come.
    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Broken> {
        let Some(end) = memchr::memchr(b'\n', input.get(..MAX_LINE.min(input.len())).unwrap_or_default())
        else {
            return if input.len() < MAX_LINE { Ok(None) } else { Err(Broken) };
        };
        let line = input.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Broken)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (digits, extensions) = line.split_at_checked(digits).ok_or(Broken)?;
        self.extensions = self.extensions.saturating_add(extensions.len());
        if !is_extension(extensions) || self.extensions > MAX_EXTENSIONS {
            return Err(Broken);
        }
        // Of text that is digits only it fails for nothing and for what no number can hold.
        let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let size = size.ok_or(Broken)?;
        input.advance(end.saturating_add(1));
        Ok(Some(size))
    }
}

/// As much of the body as has come, and `left` at most.
pub(super) fn take(input: &mut BytesMut, left: u64) -> Bytes {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    input.split_to(length).freeze()
}

/// Whether this may stand behind a size: nothing, or what begins with a semicolon, and hides no end of line.
fn is_extension(text: &[u8]) -> bool {
    let text_of = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7F);
    text.is_empty() || (text.trim_ascii_start().starts_with(b";") && text.iter().all(text_of))
}

/// Takes the trailers away, if all have come: nobody decides by fields that come behind the body, and so
/// nobody gets them.
fn trailers(input: &mut BytesMut) -> Result<bool, Broken> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    let mut begin = 0_usize;
    loop {
        let rest = input.get(begin..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', rest) else {
            return if input.len() < MAX_TRAILERS { Ok(false) } else { Err(Broken) };
        };
        let line = rest.get(..at).and_then(|line| line.strip_suffix(b"\r")).ok_or(Broken)?;
        begin = begin.saturating_add(at).saturating_add(1);
        if begin > MAX_TRAILERS {
            return Err(Broken);
        }
        if line.is_empty() {
            break;
        }
    }
    let section = input.split_to(begin);
    match httparse::parse_headers(&section, &mut fields) {
        Ok(httparse::Status::Complete(_)) => Ok(true),
        _ => Err(Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is decoded when the text comes in pieces of this length, and what is left behind it.
    fn decode(text: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut chunks, mut input, mut data) = (Chunks::default(), BytesMut::new(), Vec::new());
        for piece in text.chunks(step) {
            input.extend_from_slice(piece);
            loop {
                match chunks.decode(&mut input).ok()? {
                    Decoded::Data(more) => data.extend_from_slice(&more),
                    Decoded::More => break,
                    Decoded::End => break,
                }
            }
        }
        matches!(chunks.at, At::Over).then(|| (data, input.to_vec()))
    }

    #[test]
    fn bodies() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_LINE));
        let many = format!("{}0\r\n\r\n", "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n".repeat(1000));
        for (text, expected) in [
            ("5\r\nhello\r\n0\r\n\r\n", Some("hello")),
            ("5\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", Some("hello!")),
            ("A\r\n0123456789\r\n0\r\n\r\n", Some("0123456789")),
            ("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", Some("hello")),
            ("5 ;a\r\nhello\r\n0\r\n\r\n", Some("hello")),
            ("5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", Some("hello")),
            ("00000000000000000000005\r\nhello\r\n0\r\n\r\n", Some("hello")),
            ("5\nhello\r\n0\r\n\r\n", None),
            ("5\r\nhello\n0\r\n\r\n", None),
            ("5\r\nhelloX0\r\n\r\n", None),
            ("5\r\nhello\r\r\n0\r\n\r\n", None),
            ("0x5\r\nhello\r\n0\r\n\r\n", None),
            ("+5\r\nhello\r\n0\r\n\r\n", None),
            ("-0\r\n\r\n", None),
            (" 5\r\nhello\r\n0\r\n\r\n", None),
            ("5 \r\nhello\r\n0\r\n\r\n", None),
            ("\r\n\r\n", None),
            (";a\r\n\r\n", None),
            ("10000000000000005\r\nhello\r\n0\r\n\r\n", None),
            ("5\r;a\r\nhello\r\n0\r\n\r\n", None),
            ("5;a\0\r\nhello\r\n0\r\n\r\n", None),
            ("5\r\nhello\r\n0\r\nX-T: a\r\n b\r\n\r\n", None),
            ("5\r\nhello\r\n0\r\nno colon\r\n\r\n", None),
            ("5\r\nhello\r\n0\r\nX: 1\n\r\n", None),
            ("5\r\nhello\r\n0\r\n", None),
            (&long, None),
            (&many, None),
        ] {
            for step in [1, 2, 3, 7, usize::MAX] {
                let decoded = decode(text.as_bytes(), step.min(text.len()));
                let expected = expected.map(|data| (data.as_bytes().to_vec(), Vec::new()));
                assert_eq!(decoded, expected, "{text:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn what_follows_stays() {
        let (data, rest) = decode(b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 1000).unwrap();
        assert_eq!((&*data, &*rest), (&b"a"[..], &b"GET / HTTP/1.1\r\n"[..]));
    }
}
