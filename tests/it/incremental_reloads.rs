//! A reload reads into something only what has changed. What it serves and what it tells must be what a gateway
//! would that starts with the same files.

use std::{fs, io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key_named, keyless, merge, scheme};
use claimgate::jwt::{Algorithm, sign::SigningKey};

/// What becomes of files: the text of each from now on, or nothing.
type Change = Vec<(&'static str, Option<String>)>;

fn signer(name: &'static str) -> std::sync::Arc<SigningKey> {
    key_named(name, Algorithm::HS256)
}

fn text(name: &'static str) -> String {
    signer(name).to_text().unwrap().trim().to_owned()
}

fn policy(id: &str, apis: &[&str], per: u32) -> Value {
    let rights = apis.iter().map(|api| ((*api).to_owned(), json!({ "api_id": api })));
    json!({ "id": id, "access_rights": rights.collect::<serde_json::Map<_, _>>(), "rate": 1000, "per": per })
}

fn written(policy: &Value) -> Option<String> {
    Some(policy.to_string())
}

/// The documents at the beginning, and every kind of change: of one file, and of files that have to do with each
/// other.
fn steps(upstream: &Server) -> Vec<(&'static str, Change)> {
    let free = |id: &str| Some(keyless(id, upstream).to_string());
    let with = |id: &str, tyk: Value| {
        let mut document = keyless(id, upstream);
        merge(&mut document, json!({ "x-tyk-api-gateway": tyk }));
        Some(document.to_string())
    };
    let at = |id: &str, path: &str| with(id, json!({ "server": { "listenPath": { "value": path } } }));
    let to = |other: &str| with("lead", json!({ "upstream": { "url": format!("tyk://{other}") } }));
    let guarded = |source: &str| {
        let scheme =
            scheme(json!({ "source": source, "signingMethod": "hmac", "defaultPolicies": ["gold"] }));
        Some(api("c", upstream, scheme).to_string())
    };
    let gold = |apis: &[&str]| written(&policy("gold", apis, 60));
    vec![
        (
            "the beginning",
            vec![
                ("api-definitions/a.json", free("a")),
                ("api-definitions/b.json", free("b")),
                ("api-definitions/c.json", guarded("file://key")),
                ("policies/gold.json", gold(&["c"])),
                ("key", Some(text("one"))),
                ("other-key", Some(text("other"))),
            ],
        ),
        ("nothing", vec![]),
        ("an API is new", vec![("api-definitions/new.json", free("new"))]),
        (
            "its file has another name",
            vec![("api-definitions/new.json", None), ("api-definitions/0.json", free("new"))],
        ),
        ("a later file has the id of an API", vec![("api-definitions/z.json", free("a"))]),
        (
            "an earlier one has it",
            vec![("api-definitions/z.json", None), ("api-definitions/00.json", free("a"))],
        ),
        ("nobody has it twice", vec![("api-definitions/00.json", None)]),
        ("an API listens where another one does", vec![("api-definitions/y.json", at("y", "/b/"))]),
        ("the other one moves away", vec![("api-definitions/b.json", at("b", "/moved/"))]),
        (
            "they change places",
            vec![("api-definitions/b.json", at("b", "/y/")), ("api-definitions/y.json", at("y", "/b/"))],
        ),
        ("only one is there", vec![("api-definitions/b.json", free("b")), ("api-definitions/y.json", None)]),
        ("an API leads to nobody", vec![("api-definitions/lead.json", to("nobody"))]),
        ("and to another one", vec![("api-definitions/lead.json", to("b"))]),
        ("which goes", vec![("api-definitions/b.json", None)]),
        ("and comes back under another name", vec![("api-definitions/bb.json", free("b"))]),
        ("a policy no longer grants an API", vec![("policies/gold.json", gold(&["a"]))]),
        ("it grants it again, and one that is not there", vec![("policies/gold.json", gold(&["c", "lost"]))]),
        ("which comes", vec![("api-definitions/lost.json", free("lost"))]),
        ("the policy is gone", vec![("policies/gold.json", None)]),
        (
            "it is there twice",
            vec![
                ("policies/gold.json", gold(&["c"])),
                (
                    "policies/more.json",
                    Some(json!([policy("tin", &["c"], 60), policy("gold", &["c"], 30)]).to_string()),
                ),
            ],
        ),
        ("it is there once, elsewhere", vec![("policies/gold.json", None)]),
        (
            "a file is no document, and a policy has an error",
            vec![
                ("api-definitions/broken.json", Some("{".into())),
                ("policies/more.json", Some(json!([{ "id": "gold", "rate": "x" }]).to_string())),
            ],
        ),
        (
            "both are mended",
            vec![("api-definitions/broken.json", free("mended")), ("policies/more.json", gold(&["c"]))],
        ),
        ("a key has another value", vec![("key", Some(text("two")))]),
        ("it has none", vec![("key", None)]),
        ("it has its old one", vec![("key", Some(text("one")))]),
        ("another key is named", vec![("api-definitions/c.json", guarded("file://other-key"))]),
        ("the settings give all definitions something else", vec![("claimgate.yaml", None)]),
    ]
}

/// What a gateway answers, and what it says of itself.
fn behaviour(gateway: &Gateway) -> Vec<String> {
    let mut told = Vec::new();
    for path in ["/a/", "/b/", "/c/", "/y/", "/new/", "/moved/", "/lead/", "/lost/", "/mended/"] {
        for signer in [None, Some(signer("one")), Some(signer("two")), Some(signer("other"))] {
            let request = Request::get(path);
            let request = match &signer {
                Some(signer) => request.bearer(&signer.sign(&json!({}), &claims(json!({}))).unwrap()),
                None => request,
            };
            let answer = gateway.send(&request);
            told.push(format!("{path} {} {}", answer.status, answer.text()));
        }
    }
    for path in ["/tyk/apis", "/tyk/policies"] {
        told.push(gateway.admin(Request::get(path)).text());
    }
    let references: Value =
        serde_json::from_slice(&gateway.admin(Request::get("/tyk/kv/status")).body).unwrap();
    told.push(references["references"].to_string());
    told
}

/// What was told of the documents last, as `check` would say it.
fn findings(gateway: &Gateway) -> String {
    let state: Value =
        serde_json::from_str(&gateway.admin(Request::get("/tyk/reload/status")).text()).unwrap();
    let text = |finding: &Value| {
        let field = |name: &str, before: &str| match &finding[name] {
            Value::Null => String::new(),
            Value::String(text) => format!("{before}{text}"),
            other => format!("{before}{other}"),
        };
        let (severity, file) = (field("severity", ""), field("file", ": "));
        format!("{severity}{file}{}{}{}\n", field("line", ":"), field("field", ": "), field("message", ": "))
    };
    state["last"]["findings"].as_array().unwrap().iter().map(text).collect()
}

fn apply(setup: &Setup, change: &Change) {
    for (name, text) in change {
        match (*name, text) {
            ("claimgate.yaml", _) => {
                let path = setup.path(name);
                let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                merge(&mut config, json!({ "tags": ["nobody"], "jwks": { "timeout": "2s" } }));
                fs::write(path, config.to_string()).unwrap();
            }
            (name, Some(text)) => setup.write(name, text),
            (name, None) => fs::remove_file(setup.path(name)).unwrap(),
        }
    }
}

#[test]
fn a_reload_is_as_good_as_a_start() {
    let upstream = Server::up();
    let setup = Setup::new();
    let mut steps = steps(&upstream).into_iter();
    apply(&setup, &steps.next().unwrap().1);
    let gateway = setup.start();
    let mut failures = 0;
    for (step, change) in steps {
        let before = behaviour(&gateway);
        apply(gateway.setup(), &change);
        let status = gateway.reload().status;
        let checked = gateway.setup().check();
        let told = String::from_utf8(checked.stdout).unwrap();
        let (told, count) = told.trim_end().rsplit_once('\n').unwrap_or(("", &told));
        assert_eq!(findings(&gateway).trim_end(), told, "{step}: {count}");
        if checked.status.success() {
            assert_eq!(status, 200, "{step}");
            assert_eq!(behaviour(&gateway), behaviour(&gateway.twin()), "{step}");
        } else {
            failures += 1;
            assert_eq!(status, 422, "{step}");
            assert_eq!(behaviour(&gateway), before, "{step}");
        }
    }
    assert_eq!(failures, 6, "steps that are errors");
}

/// Writes another text of the same length into a file that keeps its time.
fn overwrite(path: &Path, text: &str) {
    let metadata = fs::metadata(path).unwrap();
    assert_eq!(metadata.len(), text.len() as u64);
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
}

#[test]
fn a_change_that_cannot_be_seen_from_outside_is_read() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let text = keyless("a", &upstream).to_string().replace("/a/", "/b/");
    overwrite(&gateway.setup().path("api-definitions/a.json"), &text);
    assert_eq!(gateway.reload().status, 200);
    let statuses = ["/a/", "/b/"].map(|path| gateway.send(&Request::get(path)).status);
    assert_eq!(statuses, [404, 200]);
}
