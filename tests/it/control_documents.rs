//! Definitions and policies over the control API.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{ADMIN_SECRET, Answer, Gateway, Holding, Request, Server, Setup, keyless};

/// How long something may take before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn send(gateway: &Gateway, method: &'static str, path: &str, body: &Value) -> Answer {
    gateway.admin(Request::new(method, path).body(body.to_string().as_bytes()))
}

#[track_caller]
fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

#[track_caller]
fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.admin(Request::get(path));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    body(&answer)
}

fn status_of(gateway: &Gateway, path: &str) -> u16 {
    gateway.send(&Request::get(path)).status
}

/// The names of the files of a folder that are not hidden, sorted.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn text(gateway: &Gateway, name: &str) -> String {
    fs::read_to_string(gateway.setup().path(name)).unwrap()
}

#[test]
fn an_api_comes_changes_and_goes() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let mut new = keyless("new", &upstream);
    let added = send(&gateway, "POST", "/tyk/apis/oas", &new);
    assert_eq!(body(&added), json!({ "key": "new", "status": "ok", "action": "added" }));
    // It is on the disk, and acts with the next reload.
    let written: Value = serde_json::from_str(&text(&gateway, "api-definitions/new.json")).unwrap();
    assert_eq!(written, new);
    assert_eq!(status_of(&gateway, "/new/x"), 404);
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/new", &new).status, 404, "it is not served yet");
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(status_of(&gateway, "/new/x"), 200);
    assert_eq!(get(&gateway, "/tyk/apis/oas/new"), new);

    new["x-tyk-api-gateway"]["server"]["listenPath"]["value"] = json!("/newer/");
    let changed = send(&gateway, "PUT", "/tyk/apis/oas/new?reload=true", &new);
    assert_eq!(body(&changed), json!({ "key": "new", "status": "ok", "action": "modified" }));
    assert_eq!([status_of(&gateway, "/new/x"), status_of(&gateway, "/newer/x")], [404, 200]);
    let output = gateway.setup().check();
    assert!(output.status.success(), "a restart would find it: {output:?}");

    let gone = gateway.admin(Request::new("DELETE", "/tyk/apis/oas/new?reload=true"));
    assert_eq!(body(&gone), json!({ "key": "new", "status": "ok", "action": "deleted" }));
    assert_eq!([status_of(&gateway, "/newer/x"), status_of(&gateway, "/a/x")], [404, 200]);
    assert_eq!(files(&gateway.setup().path("api-definitions")), ["a.json"]);
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/oas/new")).status, 404);
    // Whoever takes the last one away means it.
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/a?reload=true")).status, 200);
    assert_eq!(status_of(&gateway, "/a/x"), 404);
    assert_eq!(send(&gateway, "POST", "/tyk/apis/oas?reload=true", &keyless("a", &upstream)).status, 200);
    assert_eq!(status_of(&gateway, "/a/x"), 200);
}

#[test]
fn what_is_served_is_shown() {
    let upstream = Server::up();
    let mut versioned = keyless("b", &upstream);
    versioned["x-claimgate"] = json!({});
    let gateway = Setup::new().api(&keyless("a", &upstream)).api(&versioned).start();
    assert_eq!(get(&gateway, "/tyk/apis/oas").as_array().unwrap().len(), 2);
    assert_eq!(get(&gateway, "/tyk/apis/oas/")[0], keyless("a", &upstream));
    let public = get(&gateway, "/tyk/apis/oas/b?mode=public");
    let names: Vec<&String> = public.as_object().unwrap().keys().collect();
    assert_eq!(names, ["openapi", "info", "paths"]);
    let export = gateway.admin(Request::get("/tyk/apis/oas/b/export"));
    assert_eq!(export.header("content-disposition"), Some("attachment; filename=\"oas-export-b.json\""));
    assert_eq!(body(&export), versioned);
    assert_eq!(get(&gateway, "/tyk/apis/oas/export?mode=public")[1], public);
    let classic = get(&gateway, "/tyk/apis/a");
    assert_eq!((&classic["api_id"], &classic["proxy"]["listen_path"]), (&json!("a"), &json!("/a/")));
    assert_eq!(get(&gateway, "/tyk/apis")[0], classic);
    let versions = get(&gateway, "/tyk/apis/oas/a/versions");
    assert_eq!((&versions["status"], &versions["apis"][0]["id"]), (&json!("success"), &json!("a")));
    for path in ["/tyk/apis/oas/zz", "/tyk/apis/zz", "/tyk/apis/oas/zz/export", "/tyk/apis/oas/zz/versions"] {
        let answer = gateway.admin(Request::get(path));
        assert_eq!((answer.status, &body(&answer)["message"]), (404, &json!("API not found")), "{path}");
    }
    assert_eq!(send(&gateway, "POST", "/tyk/apis", &json!({})).status, 400);
}

