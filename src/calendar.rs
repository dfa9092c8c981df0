//! Times as people write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time as the access log writes it, `2026-11-21T10:00:00Z` (RFC 3339, in UTC), or as tokens do: in
/// seconds since 1970. Nothing for any other text.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse::<u64>() {
        return UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    }
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't', ' '])?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = year >= 1970 && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
    if !in_range || day < 1 || day > days_of(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    let hours =
        years.checked_add(months)?.checked_add(day)?.checked_sub(1)?.checked_mul(24)?.checked_add(hour)?;
    let seconds = hours.checked_mul(60)?.checked_add(minute)?.checked_mul(60)?.checked_add(second)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// A minute as Tyk writes it, `2026-11-21 10:00`, in UTC. Nothing for any other text.
pub(crate) fn parse_minute(text: &str) -> Option<SystemTime> {
    let is_minute = text.len() == 16 && text.as_bytes().get(10) == Some(&b' ');
    parse_time(&format!("{text}:00Z")).filter(|_| is_minute)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let number = |text: &str| {
        let plain = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| plain)
    };
    let numbers: Vec<u64> = text.split(between).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

const fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let seconds = |text| Some(parse_time(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs());
        for (text, expected) in [
            ("0", Some(0)),
            ("1795219200", Some(1_795_219_200)),
            ("2026-11-21T00:00:00.007Z", Some(1_795_219_200)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2000-03-01 00:00:00Z", Some(951_868_800)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00+01:00", None),
            ("99999-01-01T00:00:00Z", None),
            ("+5-01-01T00:00:00Z", None),
            ("-1", None),
            ("now", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn minutes() {
        let seconds = |text| Some(parse_minute(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("2026-11-21 00:00"), Some(1_795_219_200));
        for text in [
            "",
            "soon",
            "2026-11-21",
            "2026-11-21T00:00",
            "2026-11-21 00:00:00",
            "2026-13-01 00:00",
            "2026-1-21 00:000",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
