//! Reading a hash whose contents anybody may have written: no more than was asked for is ever held.

use ::redis::{Cmd, Value};

use super::{Failure, Link, channel::PATIENCE};

/// A page of fields. Larger values come as the empty text, and fields with longer names not at all.
const SCAN: &str = r"
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 100)
local fields = {}
for i = 1, #page[2], 2 do
    local name, value = page[2][i], page[2][i + 1]
    if #value > tonumber(ARGV[2]) or #name > 256 then name, value = string.sub(name, 1, 256), '' end
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end
return {page[1], fields}
";
const FIELD: &str = "local v = redis.call('HGET', KEYS[1], ARGV[1]); if v and #v > tonumber(ARGV[2]) then return '' end; return v";

/// Some fields of a hash with their values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Where the next page begins, if this was not the last.
    pub(crate) next: Option<Vec<u8>>,
    /// In no order; one may come again. What is too large is empty.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Link {
    /// The page of a hash that begins here.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn scan(
        &self,
        hash: &str,
        cursor: Option<&[u8]>,
        max_value: usize,
    ) -> Result<Scanned, Failure> {
        let mut scan = Cmd::new();
        scan.arg("EVAL").arg(SCAN).arg(1).arg(hash).arg(cursor.unwrap_or(b"0")).arg(max_value);
        let page = self.call_within(&scan, PATIENCE).await?;
        Ok(scanned(page).unwrap_or(Scanned { next: None, fields: Vec::new() }))
    }

    /// The value of a field of a hash; the empty one for one that is too large.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn field(
        &self,
        hash: &str,
        field: &str,
        max_value: usize,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let mut get = Cmd::new();
        get.arg("EVAL").arg(FIELD).arg(1).arg(hash).arg(field).arg(max_value);
        Ok(octets(self.call_within(&get, PATIENCE).await?))
    }
}

fn octets(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(octets) => Some(octets),
        _ => None,
    }
}

fn scanned(page: Value) -> Option<Scanned> {
    let Value::Array(parts) = page else { return None };
    let [cursor, Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let next = octets(cursor).filter(|cursor| cursor != b"0");
    let mut octets = fields.into_iter().filter_map(octets);
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (octets.next(), octets.next()) {
        fields.push((name, value));
    }
    Some(Scanned { next, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let text = |text: &str| Value::BulkString(text.into());
        let fields = || Value::Array(["a", "1", "b", ""].map(text).into());
        let read = |cursor: &str| scanned(Value::Array(vec![text(cursor), fields()])).unwrap();
        assert_eq!(read("0").next, None);
        assert_eq!(read("17").next.as_deref(), Some(&b"17"[..]));
        let pair = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(read("0").fields, [pair("a", "1"), pair("b", "")]);
        for odd in [Value::Nil, Value::Array(vec![text("0")]), Value::Array(vec![fields(), text("0")])] {
            assert_eq!(scanned(odd), None);
        }
    }
}