#[test]
fn what_would_not_load_is_not_written() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).api(&keyless("b", &upstream)).start();
    let folder = gateway.setup().path("api-definitions");
    let changed = |pointer: &str, value: Value| {
        let mut document = keyless("new", &upstream);
        *document.pointer_mut(pointer).unwrap() = value;
        document
    };
    let tyk = "/x-tyk-api-gateway";
    for (document, message) in [
        (json!({ "openapi": "3.0.3" }), "the payload should contain x-tyk-api-gateway"),
        (changed(&format!("{tyk}/server/listenPath/value"), json!("/a/")), "listens on /a/ as well"),
        (changed(&format!("{tyk}/info/name"), json!("")), "an API needs a name"),
        (changed(&format!("{tyk}/upstream/url"), json!("gopher://x")), "x-tyk-api-gateway.upstream.url"),
        (changed("/openapi", json!("2.0")), "only 3.0 is read"),
        (changed(&format!("{tyk}/info/id"), json!("../evil")), "Invalid API ID"),
        (changed(&format!("{tyk}/info/id"), json!("a/b")), "Invalid API ID"),
        (changed(&format!("{tyk}/info/id"), json!("a\u{0}b")), "Invalid API ID"),
        (changed(&format!("{tyk}/info/id"), json!(".hidden")), "Invalid API ID"),
        (changed(&format!("{tyk}/info/id"), json!("x".repeat(300))), "Invalid API ID"),
    ] {
        let answer = send(&gateway, "POST", "/tyk/apis/oas", &document);
        assert_eq!(answer.status, 400, "{message}");
        let said = body(&answer)["message"].as_str().unwrap().to_owned();
        assert!(said.contains(message), "{said}");
    }
    for path in
        ["/tyk/apis/oas/..%2Fevil", "/tyk/apis/oas/%2e%2e", "/tyk/apis/oas/a%00", "/tyk/apis/oas/a%2f"]
    {
        for method in ["PUT", "DELETE"] {
            assert_eq!(send(&gateway, method, path, &keyless("new", &upstream)).status, 404, "{path}");
        }
    }
    for text in ["{", "[]", "", "{\"a\": 1, \"a\": 2}", &"[".repeat(100_000)] {
        let answer = gateway.admin(Request::new("POST", "/tyk/apis/oas").body(text.as_bytes()));
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("request malformed"), "{}", answer.text());
    }
    // A change to one API must not break another one.
    let mut moved = keyless("b", &upstream);
    moved["x-tyk-api-gateway"]["server"]["listenPath"]["value"] = json!("/a/");
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/b", &moved).status, 400);
    let other = send(&gateway, "PUT", "/tyk/apis/oas/a", &keyless("b", &upstream));
    let message = "Request APIID does not match that in Definition! For Update operations these must match.";
    assert_eq!(body(&other)["message"], message);
    // An option of Tyk's that would do nothing.
    let options = send(&gateway, "POST", "/tyk/apis/oas?base_api_id=a", &keyless("new", &upstream));
    assert_eq!(options.status, 400, "{}", options.text());
    // A file that somebody broke holds all changes up, but for the one that mends it.
    gateway.setup().write("api-definitions/b.json", "{");
    let held = send(&gateway, "POST", "/tyk/apis/oas", &keyless("new", &upstream));
    assert!(held.status == 400 && held.text().contains("b.json:1"), "{}", held.text());
    assert_eq!(files(&folder), ["a.json", "b.json"]);
    assert_eq!(files(gateway.setup().path(".").as_path()), ["api-definitions", "claimgate.yaml", "policies"]);
}

#[test]
fn too_large_a_body() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    // One octet too many: it is the last one that is read.
    let large = vec![b' '; 16 * 1024 * 1024 + 1];
    let answer = gateway.admin(Request::new("POST", "/tyk/apis/oas").body(&large));
    assert_eq!(answer.status, 413, "{}", answer.text());
}

