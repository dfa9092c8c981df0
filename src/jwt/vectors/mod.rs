//! The vectors of others: each is run, or is an exception with a reason. Both are counted, so that none
//! is left out silently. Where they come from stands in `tests/data/vectors/README.md`.

mod envoy;
mod json_text;
mod jwe;
mod jwk;
mod jws;

use std::{collections::BTreeMap, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{Ambiguity, Error, Token, parse_jwks};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors")
}

fn read(file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(file)).unwrap()).unwrap()
}

/// The files of a folder, by name.
fn read_all(of: &str) -> Vec<(String, Value)> {
    let files = fs::read_dir(folder().join(of)).unwrap().map(|file| file.unwrap().path());
    let names = files.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let mut all: Vec<_> = names
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .map(|name| (name.clone(), read(&format!("{of}/{name}"))))
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What became of the vectors of one corpus.
#[derive(Default)]
struct Tally {
    run: usize,
    exceptions: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn ran(&mut self, id: &str, expected: bool, is: bool) {
        self.run += 1;
        if expected != is {
            self.wrong.push(format!("{id}: {is} instead of {expected}"));
        }
    }

    /// A vector that does not apply. `refused` is what became of it: nothing in this list gets through.
    fn except(&mut self, id: &str, reason: &'static str, refused: bool) {
        *self.exceptions.entry(reason).or_default() += 1;
        if !refused {
            self.wrong.push(format!("{id} is not refused, and is an exception: {reason}"));
        }
    }

    #[track_caller]
    fn finish(self, run: usize, exceptions: &[(&str, usize)]) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        let own: Vec<(&str, usize)> = self.exceptions.into_iter().collect();
        let mut exceptions = exceptions.to_vec();
        exceptions.sort_unstable();
        assert_eq!((self.run, own), (run, exceptions));
    }
}

/// Whether a compact JWS is one, with a good signature of a key of the set. That its payload is no
/// claims is found out after the signature, and that it is not base64url is, too.
fn verifies(token: &str, set: &Value) -> bool {
    let payload = token.split('.').nth(1).unwrap_or_default();
    if URL_SAFE_NO_PAD.decode(payload).is_err() {
        return false;
    }
    let verify = || -> Result<(), Error> {
        let set = parse_jwks(set.to_string().as_bytes(), 1000).map_err(|_| Error::KeyUnknown)?;
        let token = Token::parse(token, usize::MAX)?;
        let algorithm = token.algorithm()?;
        let key = set.find(token.kid(), algorithm, algorithm.into(), Ambiguity::Refuse);
        token.verify(key.map_err(|_| Error::KeyUnknown)?).map(|_| ())
    };
    matches!(verify(), Ok(()) | Err(Error::ClaimsMalformed | Error::ClaimsNull))
}
