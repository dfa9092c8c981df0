//! What the fuzz targets run: one function for each reader of what callers and key sets send, with
//! what must hold whatever they say. The targets in `fuzz/` are these functions and nothing else, and
//! a test replays their seeds through them.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE},
};

use crate::{
    auth::{Credential, Place, Places},
    gateway, http1,
    jwt::{
        Algorithm, AlgorithmSet, Check, ClaimPath, ClaimRule, Comparison, Error, Evidence, Expect, KeySet,
        Locator, Outcome, Quantifier, Requirement, Rules, SubjectClaims, Token, import_key,
        json::{self, Value},
        jwe::{
            AesSize, ContentEncryption, Decryption, KeyManagement, encrypt::EncryptionKey,
            import_decryption_keys,
        },
        parse_jwks,
        sign::SigningKey,
    },
    percent,
    refusal::{Asked, Manner, Overrides, Profile, Reason, Refusal, Space},
};

/// A reader under its name, which is that of its fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("jws", jws),
    ("jwe", jwe),
    ("claims", claims),
    ("json", json_text),
    ("keys", keys),
    ("decryption_keys", decryption_keys),
    ("credentials", credentials),
    ("path", path),
    ("percent", percent_encoding),
    ("content_type", content_type),
    ("head", head),
    ("body", body),
];

const MAX_TOKEN: usize = 64 * 1024;
/// Nobody outside knows it, so nothing that is found may verify under it.
const SECRET: [u8; 64] = *b"a secret of sixty-four octets that no input of a fuzzer contains";

fn text(octets: &[u8]) -> Option<&str> {
    std::str::from_utf8(octets).ok()
}

/// The text before the first line end, and the rest.
fn line(octets: &[u8]) -> Option<(&str, &[u8])> {
    let end = octets.iter().position(|octet| *octet == b'\n')?;
    let (line, rest) = octets.split_at_checked(end)?;
    Some((text(line)?, rest.get(1..)?))
}

fn own_key() -> &'static KeySet {
    static KEY: LazyLock<KeySet> =
        LazyLock::new(|| import_key(&SECRET, Algorithm::HS256.into()).unwrap_or_default());
    &KEY
}

/// A compact token: it has one spelling, and nobody signs for a key they do not have.
pub fn jws(octets: &[u8]) {
    let Some(text) = text(octets) else { return };
    let Ok(token) = Token::parse(text, MAX_TOKEN) else { return };
    assert_eq!(text.split('.').count(), 3);
    for segment in text.split('.').step_by(2) {
        let decoded = URL_SAFE_NO_PAD.decode(segment).unwrap_or_default();
        assert_eq!(URL_SAFE_NO_PAD.encode(decoded), segment, "one text, one spelling");
    }
    assert!(token.header().get("crit").is_none());
    let _ = (token.kid(), token.unverified_claims());
    for key in own_key().keys() {
        assert!(token.verify(key).is_err());
    }
}

/// An encrypted token: as it is, then with the input as header, then around it.
pub fn jwe(octets: &[u8]) {
    static KEYS: LazyLock<Option<(Decryption, EncryptionKey)>> = LazyLock::new(decryption);
    let Some((decryption, key)) = &*KEYS else { panic!("the keys cannot be made") };
    let Some(text) = text(octets) else { return };
    if let Ok(signed) = decryption.open(text, MAX_TOKEN) {
        panic!("nobody can have encrypted {signed}");
    }
    let segment = URL_SAFE_NO_PAD.encode(text);
    let gcm = "AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA";
    for encrypted_key in ["", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(decryption.open(&format!("{segment}.{encrypted_key}.{gcm}"), usize::MAX).is_err());
    }
    let header = serde_json::json!({ "iss": "a", "aud": ["b"] });
    let token = key.encrypt(ContentEncryption::Gcm(AesSize::A256), &header, text).unwrap_or_default();
    match decryption.open(&token, usize::MAX) {
        Ok(signed) => assert_eq!(signed, text),
        Err(error) => assert!(error != Error::Decryption, "our own text is read again"),
    }
}