#[test]
fn the_file_that_holds_an_api_is_the_one_that_changes() {
    let upstream = Server::up();
    let yaml = "# Ours since 2019.\n";
    let of = |id: &str| format!("{yaml}{}", keyless(id, &upstream));
    let setup = Setup::new()
        .file("api-definitions/other-name.yaml", &of("a"))
        .file("api-definitions/new.json", &keyless("taken", &upstream).to_string())
        .file("elsewhere.json", &keyless("linked", &upstream).to_string());
    symlink("../elsewhere.json", setup.path("api-definitions/linked.json")).unwrap();
    let gateway = setup.start();
    let mut a = keyless("a", &upstream);
    // Nothing is new: the file stays as it is.
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/a", &a).status, 200);
    assert_eq!(text(&gateway, "api-definitions/other-name.yaml"), of("a"));
    // Texts that YAML readers guess about come back as they were.
    a["info"] = json!({ "title": "no", "version": "010", "description": "a: b # c\n\"- x\"\ttrue" });
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/a?reload=true", &a).status, 200);
    assert_eq!(get(&gateway, "/tyk/apis/oas/a"), a);
    let written = text(&gateway, "api-definitions/other-name.yaml");
    assert!(written.contains("\nx-tyk-api-gateway:"), "it stays YAML: {written}");
    assert_eq!(text(&gateway, "api-definitions/other-name.yaml.bak"), of("a"), "with its comments");
    // A name that is taken by another API.
    assert_eq!(send(&gateway, "POST", "/tyk/apis/oas?reload=true", &keyless("new", &upstream)).status, 200);
    assert_eq!(get(&gateway, "/tyk/apis/oas/taken"), keyless("taken", &upstream));
    // A link stays one.
    let mut linked = keyless("linked", &upstream);
    linked["info"]["title"] = json!("changed");
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/linked", &linked).status, 200);
    assert!(gateway.setup().path("api-definitions/linked.json").is_symlink());
    assert_eq!(serde_json::from_str::<Value>(&text(&gateway, "elsewhere.json")).unwrap(), linked);
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/oas/linked?reload=true")).status, 200);
    let folder = gateway.setup().path("api-definitions");
    assert_eq!(files(&folder), ["new-1.json", "new.json", "other-name.yaml", "other-name.yaml.bak"]);
    // What a crash between writing and renaming leaves is nobody's definition.
    gateway.setup().write("api-definitions/.tmpAbC123.json", "{");
    assert_eq!(gateway.reload().status, 200);
}

#[test]
fn what_cannot_be_written_is_told() {
    let upstream = Server::up();
    let gateway =
        Setup::new().file("api-definitions/a.yaml", &format!("# a\n{}", keyless("a", &upstream))).start();
    // The last text cannot be kept, so the new one is not written.
    fs::create_dir(gateway.setup().path("api-definitions/a.yaml.bak")).unwrap();
    let mut a = keyless("a", &upstream);
    a["info"]["title"] = json!("changed");
    let answer = send(&gateway, "PUT", "/tyk/apis/oas/a", &a);
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("a.yaml cannot be written"), "{}", answer.text());
    assert!(text(&gateway, "api-definitions/a.yaml").starts_with("# a\n"));
}

#[test]
fn what_may_not_outlive_a_crash_is_told() {
    // Files can be made in a folder that cannot be opened, and such a folder cannot be synced.
    let of = |mode: u32| Permissions::from_mode(mode);
    let gold = json!({ "id": "gold", "access_rights": { "a": { "api_id": "a" } } });
    let setup = Setup::new().unprivileged().api(&keyless("a", &Server::up())).config(&json!({
        "admin": { "audit": "audit.log" }, "policies": "closed/all.json", "keys": { "file": "closed/keys.json" },
    }));
    fs::create_dir(setup.path("closed")).unwrap();
    let gateway = setup.file("closed/all.json", &json!([gold]).to_string()).start();
    let closed = gateway.setup().path("closed");
    fs::set_permissions(&closed, of(0o300)).unwrap();
    let mut silver = gold.clone();
    silver["tags"] = json!(["x"]);
    let key = json!({ "access_rights": { "a": { "api_id": "a" } } });
    for (path, sent) in [("/tyk/policies?reload=true", &silver), ("/tyk/keys/some-key", &key)] {
        let answer = send(&gateway, "POST", path, sent);
        assert_eq!(answer.status, 500, "{}", answer.text());
        let message = body(&answer)["message"].as_str().unwrap().to_owned();
        assert!(message.contains("has changed, and nobody knows whether that outlives a crash"), "{message}");
    }
    // It is as it says: changed.
    assert_eq!(get(&gateway, "/tyk/policies"), json!([silver]));
    assert_eq!(get(&gateway, "/tyk/keys/some-key")["access_rights"]["a"]["api_id"], "a");
    fs::set_permissions(&closed, of(0o700)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text(&gateway, "closed/all.json")).unwrap(), json!([silver]));
    assert!(text(&gateway, "closed/keys.json").contains("\"a\""));
    let log = text(&gateway, "audit.log");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for line in lines {
        assert_eq!((&line["outcome"], &line["status"]), (&json!("written, not synced"), &json!(500)));
        assert!(line["after"].is_string(), "{line}");
    }
}

