//! Tokens that every gateway must accept or refuse, sent to the binary: a sample that is part of the
//! checkout, and all of them when they lie beside it.

use std::{collections::BTreeMap, fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Server, Setup, api, exchange, merge, respond, scheme, shared};

/// One group: a key set, what may sign, and tokens.
struct Group {
    defaults: Value,
    group: Value,
}

fn read(path: &Path) -> Vec<Group> {
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let groups = file["groups"].as_array().unwrap().iter().cloned();
    groups.map(|group| Group { defaults: file["defaults"].clone(), group }).collect()
}

impl Group {
    fn jwks(&self) -> Vec<u8> {
        match (&self.group["jwks"], self.group["jwks_text"].as_str(), self.group["jwks_b64"].as_str()) {
            (Value::Null, Some(text), _) => text.as_bytes().to_vec(),
            (Value::Null, None, Some(base64)) => STANDARD.decode(base64).unwrap(),
            (jwks, _, _) => jwks.to_string().into_bytes(),
        }
    }

    fn source(&self, n: usize, provider: &Server) -> Value {
        match self.group["source"].as_str().unwrap() {
            "remote-jwks" => json!({ "jwksURIs": [{ "url": format!("{}/{n}", provider.url()) }] }),
            "local-secret" => {
                // The set, not only the secret in it: its `alg` binds the secret.
                json!({ "source": STANDARD.encode(self.group["jwks"].to_string()) })
            }
            source => panic!("{source} is not a source that is known here"),
        }
    }

    fn definition(&self, n: usize, provider: &Server, upstream: &Server) -> Value {
        let mut scheme = scheme(json!({
            "signingMethod": "rsa",
            "allowedIssuers": [self.defaults["issuer"]],
            "allowedAudiences": [self.defaults["audience"]],
        }));
        merge(&mut scheme, self.source(n, provider));
        let names = self.group["algs"].as_array().unwrap().iter().filter_map(Value::as_str);
        // secp256k1 is on no list that this gateway could be given: P-256 stands in for it.
        let known =
            |name: &str| if Algorithm::from_name(name).is_some() { name.to_owned() } else { "ES256".into() };
        let algorithms: Vec<String> = names.map(known).collect();
        let mut document = api(&format!("g{n}"), upstream, scheme);
        let refined = json!({ "algorithms": algorithms, "requiredClaims": self.defaults["required_claims"] });
        merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": refined } } } } }),
        );
        document
    }
}

fn start(groups: &[Group], upstream: &Server) -> Gateway {
    let sets: Vec<Vec<u8>> = groups.iter().map(Group::jwks).collect();
    let provider = Server::start(move |request, stream| {
        let n: usize = request.target().trim_start_matches('/').parse().unwrap();
        respond(stream, "200 OK", "application/json", &sets[n])
    });
    let mut setup = Setup::new();
    for (n, group) in groups.iter().enumerate() {
        setup = setup.api(&group.definition(n, &provider, upstream));
    }
    setup.start()
}

/// Sends all tokens; counts how many of each kind were answered as they must be, out of how many.
#[track_caller]
fn run(groups: &[Group]) -> BTreeMap<String, (usize, usize)> {
    let upstream = Server::up();
    let gateway = start(groups, &upstream);
    let mut counts = BTreeMap::<String, (usize, usize)>::new();
    let (mut wrong, mut void) = (Vec::new(), Vec::new());
    for (n, group) in groups.iter().enumerate() {
        let mut lets_in = false;
        for case in group.group["cases"].as_array().unwrap() {
            let (id, token) = (case["id"].as_str().unwrap(), case["token"].as_str().unwrap());
            let head = format!(
                "GET /g{n}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let before = upstream.recorded().len();
            let answer = exchange(gateway.address(), head.as_bytes());
            let accepted = answer.status == 200;
            lets_in |= accepted;
            assert_eq!(upstream.recorded().len() - before, usize::from(accepted), "{id}");
            let (expect, severity) = (case["expect"].as_str().unwrap(), case["severity"].as_str().unwrap());
            let right = match expect {
                "accept" => accepted,
                "reject" => !accepted && answer.status < 500,
                // A choice that every gateway may make, but without a fault.
                _ => answer.status < 500,
            };
            let count = counts.entry(format!("{expect} {severity}")).or_default();
            count.0 += usize::from(right);
            count.1 += 1;
            if !right {
                wrong.push(format!(
                    "{} / {id}: {expect}, {severity}, answered {}",
                    group.group["id"], answer.status
                ));
            }
        }
        if !lets_in {
            void.push(group.group["id"].as_str().unwrap());
        }
    }
    // A group whose good token is refused proves nothing. These two are all about what is not supported.
    assert_eq!(void, ["optional-Ed448", "optional-ES256K"]);
    assert!(wrong.is_empty(), "{counts:?}\n{}", wrong.join("\n"));
    counts
}

#[test]
fn the_sample() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gateway-tokens-sample.json");
    let counts = run(&read(&path));
    assert!(counts["accept interop"].1 > 100 && counts["reject critical"].1 > 60, "{counts:?}");
}

#[test]
fn all_of_them() {
    let Some(folder) = shared("corpora/gateway-jws") else { return };
    let mut groups = Vec::new();
    for file in ["01_valid", "02_wycheproof_transposed", "03_structure_base64_json", "04_alg_attacks"] {
        groups.extend(read(&folder.join(format!("{file}.json"))));
    }
    let counts = run(&groups);
    assert!(counts["accept interop"].1 > 250 && counts["reject critical"].1 > 850, "{counts:?}");
}