/// Keys of three kinds, and one to encrypt with.
fn decryption() -> Option<(Decryption, EncryptionKey)> {
    const EC: &str = r#"{"kty":"EC","kid":"ec","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
    const X25519: &str = r#"{"kty":"OKP","kid":"x","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo","d":"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"}"#;
    let secret = SECRET.get(..32)?;
    let wrap = Some(KeyManagement::Kw(AesSize::A256));
    let mut keys = import_decryption_keys(secret, Some("secret"), wrap).ok()?;
    for jwk in [EC, X25519] {
        keys.extend(import_decryption_keys(jwk.as_bytes(), None, None).ok()?);
    }
    let own = serde_json::json!({ "kty": "oct", "kid": "secret", "k": URL_SAFE_NO_PAD.encode(secret) });
    Some((Decryption::new(keys).ok()?, EncryptionKey::from_text(&own.to_string(), None, wrap).ok()?))
}

/// A path into claims or a JSON Pointer, a line end, and claims that are signed well: what is found there
/// keeps a rule that asks for it, and no other.
pub fn claims(octets: &[u8]) {
    static SIGNER: LazyLock<Option<SigningKey>> =
        LazyLock::new(|| SigningKey::from_secret(Algorithm::HS256, &SECRET).ok());
    let (Some((path, claims)), Some(signer)) = (line(octets), &*SIGNER) else { return };
    let Ok(claims) = serde_json::from_slice(claims) else { return };
    let Ok(signed) = signer.sign(&serde_json::json!({}), &claims) else { return };
    let (Ok(token), [key]) = (Token::parse(&signed, usize::MAX), own_key().keys()) else {
        panic!("our own token is read");
    };
    let Ok(claims) = token.verify(key) else { return };
    let lenient = ClaimPath::lenient(path);
    if let Ok(strict) = ClaimPath::strict(path) {
        assert_eq!(strict, lenient);
        let _ = strict.walk(&claims);
    }
    let _ = (lenient.find(&claims), SubjectClaims::new([path]));
    let mut rules = Rules::new(Algorithm::HS256.into());
    let _ = rules.subject(&claims);
    let evidence = Evidence { header: token.header(), claims: &claims, now: 1_700_000_000 };
    let _ = rules.check(evidence, |_| ());
    let Ok(claim) = Locator::parse(path) else { return };
    let found = claim.find(&claims).filter(|value| **value != Value::Null);
    for (expect, passes) in rules_about(found) {
        let rule = ClaimRule { claim: claim.clone(), optional: false, expect };
        let check = Check::new(Requirement::Claim(rule)).named("fuzzed");
        rules.unset(check.requirement());
        rules.set(check);
        let outcome = rules.walk(evidence).find(|checked| **checked.check().name() == *"fuzzed");
        let words = outcome.as_ref().map(|checked| (checked.expected(), checked.found()));
        let outcome = outcome.map(|checked| *checked.outcome() == Outcome::Passed);
        assert_eq!(outcome, Some(passes), "{words:?}");
    }
}