#[test]
fn an_openapi_document_alone() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let new = json!({ "openapi": "3.0.3", "info": { "title": "t", "version": "2" }, "paths": { "/x": {} } });
    assert_eq!(send(&gateway, "PATCH", "/tyk/apis/oas/a?reload=true", &new).status, 200);
    let shown = get(&gateway, "/tyk/apis/oas/a");
    assert_eq!((&shown["info"]["version"], &shown["paths"]), (&json!("2"), &json!({ "/x": {} })));
    assert_eq!(shown["x-tyk-api-gateway"], keyless("a", &upstream)["x-tyk-api-gateway"]);
    assert_eq!(send(&gateway, "PATCH", "/tyk/apis/oas/zz", &new).status, 404);
}

#[test]
fn an_api_without_an_id_gets_one() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let mut new = keyless("new", &upstream);
    new["x-tyk-api-gateway"]["info"].as_object_mut().unwrap().remove("id");
    let added = body(&send(&gateway, "POST", "/tyk/apis/oas?reload=true", &new));
    let id = added["key"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(get(&gateway, &format!("/tyk/apis/oas/{id}"))["x-tyk-api-gateway"]["info"]["id"], id);
    assert_eq!(status_of(&gateway, "/new/"), 200);
}

#[test]
fn writers_at_once_leave_one_whole_definition() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    thread::scope(|scope| {
        for n in 0..8 {
            let (gateway, mut document) = (&gateway, keyless("a", &upstream));
            document["info"]["title"] = json!(format!("title {n}"));
            scope.spawn(move || assert_eq!(send(gateway, "POST", "/tyk/apis/oas", &document).status, 200));
        }
    });
    assert_eq!(files(&gateway.setup().path("api-definitions")), ["a.json"]);
    let written: Value = serde_json::from_str(&text(&gateway, "api-definitions/a.json")).unwrap();
    assert!(written["info"]["title"].as_str().unwrap().starts_with("title "));
    assert_eq!(gateway.reload().status, 200);
}

