//! The query of a request as a list of parameters (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

use crate::percent;

/// The values of the parameters with this name; nothing for one that cannot be decoded.
pub(crate) fn parameters<'r>(name: &str, query: &'r str) -> impl Iterator<Item = Option<Cow<'r, str>>> {
    parameters_called(move |own| own == name, query)
}

/// The same for all names that are meant.
pub(crate) fn parameters_called<'r>(
    is_meant: impl Fn(&str) -> bool,
    query: &'r str,
) -> impl Iterator<Item = Option<Cow<'r, str>>> {
    query.split('&').filter(move |part| is_parameter(part, &is_meant)).map(|part| {
        let (_, value) = part.split_once('=').unwrap_or_default();
        decoded(value)
    })
}

/// The query without the parameters of this name; nothing if it has none. The others keep their order and
/// spelling.
pub(crate) fn without(name: &str, query: &str) -> Option<String> {
    let kept: Vec<&str> = query.split('&').filter(|part| !is_parameter(part, |own| own == name)).collect();
    (kept.len() < query.split('&').count()).then(|| kept.join("&"))
}

/// The same as Tyk writes the rest anew: sorted by name, every value encoded in one way, without what
/// cannot be decoded.
pub(crate) fn without_in_tyk(name: &str, query: &str) -> String {
    let mut kept: Vec<(Cow<'_, str>, Cow<'_, str>)> = query
        .split('&')
        .filter(|part| !part.is_empty() && !part.contains(';'))
        .filter_map(|part| {
            let (own, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(own)?, decoded(value)?))
        })
        .filter(|(own, _)| *own != name)
        .collect();
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    let pairs: Vec<String> = kept
        .iter()
        .map(|(own, value)| format!("{}={}", percent::encode_form(own), percent::encode_form(value)))
        .collect();
    pairs.join("&")
}

fn is_parameter(part: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let (own, _) = part.split_once('=').unwrap_or((part, ""));
    is_meant(own) || (own.contains(['%', '+']) && decoded(own).is_some_and(|own| is_meant(&own)))
}

/// A name or value.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    String::from_utf8(percent::decode_form(text)?).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_however_they_are_written() {
        for (query, values, rest, in_tyk) in [
            ("", vec![], None, ""),
            ("v=1", vec![Some("1")], Some(""), ""),
            ("b=2&v=a+b&a=%7e", vec![Some("a b")], Some("b=2&a=%7e"), "a=~&b=2"),
            ("%76=1&v", vec![Some("1"), Some("")], Some(""), ""),
            ("v=%zz&c=x%2fy+z&c=1&;", vec![None], Some("c=x%2fy+z&c=1&;"), "c=x%2Fy+z&c=1"),
            ("V=1&vv=2", vec![], None, "V=1&vv=2"),
        ] {
            let found: Vec<Option<Cow<'_, str>>> = parameters("v", query).collect();
            let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, values, "{query}");
            assert_eq!(without("v", query).as_deref(), rest, "{query}");
            assert_eq!(without_in_tyk("v", query), in_tyk, "{query}");
        }
    }
}