/// Rules about a claim that is this, and whether it keeps them.
fn rules_about(found: Option<&Value>) -> Vec<(Expect, bool)> {
    let Some(value) = found else { return vec![(Expect::Present, false), (Expect::Absent, true)] };
    let own = || vec![value.clone()];
    let mut rules = vec![
        (Expect::Present, true),
        (Expect::Absent, false),
        (Expect::OneOf(own()), true),
        (Expect::NoneOf(own()), false),
    ];
    match value {
        Value::String(text) => {
            rules.push((Expect::StartsWith(text.clone()), true));
            rules.push((Expect::EndsWith(text.clone()), true));
            rules.push((Expect::EndsWith(format!("{text}x")), false));
        }
        Value::Array(elements) => {
            rules.push((Expect::Elements(Quantifier::Only, elements.clone()), true));
            rules.push((Expect::Elements(Quantifier::All, elements.clone()), true));
            rules.push((Expect::Elements(Quantifier::None, elements.clone()), elements.is_empty()));
        }
        Value::Number(number) => {
            rules.push((Expect::Compare(Comparison::AtLeast, *number), true));
            rules.push((Expect::Compare(Comparison::GreaterThan, *number), false));
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
    rules
}

/// A JSON text: what is read is written and read again, and a common reader agrees that it is JSON.
pub fn json_text(octets: &[u8]) {
    let tolerant = json::parse_tolerant(octets);
    let Ok(parsed) = json::parse(octets) else { return };
    assert!(tolerant.is_ok_and(|value| value == parsed.value));
    let again = json::parse(parsed.value.to_string().as_bytes());
    assert!(again.is_ok_and(|again| again.value == parsed.value), "what was written is read alike");
    if !parsed.replaced_surrogate
        && let Err(error) = serde_json::from_slice::<serde_json::Value>(octets)
    {
        // It nests no deeper than 128.
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}

/// Keys that verify: a JWK set that was fetched, or one key in any form.
pub fn keys(octets: &[u8]) {
    let all: AlgorithmSet = Algorithm::ALL.into_iter().collect();
    for set in [parse_jwks(octets, 1000), import_key(octets, all)].into_iter().flatten() {
        for key in set.keys() {
            assert!(!key.algorithms().is_empty());
            for algorithm in key.algorithms().iter() {
                let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"{algorithm}\"}}"));
                let text = format!("{header}.e30.{}", URL_SAFE_NO_PAD.encode([0; 64]));
                assert!(Token::parse(&text, MAX_TOKEN).is_ok_and(|token| token.verify(key).is_err()));
            }
        }
    }
}

/// Keys that decrypt: what is published of them has nothing private.
pub fn decryption_keys(octets: &[u8]) {
    for algorithm in [None, Some(KeyManagement::Dir)] {
        for key in import_decryption_keys(octets, None, algorithm).into_iter().flatten() {
            assert!(!key.algorithms().is_empty());
            let public = key.public_jwk().unwrap_or_default();
            assert!(["d", "p", "q", "k"].iter().all(|name| public.get(name).is_none()));
        }
    }
}

/// Three lines: `Authorization`, `Cookie`, and the query. What was taken out is gone.
pub fn credentials(octets: &[u8]) {
    let mut lines = octets.split(|octet| *octet == b'\n');
    let mut headers = HeaderMap::new();
    let alternative = HeaderName::from_static("x-token");
    for name in [AUTHORIZATION, COOKIE, COOKIE, alternative.clone()] {
        if let Some(Ok(value)) = lines.next().map(HeaderValue::from_bytes) {
            headers.append(name, value);
        }
    }
    let query = lines.next().and_then(text);
    for profile in [Profile::Rfc, Profile::Tyk] {
        let all = vec![
            Place::Header(AUTHORIZATION),
            Place::Header(alternative.clone()),
            Place::Query("token".into()),
            Place::Cookie("session".into()),
        ];
        let places = Places::new(all, profile);
        if let Credential::Token(token) = places.locate(&headers, query) {
            assert!(!token.is_empty());
        }
        let mut stripped = headers.clone();
        places.strip_headers(&mut stripped);
        let without = query.map(|query| places.strip_query(query).unwrap_or_else(|| query.to_owned()));
        assert_eq!(places.locate(&stripped, without.as_deref()), Credential::Nothing, "{profile:?}");
    }
}

/// The target of a request.
pub fn path(octets: &[u8]) {
    if let Some(text) = text(octets) {
        gateway::fuzz_target(text);
    }
}

/// Percent-encoding: what was encoded is decoded alike.
pub fn percent_encoding(octets: &[u8]) {
    let Some(text) = text(octets) else { return };
    let encoded = percent::encode(text);
    assert!(encoded.is_ascii());
    for decoded in [percent::decode_path(&encoded), percent::decode_form(&encoded)] {
        assert_eq!(decoded.as_deref(), Some(octets));
    }
    let _ = (percent::decode_path(text), percent::decode_form(text));
}

/// The `Content-Type` of a request, a line end, and what a refusal repeats: the answer is well-formed.
pub fn content_type(octets: &[u8]) {
    let (media_type, detail) = line(octets).unwrap_or_default();
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(media_type) {
        headers.insert(CONTENT_TYPE, value);
    }
    let detail = String::from_utf8_lossy(detail);
    let refusal = Refusal::with_detail(Reason::IssuerNotAllowed, &*detail);
    for profile in [Profile::Rfc, Profile::Tyk] {
        let space = Space { realm: &detail, bearer: true, ..Space::default() };
        let asked = Asked::new(&Method::GET, &headers);
        let answer = refusal.response(&Manner { profile, asked, space, overrides: &Overrides::default() });
        let answered = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if answered.starts_with(b"application/json") {
            assert!(serde_json::from_slice::<serde_json::Value>(answer.body()).is_ok(), "it is JSON");
        }
    }
}

/// What comes over a connection: as heads of requests, and as those of answers. What is taken for one reads the
/// same when it is written, and tells one length.
pub fn head(octets: &[u8]) {
    let mut input = BytesMut::from(octets);
    let mut search = http1::Search::default();
    let Ok(Some(head)) = search.take(&mut input, 16 * 1024) else { return };
    if let Ok(answer) = http1::AnswerHead::parse(&head, &Method::GET) {
        assert!(answer.is_last || answer.length != http1::Length::UntilClose);
    }
    let Ok(request) = http1::RequestHead::parse(&head) else { return };
    let mut output = http1::Output::default();
    output.request(&request.parts, request.length, None);
    let written = Bytes::from(output.into_octets());
    assert_eq!(
        written.iter().filter(|octet| **octet == b'\n').count(),
        written.iter().filter(|octet| **octet == b'\r').count()
    );
    match http1::RequestHead::parse(&written) {
        Ok(again) => assert_eq!(again.length, request.length),
        Err(error) => {
            assert!(error == http1::HeadError::TooLarge, "what was read is written so that it is read");
        }
    }
}

/// A chunked body, in pieces of the length that the first octet says: however it comes, it is the same.
pub fn body(octets: &[u8]) {
    let Some((step, text)) = octets.split_first() else { return };
    let decode = |step: usize| {
        let mut decoder = http1::Decoder::new(http1::Length::Chunked);
        let (mut input, mut data) = (BytesMut::new(), Vec::new());
        for piece in text.chunks(step.max(1)) {
            input.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut input, false) {
                    Ok(http1::Decoded::Data(more)) => data.extend_from_slice(&more),
                    Ok(http1::Decoded::More) => break,
                    Ok(http1::Decoded::End) => return Ok(Some(data)),
                    Err(broken) => return Err(broken),
                }
            }
        }
        Ok(None)
    };
    assert_eq!(decode((*step).into()), decode(text.len()), "in pieces and at once");
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::PathBuf};

    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;

    fn checkout(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn octets(path: &str) -> Vec<u8> {
        fs::read(checkout(path)).unwrap()
    }

    /// All texts below a value that have this name.
    fn texts(value: &Value, name: &str, found: &mut Vec<Vec<u8>>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(own, value)| match value {
                Value::String(text) if own == name => found.push(text.clone().into()),
                value => texts(value, name, found),
            }),
            Value::Array(elements) => elements.iter().for_each(|value| texts(value, name, found)),
            _ => {}
        }
    }

    /// All values below a value that have this name, as JSON.
    fn values(value: &Value, name: &str, found: &mut Vec<Vec<u8>>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(own, value)| {
                if own == name && !value.is_null() {
                    found.push(value.to_string().into());
                }
                values(value, name, found);
            }),
            Value::Array(elements) => elements.iter().for_each(|value| values(value, name, found)),
            _ => {}
        }
    }

    fn read(path: &str) -> Value {
        serde_json::from_slice(&octets(path)).unwrap()
    }

    const VECTORS: &str = "tests/data/vectors";

    fn tokens() -> Vec<Vec<u8>> {
        let mut tokens = Vec::new();
        texts(&read("tests/data/gateway-tokens-sample.json"), "token", &mut tokens);
        texts(&read(&format!("{VECTORS}/google-jwt_verify_lib/jwt_parse.json")), "token", &mut tokens);
        texts(&read(&format!("{VECTORS}/wycheproof/json_web_signature_test.json")), "jws", &mut tokens);
        tokens
    }

    fn encrypted() -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        texts(&read(&format!("{VECTORS}/wycheproof/json_web_encryption_test.json")), "jwe", &mut seeds);
        texts(&read(&format!("{VECTORS}/panva-jose/cookbook_jwe.json")), "compact", &mut seeds);
        let nested = "jose-cookbook/6.nesting_signatures_and_encryption.json";
        texts(&read(&format!("{VECTORS}/{nested}")), "compact", &mut seeds);
        let header =
            |token: &Vec<u8>| URL_SAFE_NO_PAD.decode(token.split(|octet| *octet == b'.').next()?).ok();
        let headers: Vec<_> = seeds.iter().filter_map(header).collect();
        seeds.extend(headers);
        seeds
    }

    fn signed_claims() -> Vec<Vec<u8>> {
        let paths = [
            "sub",
            "realm_access.roles.0",
            "https://idp.example/roles",
            "a\\.b.c",
            ".",
            "a.*",
            "/aud/0",
            "/exp",
        ];
        let payload = |token: &Vec<u8>| {
            let payload = URL_SAFE_NO_PAD.decode(token.split(|octet| *octet == b'.').nth(1)?).ok()?;
            payload.starts_with(b"{").then_some(payload)
        };
        let payloads = tokens().iter().filter_map(payload).collect::<BTreeSet<_>>();
        let with_path =
            |(n, payload): (usize, Vec<u8>)| [paths[n % paths.len()].as_bytes(), b"\n", &payload].concat();
        payloads.into_iter().enumerate().map(with_path).collect()
    }

    fn json_texts() -> Vec<Vec<u8>> {
        let suite = read(&format!("{VECTORS}/JSONTestSuite/test_parsing.json"));
        suite
            .as_object()
            .unwrap()
            .values()
            .map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap())
            .collect()
    }

    fn public_keys() -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        texts(&read(&format!("{VECTORS}/google-jwt_verify_lib/jwks_parse.json")), "document", &mut seeds);
        values(&read(&format!("{VECTORS}/wycheproof/json_web_signature_test.json")), "public", &mut seeds);
        values(&read("tests/data/gateway-tokens-sample.json"), "jwks", &mut seeds);
        seeds.extend(
            ["certificate", "public", "public-pkcs1"]
                .map(|name| octets(&format!("tests/data/partner-{name}.pem"))),
        );
        seeds
    }

    fn private_keys() -> Vec<Vec<u8>> {
        let mut seeds = vec![octets("tests/data/partner-private.pem")];
        values(&read(&format!("{VECTORS}/wycheproof/json_web_encryption_test.json")), "private", &mut seeds);
        values(&read(&format!("{VECTORS}/panva-jose/cookbook_jwe.json")), "key", &mut seeds);
        seeds.push(octets(&format!("{VECTORS}/jose-cookbook/jwk/3_4.rsa_private_key.json")));
        seeds
    }

    fn lines(lines: &[&str]) -> Vec<Vec<u8>> {
        lines.iter().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn requests() -> Vec<Vec<u8>> {
        lines(&[
            "Bearer abc\n\n\n\n",
            "bEaReR  abc\nsession=abc\n\nabc\ntoken=abc",
            "Basic x\na=1; session=\"abc\"; b=2\nsession=def\n\nx=1&%74oken=abc",
            "\nsession=\n\nBearer\ntoken=Bearer+abc&token=def",
            "Bearer\na=;session;=;\n\n\ntoken=%zz&&tok%65n=%41",
        ])
    }

    fn targets() -> Vec<Vec<u8>> {
        lines(&[
            "/",
            "/a/b?c=d",
            "/a//b",
            "/a/./b/../c",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/a%2F%2e%2e%2Fb",
            "/..",
            "/%2e%2e%2f",
            "/a;x=1/..;/b",
            "/a\\b",
            "/a%5c..%5cb",
            "/%c0%ae%c0%ae/",
            "/%252e%252e/",
            "/%ef%bc%8f",
            "/%e2%80%a4%e2%80%a4/",
            "/a%00b",
            "/%zz",
            "/a%",
            "http://x/a/../b",
            "http://u@x/",
            "*",
            "/caf%c3%a9",
            "/a%2f",
            "//evil/..//",
        ])
    }

    fn media_types() -> Vec<Vec<u8>> {
        lines(&[
            "text/xml\n<&>\"'",
            "application/soap+xml; charset=utf-8\nx",
            "application/json\n\"\\\u{1}",
            "\n",
        ])
    }

    /// Whole messages, good and bad.
    fn messages() -> Vec<Vec<u8>> {
        let cases: Value = serde_json::from_slice(&octets("tests/data/gateway-framing.json")).unwrap();
        let raw = cases["cases"].as_array().unwrap().iter().map(|case| case["raw"].as_str().unwrap());
        // One octet for each character: the file writes octets that way.
        let latin1 = |text: &str| text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
        raw.map(latin1).chain(lines(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"])).collect()
    }

    /// What follows the head, in pieces of three octets.
    fn body_of(message: &[u8]) -> Option<Vec<u8>> {
        let end = message.windows(4).position(|octets| octets == b"\r\n\r\n")? + 4;
        Some([b"\x03", &message[end..]].concat())
    }

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let mut seeds = match target {
            "jws" => tokens(),
            "jwe" => encrypted(),
            "claims" => signed_claims(),
            "json" => json_texts(),
            "keys" => public_keys(),
            "decryption_keys" => private_keys(),
            "credentials" => requests(),
            "path" | "percent" => targets(),
            "content_type" => media_types(),
            "head" => messages(),
            "body" => messages().iter().filter_map(|message| body_of(message)).collect(),
            target => panic!("{target} has no seeds"),
        };
        // What was found once, and is mended.
        if let Ok(found) = fs::read_dir(checkout("fuzz/findings").join(target)) {
            seeds.extend(found.map(|file| fs::read(file.unwrap().path()).unwrap()));
        }
        seeds
    }

    #[test]
    fn every_seed() {
        for (name, run) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() > 3, "{name}");
            seeds.iter().for_each(|seed| run(seed));
            if std::env::var_os("WRITE_SEEDS").is_some() {
                let folder = checkout("fuzz/corpus").join(name);
                fs::create_dir_all(&folder).unwrap();
                for (n, seed) in seeds.iter().enumerate() {
                    fs::write(folder.join(format!("seed-{n:04}")), seed).unwrap();
                }
            }
        }
    }

    #[test]
    fn every_target_is_a_program() {
        let files = fs::read_dir(checkout("fuzz/fuzz_targets")).unwrap().map(|file| file.unwrap().path());
        let files: BTreeSet<String> =
            files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files, names);
        let manifest = String::from_utf8(octets("fuzz/Cargo.toml")).unwrap();
        for name in names {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