#[test]
fn policies_in_a_folder() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let gold = json!({ "id": "gold", "org_id": "o", "rate": 2, "per": 60, "access_rights": { "a": { "api_id": "a" } } });
    let added = send(&gateway, "POST", "/tyk/policies", &gold);
    assert_eq!(body(&added), json!({ "key": "gold", "status": "ok", "action": "added" }));
    assert_eq!(gateway.admin(Request::get("/tyk/policies/gold")).status, 404);
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(get(&gateway, "/tyk/policies/gold"), gold);
    assert_eq!(get(&gateway, "/tyk/policies").as_array().unwrap().len(), 2);
    for (path, policy, message) in [
        (
            "/tyk/policies/gold",
            json!({ "id": "tin" }),
            "Request ID does not match that in policy! For Update operations these must match.",
        ),
        (
            "/tyk/policies/a%2Fb",
            json!({ "id": "a/b" }),
            "Invalid Policy ID: Allowed characters: a-z, A-Z, 0-9, ., _, -, ~",
        ),
        (
            "/tyk/policies/..",
            json!({ "id": ".." }),
            "Invalid Policy ID: Allowed characters: a-z, A-Z, 0-9, ., _, -, ~",
        ),
        ("/tyk/policies/gold", json!({}), "Unable to create policy without id."),
    ] {
        let answer = send(&gateway, "PUT", path, &policy);
        assert_eq!((answer.status, &body(&answer)["message"]), (400, &json!(message)));
    }
    let mut wrong = gold.clone();
    wrong["rate"] = json!("2");
    let bad = send(&gateway, "PUT", "/tyk/policies/gold", &wrong);
    assert_eq!(bad.status, 400);
    assert_eq!(body(&bad)["findings"][0]["field"], "rate");
    // Another organisation's policy of that id is another policy.
    let other = json!({ "id": "gold", "org_id": "p", "access_rights": { "a": { "api_id": "a" } } });
    assert_eq!(send(&gateway, "POST", "/tyk/policies?reload=true", &other).status, 200);
    assert_eq!(get(&gateway, "/tyk/policies/gold?org_id=p"), other);
    // The body says whose it is; a query that says something else would not be heard.
    for (method, query, policy, status) in [
        ("PUT", "?org_id=p", &json!({ "id": "gold", "access_rights": {} }), 400),
        ("PUT", "?org_id=o", &other, 400),
        ("POST", "?org_id=", &other, 400),
        ("PUT", "?org_id=p", &other, 200),
        ("PUT", "?organisation=p", &other, 400),
    ] {
        let answer = send(&gateway, method, &format!("/tyk/policies/gold{query}"), policy);
        assert_eq!(answer.status, status, "{method} {query}: {}", answer.text());
    }
    assert_eq!(get(&gateway, "/tyk/policies").as_array().unwrap().len(), 3);
    let api = keyless("a", &upstream);
    for method in ["PUT", "PATCH", "DELETE"] {
        let answer = send(&gateway, method, "/tyk/apis/oas/a?org_id=o", &api);
        assert_eq!(answer.status, 400, "{method}: {}", answer.text());
    }
    assert_eq!(send(&gateway, "POST", "/tyk/apis/oas?org_id=o", &api).status, 400);
    let delete =
        |query: &str| gateway.admin(Request::new("DELETE", format!("/tyk/policies/gold{query}"))).status;
    assert_eq!([delete(""), delete("?org_id=o"), delete(""), delete("")], [409, 200, 200, 404]);
    assert_eq!(files(&gateway.setup().path("policies")), ["all.json"]);
}

#[test]
fn policies_in_one_file() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .config(&json!({ "policies": "all.yaml" }))
        .api(&keyless("a", &upstream))
        .file("all.yaml", "gold:\n  org_id: o\n  access_rights: { a: { api_id: a } }\n")
        .start();
    assert_eq!(get(&gateway, "/tyk/policies/gold")["id"], "gold");
    let tin = json!({ "id": "tin", "org_id": "o", "access_rights": { "a": { "api_id": "a" } } });
    assert_eq!(send(&gateway, "POST", "/tyk/policies?reload=true", &tin).status, 200);
    assert_eq!(get(&gateway, "/tyk/policies/tin"), tin);
    let gold =
        json!({ "id": "gold", "org_id": "o", "tags": ["x"], "access_rights": { "a": { "api_id": "a" } } });
    assert_eq!(send(&gateway, "PUT", "/tyk/policies/gold?reload=true", &gold).status, 200);
    assert_eq!(get(&gateway, "/tyk/policies").as_array().unwrap().len(), 2);
    let other = json!({ "id": "gold", "org_id": "p" });
    assert_eq!(send(&gateway, "POST", "/tyk/policies", &other).status, 409, "the file has one of each id");
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/policies/gold?reload=true")).status, 200);
    assert_eq!(get(&gateway, "/tyk/policies").as_array().unwrap().len(), 1);
}

#[test]
fn the_last_policy_of_one_file_leaves_the_file() {
    let upstream = Server::up();
    let rights = json!({ "a": { "api_id": "a" } });
    for (before, after) in [
        (json!({ "gold": { "access_rights": rights } }), json!({})),
        (json!([{ "id": "gold", "access_rights": rights }]), json!([])),
        (json!({ "id": "gold", "access_rights": rights }), json!({})),
    ] {
        let gateway = Setup::new()
            .config(&json!({ "policies": "all.json" }))
            .api(&keyless("a", &upstream))
            .file("all.json", &before.to_string())
            .start();
        assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/policies/gold?reload=true")).status, 200);
        assert_eq!(serde_json::from_str::<Value>(&text(&gateway, "all.json")).unwrap(), after);
        assert_eq!(get(&gateway, "/tyk/policies"), json!([]));
        let output = gateway.setup().check();
        assert!(output.status.success(), "a restart finds what it needs: {output:?}");
        let tin = json!({ "id": "tin", "access_rights": rights });
        assert_eq!(send(&gateway, "POST", "/tyk/policies?reload=true", &tin).status, 200);
        assert_eq!(get(&gateway, "/tyk/policies"), json!([tin]));
    }
}

