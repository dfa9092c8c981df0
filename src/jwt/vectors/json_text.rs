//! JSON texts.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Tally, read, text};
use crate::jwt::json;

#[test]
fn json_test_suite() {
    const DUPLICATE: &str = "a name comes twice, which two readers may read differently";
    let mut tally = Tally::default();
    let mut undecided = 0;
    let suite = read("JSONTestSuite/test_parsing.json");
    let mut all: Vec<(String, Vec<u8>)> = suite
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, octets)| (name.clone(), STANDARD.decode(text(octets)).unwrap()))
        .collect();
    // The two that are not in the file, for they are long.
    all.push(("n_structure_100000_opening_arrays.json".into(), b"[".repeat(100_000)));
    all.push(("n_structure_open_array_object.json".into(), b"[{\"\":".repeat(50_000)));
    for (name, octets) in &all {
        let is_json = json::parse(octets).is_ok();
        match name.as_bytes().first() {
            Some(b'y') if name.contains("duplicated_key") => {
                tally.except(name, DUPLICATE, !is_json && json::parse_tolerant(octets).is_ok());
            }
            Some(b'y') => tally.ran(name, true, is_json),
            Some(b'n') => tally.ran(name, false, is_json),
            // Either is right; that it ends is what is tested.
            _ => undecided += 1,
        }
    }
    tally.finish(93 + 188, &[(DUPLICATE, 2)]);
    assert_eq!(undecided, 35);
}