#[test]
fn one_more_policy_in_one_file_takes_none_away() {
    let upstream = Server::up();
    let of =
        |org_id: &str| json!({ "id": "gold", "org_id": org_id, "access_rights": { "a": { "api_id": "a" } } });
    let start = |policies: &Value| {
        Setup::new()
            .config(&json!({ "policies": "all.json" }))
            .api(&keyless("a", &upstream))
            .file("all.json", &policies.to_string())
            .start()
    };
    let gateway = start(&json!([of("o"), of("p")]));
    assert_eq!(send(&gateway, "POST", "/tyk/policies?reload=true", &of("q")).status, 200);
    assert_eq!(get(&gateway, "/tyk/policies"), json!([of("o"), of("p"), of("q")]));
    let written: Value = serde_json::from_str(&text(&gateway, "all.json")).unwrap();
    assert_eq!(written, json!([of("o"), of("p"), of("q")]), "a list stays one");
    // One policy alone has no room for another one.
    let gateway = start(&of("o"));
    let other = json!({ "id": "tin", "access_rights": { "a": { "api_id": "a" } } });
    let answer = send(&gateway, "POST", "/tyk/policies", &other);
    assert!(answer.status == 409 && answer.text().contains("all.json"), "{}", answer.text());
    assert_eq!(serde_json::from_str::<Value>(&text(&gateway, "all.json")).unwrap(), of("o"));
}

#[test]
fn one_file_of_definitions_has_one_api() {
    let upstream = Server::up();
    let mut a = keyless("a", &upstream);
    let gateway =
        Setup::new().config(&json!({ "definitions": "a.json" })).file("a.json", &a.to_string()).start();
    assert_eq!(send(&gateway, "POST", "/tyk/apis/oas", &keyless("b", &upstream)).status, 409);
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/oas/a")).status, 409);
    a["info"]["title"] = json!("changed");
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/a?reload=true", &a).status, 200);
    assert_eq!(get(&gateway, "/tyk/apis/oas"), json!([a]));
}

#[test]
fn an_openapi_document_alone_keeps_what_waits_on_the_disk() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    let mut moved = keyless("a", &upstream);
    moved["x-tyk-api-gateway"]["server"]["listenPath"]["value"] = json!("/moved/");
    assert_eq!(send(&gateway, "PUT", "/tyk/apis/oas/a", &moved).status, 200);
    let new = json!({ "openapi": "3.0.3", "info": { "title": "t", "version": "2" }, "paths": {} });
    assert_eq!(send(&gateway, "PATCH", "/tyk/apis/oas/a?reload=true", &new).status, 200);
    assert_eq!(status_of(&gateway, "/moved/x"), 200);
    assert_eq!(get(&gateway, "/tyk/apis/oas/a")["info"]["version"], "2");
    let other = keyless("b", &upstream);
    assert_eq!(send(&gateway, "PATCH", "/tyk/apis/oas/a", &other).status, 400, "another id");
}

#[test]
fn what_somebody_else_writes_meanwhile_is_not_overwritten() {
    let upstream = Server::up();
    let asking = |id: &str| Holding::asking(id, &upstream);
    let other = keyless("other", &upstream).to_string();
    for (method, path, sent, file) in [
        ("PUT", "/tyk/apis/oas/a", asking("a"), "a.json"),
        ("DELETE", "/tyk/apis/oas/a", Value::Null, "a.json"),
        ("POST", "/tyk/apis/oas", asking("new"), "new.json"),
    ] {
        let (held, gateway) = Holding::gateway(&upstream);
        if method == "DELETE" {
            gateway.setup().write("api-definitions/held.json", &asking("held").to_string());
        }
        let name = format!("api-definitions/{file}");
        let answer = thread::scope(|scope| {
            let answer = scope.spawn(|| send(&gateway, method, path, &sent));
            held.wait();
            gateway.setup().write(&name, &other);
            held.release();
            answer.join().unwrap()
        });
        assert_eq!(answer.status, 409, "{method}: {}", answer.text());
        assert!(answer.text().contains("somebody else has written"), "{method}: {}", answer.text());
        assert_eq!(text(&gateway, &name), other, "{method}");
    }
}

#[test]
fn more_changes_than_will_be_made_soon_are_refused() {
    const WAITING: usize = 64;
    const TOO_MANY: usize = 8;
    let upstream = Server::up();
    let (held, gateway) = Holding::gateway(&upstream);
    let asking = Holding::asking("a", &upstream);
    let change = || send(&gateway, "PUT", "/tyk/apis/oas/a", &asking);
    thread::scope(|scope| {
        let first = scope.spawn(change);
        held.wait();
        let (answered, answers) = channel();
        for _ in 0..WAITING + TOO_MANY {
            let answered = answered.clone();
            scope.spawn(move || answered.send(change()).unwrap());
        }
        for _ in 0..TOO_MANY {
            let refused = answers.recv_timeout(PATIENCE).unwrap();
            assert_eq!(
                (refused.status, refused.header("retry-after")),
                (503, Some("1")),
                "{}",
                refused.text()
            );
        }
        assert_eq!(get(&gateway, "/tyk/apis/oas").as_array().unwrap().len(), 1, "others are not held up");
        (0..=WAITING).for_each(|_| held.release());
        assert_eq!(first.join().unwrap().status, 200);
        for _ in 0..WAITING {
            assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 200);
        }
    });
}

/// Sends a change of the API `a` that is held up, and hangs up.
fn hang_up(held: &Holding, gateway: &Gateway, upstream: &Server) {
    let a = Holding::asking("a", upstream);
    let request = Request::new("PUT", "/tyk/apis/oas/a").body(a.to_string().as_bytes());
    let request = request.header("x-tyk-authorization", ADMIN_SECRET);
    let mut connection = TcpStream::connect(gateway.admin_address()).unwrap();
    connection.write_all(&request.to_bytes()).unwrap();
    held.wait();
    // The caller is gone before the change is made.
    drop(connection);
    // The gateway has one thread for this: once it answers somebody else, it has seen that.
    assert_eq!(gateway.admin(Request::get("/tyk/apis")).status, 200);
}

#[test]
fn who_hangs_up_is_written_down() {
    let upstream = Server::up();
    let (held, gateway) = Holding::gateway(&upstream);
    hang_up(&held, &gateway, &upstream);
    held.release();
    let path = gateway.setup().path("audit.log");
    let begun = Instant::now();
    let log = loop {
        let log = fs::read_to_string(&path).unwrap_or_default();
        if log.ends_with('\n') || begun.elapsed() > PATIENCE {
            break log;
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(log.contains("\"outcome\":\"modified\""), "{log:?}");
    assert!(text(&gateway, "api-definitions/a.json").contains("consul://org"));
}

#[test]
fn a_gateway_that_stops_ends_what_it_has_begun() {
    let upstream = Server::up();
    let (held, mut gateway) = Holding::gateway(&upstream);
    hang_up(&held, &gateway, &upstream);
    gateway.signal(Signal::TERM);
    let begun = Instant::now();
    while TcpStream::connect(gateway.admin_address()).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it stops");
        thread::sleep(Duration::from_millis(1));
    }
    held.release();
    assert!(gateway.ended().success());
    assert!(text(&gateway, "audit.log").contains("\"outcome\":\"modified\""));
    assert!(text(&gateway, "api-definitions/a.json").contains("consul://org"));
}

#[test]
fn each_key_of_the_control_api_is_for_what_it_is_for() {
    let upstream = Server::up();
    let key = |name: &str, roles: &[&str]| json!({ "name": name, "secret": format!("secret-of-{name}"), "roles": roles });
    let keys = json!([
        key("watcher", &["read"]),
        key("deploy", &["read", "write"]),
        key("portal", &["keys"]),
        key("ops", &["operate"]),
        { "name": "boss", "secret": "env://BOSS", "roles": ["admin"] },
    ]);
    let gateway = Setup::new()
        .config(&json!({ "admin": { "keys": keys, "audit": "audit.log" } }))
        .env("BOSS", "secret-of-boss")
        .api(&keyless("a", &upstream))
        .start();
    let a = keyless("a", &upstream).to_string();
    let calls = [
        ("GET", "/tyk/apis/oas/a", ""),
        ("PUT", "/tyk/apis/oas/a", &*a),
        ("GET", "/tyk/keys", ""),
        ("POST", "/tyk/keys/very-secret-key", "{}"),
        ("GET", "/tyk/reload?block=true", ""),
        ("DELETE", "/tyk/cache/jwks", ""),
        ("GET", "/tyk/nothing", ""),
        ("PUT", "/tyk/apis/oas/a?reload=true", &*a),
        ("DELETE", "/tyk/policies/none?reload=1", ""),
    ];
    for (name, wanted) in [
        ("watcher", [200, 403, 403, 403, 403, 403, 404, 403, 403]),
        ("deploy", [200, 200, 403, 403, 403, 403, 404, 403, 403]),
        ("portal", [403, 403, 200, 400, 403, 403, 404, 403, 403]),
        ("ops", [403, 403, 403, 403, 200, 200, 404, 403, 403]),
        ("boss", [200, 200, 200, 400, 200, 200, 404, 200, 404]),
        ("nobody", [403; 9]),
    ] {
        let answers = calls.map(|(method, path, body)| {
            let request = Request::new(method, path).body(body.as_bytes());
            let request = request.header("x-tyk-authorization", &format!("secret-of-{name}"));
            gateway.admin_without_secret(&request).status
        });
        assert_eq!(answers, wanted, "{name}");
    }
    let log = text(&gateway, "audit.log");
    assert!(!log.contains("secret"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |who: Value, method: &str, path: &str| {
        let is_it = |line: &&Value| line["who"] == who && line["method"] == method && line["path"] == path;
        lines.iter().find(is_it).unwrap_or_else(|| panic!("{who} {method} {path}: {log}"))
    };
    let put = of("deploy".into(), "PUT", "/tyk/apis/oas/{id}");
    assert_eq!((&put["kind"], &put["id"], &put["outcome"]), (&json!("api"), &json!("a"), &json!("modified")));
    assert_eq!((&put["before"], &put["client"]), (&put["after"], &json!("127.0.0.1")));
    assert_eq!(put["after"].as_str().unwrap().len(), 64);
    let reloading = of("deploy".into(), "DELETE", "/tyk/policies/{id}");
    assert_eq!((&reloading["outcome"], &reloading["status"]), (&json!("no role"), &json!(403)));
    assert_eq!(of("portal".into(), "POST", "/tyk/keys/{key}")["outcome"], "refused");
    assert_eq!(of("ops".into(), "GET", "/tyk/reload")["outcome"], "done");
    assert_eq!(of("watcher".into(), "PUT", "/tyk/apis/oas/{id}")["outcome"], "no role");
    assert_eq!(of(Value::Null, "GET", "/tyk/reload")["outcome"], "no key");
    assert_eq!(of(Value::Null, "GET", "unknown")["status"], 403);
    assert!(
        !lines
            .iter()
            .any(|line| line["who"] == "watcher" && line["method"] == "GET" && line["status"] == 200)
    );
}

#[test]
fn keys_of_the_control_api_that_are_no_good() {
    for (keys, message) in [
        (
            json!([{ "name": "a", "secret": "x", "roles": ["reed"] }]),
            "admin.keys[0].roles[0]: a role is read, write",
        ),
        (json!([{ "name": "a", "secret": "x" }]), "admin.keys[0].roles: a key without roles opens nothing"),
        (json!([{ "name": "a", "roles": ["read"] }]), "admin.keys[0].secret: a key needs a secret"),
        (json!([{ "secret": "x", "roles": ["read"] }]), "admin.keys[0].name: each key needs a name"),
        (
            json!([{ "name": "a", "secret": "x", "roles": ["read"] }, { "name": "a", "secret": "y", "roles": ["read"] }]),
            "admin.keys[1].name: each key needs a name of its own",
        ),
        (
            json!([{ "name": "a", "secret": "x", "roles": ["read"] }, { "name": "b", "secret": "x", "roles": ["read"] }]),
            "admin.keys (b): it has the secret of admin.keys (a)",
        ),
        (json!([{ "name": "a", "secret": "env://NOT_SET", "roles": ["read"] }]), "NOT_SET is not set"),
    ] {
        let setup =
            Setup::new().config(&json!({ "admin": { "keys": keys } })).api(&keyless("a", &Server::up()));
        let output = setup.check();
        let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && said.contains(message), "{said}");
    }
}
