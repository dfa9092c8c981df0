//! Reading documents again: on demand, by themselves when files change, and while requests come.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Gateway, Holding, Request, Server, Setup, keyless};

/// How long something may take to be seen before a test fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn get(gateway: &Gateway, path: &str) -> (u16, Value) {
    let answer = gateway.admin(Request::get(path));
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text())))
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn serves(gateway: &Gateway, path: &str) -> bool {
    gateway.send(&Request::get(path)).status == 200
}

fn failed(gateway: &Gateway) -> u64 {
    get(gateway, "/tyk/reload/status").1["failed"].as_u64().unwrap()
}

/// Writes a file at once: nobody sees a part of it.
fn put(gateway: &Gateway, name: &str, text: &str) {
    gateway.setup().write(".new", text);
    fs::rename(gateway.setup().path(".new"), gateway.setup().path(name)).unwrap();
}

/// A gateway that watches its files; without hints of the system it would look once an hour.
fn watching(setup: Setup) -> Gateway {
    setup.config(&json!({ "watch": "1h" })).start()
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .api(&keyless("a", &upstream))
        .api(&keyless("b", &upstream))
        .policy(&json!({ "id": "gold", "access_rights": { "a": {} } }))
        .start();
    let nothing = json!({ "added": [], "removed": [], "changed": [] });
    let (status, tried) = get(&gateway, "/tyk/reload?dry_run=true");
    assert_eq!((status, &tried["status"], &tried["apis"]), (200, &json!("ok"), &nothing));
    let mut changed = keyless("b", &upstream);
    changed["info"]["title"] = json!("changed");
    gateway.setup().write("api-definitions/b.json", &changed.to_string());
    gateway.setup().write("api-definitions/c.json", &keyless("c", &upstream).to_string());
    fs::remove_file(gateway.setup().path("api-definitions/a.json")).unwrap();
    gateway
        .setup()
        .write("policies/gold.json", &json!({ "id": "tin", "access_rights": { "b": {} } }).to_string());
    let (status, tried) = get(&gateway, "/tyk/reload/group/?dry_run=1");
    assert_eq!(status, 200);
    assert_eq!(tried["apis"], json!({ "added": ["c"], "removed": ["a"], "changed": ["b"] }));
    assert_eq!(tried["policies"], json!({ "added": ["tin"], "removed": ["gold"], "changed": [] }));
    assert!(tried["findings"].as_array().unwrap().iter().any(|f| f["severity"] == "warning"), "{tried}");
    assert!(serves(&gateway, "/a/x") && !serves(&gateway, "/c/x"));
    gateway.setup().write("api-definitions/c.json", "{");
    let (status, tried) = get(&gateway, "/tyk/reload?dry_run=true");
    assert_eq!((status, &tried["status"], &tried["findings"][0]["line"]), (422, &json!("error"), &json!(1)));
    assert_eq!(tried["apis"], json!({ "added": [], "removed": ["a"], "changed": ["b"] }));
    // What stood in files that cannot be read now is not gone.
    for (file, broken) in [
        ("api-definitions/b.json", &b"{"[..]),
        ("api-definitions/b.json", b"\xff"),
        ("api-definitions/b.json", b"{}"),
        ("policies/gold.json", b"["),
        ("policies/gold.json", b"\xff"),
    ] {
        fs::write(gateway.setup().path(file), broken).unwrap();
        let (status, tried) = get(&gateway, "/tyk/reload?dry_run=true");
        assert_eq!(status, 422, "{file} {broken:?}");
        let apis = json!({ "added": [], "removed": ["a"], "changed": [] });
        assert_eq!(tried["apis"], apis, "{file} {broken:?}");
        if file.starts_with("policies") {
            assert_eq!(tried["policies"], nothing, "{file} {broken:?}");
        }
    }
    for folder in ["api-definitions", "policies"] {
        fs::remove_dir_all(gateway.setup().path(folder)).unwrap();
    }
    let (status, tried) = get(&gateway, "/tyk/reload?dry_run=true");
    assert_eq!((status, &tried["apis"], &tried["policies"]), (422, &nothing, &nothing), "{tried}");
    let (_, state) = get(&gateway, "/tyk/reload/status");
    assert_eq!((&state["succeeded"], &state["failed"]), (&json!(0), &json!(0)));
    assert_eq!(gateway.admin(Request::new("POST", "/tyk/reload")).status, 405);
}

#[test]
fn what_came_of_reloads_is_told() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    let (_, state) = get(&gateway, "/tyk/reload/status");
    assert_eq!((&state["status"], &state["last"]["cause"]), (&json!("ok"), &json!("start")));
    assert_eq!(gateway.reload().status, 200);
    gateway.setup().write("api-definitions/b.json", "{");
    assert_eq!(gateway.reload().status, 422);
    let (_, state) = get(&gateway, "/tyk/reload/status/");
    assert_eq!(
        (&state["status"], &state["succeeded"], &state["failed"]),
        (&json!("error"), &json!(1), &json!(1))
    );
    let last = &state["last"];
    assert_eq!((&last["cause"], &last["outcome"]), (&json!("request"), &json!("failure")));
    assert!(last["findings"][0]["file"].as_str().unwrap().ends_with("b.json"));
    let metrics = gateway.admin(Request::get("/metrics")).text();
    for line in [
        "claimgate_reloads_total{outcome=\"success\"} 1\n",
        "claimgate_reloads_total{outcome=\"failure\"} 1\n",
        "claimgate_last_reload_successful 0\n",
        "claimgate_last_loaded_timestamp_seconds 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn files_that_change_are_read() {
    let upstream = Server::up();
    let gateway = watching(Setup::new().api(&keyless("a", &upstream)));
    put(&gateway, "api-definitions/b.json", &keyless("b", &upstream).to_string());
    eventually("a new definition", || serves(&gateway, "/b/x"));
    // An error keeps what was served. What is no reason to read is a matter of `gateway/watched.rs`.
    put(&gateway, "api-definitions/b.json", "{");
    eventually("an error", || failed(&gateway) > 0);
    assert!(serves(&gateway, "/b/x"));
    put(&gateway, "api-definitions/b.json", &keyless("c", &upstream).to_string());
    eventually("the error is mended", || serves(&gateway, "/c/x"));
    let policy = json!({ "id": "gold", "access_rights": { "a": { "api_id": "a" } } });
    gateway.setup().write("policies/gold.json", &policy.to_string());
    eventually("a new policy", || get(&gateway, "/tyk/policies/gold").0 == 200);
    assert_eq!(get(&gateway, "/tyk/reload/status").1["last"]["cause"], "watch");
}

#[test]
fn a_folder_behind_a_link_is_another_folder() {
    // As Kubernetes mounts a ConfigMap.
    let upstream = Server::up();
    let setup = Setup::new();
    for (version, id) in [("..v1", "a"), ("..v2", "b")] {
        fs::create_dir(setup.path(&format!("api-definitions/{version}"))).unwrap();
        setup.write(&format!("api-definitions/{version}/api.json"), &keyless(id, &upstream).to_string());
    }
    symlink("..v1", setup.path("api-definitions/..data")).unwrap();
    symlink("..data/api.json", setup.path("api-definitions/api.json")).unwrap();
    let gateway = watching(setup);
    assert!(serves(&gateway, "/a/x"));
    symlink("..v2", gateway.setup().path("api-definitions/..new")).unwrap();
    fs::rename(gateway.setup().path("api-definitions/..new"), gateway.setup().path("api-definitions/..data"))
        .unwrap();
    eventually("the new folder", || serves(&gateway, "/b/x"));
    assert!(!serves(&gateway, "/a/x"));
}

#[test]
fn where_nothing_is_told_files_are_looked_at() {
    let upstream = Server::up();
    let setup = Setup::new().config(&json!({ "watch": "1s" })).api(&keyless("a", &upstream));
    // What happens behind a link happens in no folder that is watched.
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("b.json");
    fs::write(&real, keyless("b", &upstream).to_string()).unwrap();
    symlink(&real, setup.path("api-definitions/b.json")).unwrap();
    let gateway = setup.start();
    fs::write(&real, keyless("c", &upstream).to_string()).unwrap();
    eventually("the file behind the link", || serves(&gateway, "/c/x"));
}

#[test]
fn the_configuration_is_read_again_too() {
    let upstream = Server::up();
    let gateway = watching(Setup::new().api(&keyless("a", &upstream)).file("key.txt", "first"));
    let with = |secret: &str, listen: &str| {
        let config = json!({
            "listen": listen,
            "workers": 1,
            "admin": {
                "listen": "127.0.0.1:0",
                "secret": crate::support::ADMIN_SECRET,
                "keys": [{ "name": "ops", "secret": secret, "roles": ["operate"] }],
            },
            "errors": "tyk",
            "definitions": "api-definitions",
            "policies": "policies",
            "watch": "1h",
        });
        gateway.setup().write("claimgate.yaml", &config.to_string());
    };
    let opens = |secret: &str| {
        // It would fail where the configuration is in error; that is no matter of the key.
        let request = Request::get("/tyk/reload?dry_run=true").header("x-tyk-authorization", secret);
        gateway.admin_without_secret(&request).status != 403
    };
    with("file://key.txt", "127.0.0.1:0");
    eventually("a key of the control API", || opens("first"));
    assert_eq!(gateway.send(&Request::get("/none")).text(), "Not Found", "profile tyk");
    // A file that a reference names.
    gateway.setup().write("key.txt", "second");
    eventually("another secret", || opens("second"));
    assert!(!opens("first"));
    // What only a start can do is told.
    with("file://key.txt", "127.0.0.1:1");
    gateway.log_with("settings have changed that act with a restart");
    assert!(serves(&gateway, "/a/x"));
    // An error keeps what there was.
    gateway.setup().write("claimgate.yaml", "admin: { keys: 1 }");
    eventually("an error", || failed(&gateway) > 0);
    assert!(opens("second"));
}

/// The configuration of the tests, with these keys of the control API beside its secret.
fn with_keys(keys: &Value) -> String {
    json!({
        "listen": "127.0.0.1:0",
        "workers": 1,
        "admin": { "listen": "127.0.0.1:0", "secret": crate::support::ADMIN_SECRET, "keys": keys },
        "definitions": "api-definitions",
        "policies": "policies",
        "watch": "off",
    })
    .to_string()
}

#[test]
fn what_waits_for_a_restart_is_told_once() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    let config = fs::read_to_string(gateway.setup().path("claimgate.yaml")).unwrap();
    for workers in [2, 2, 3, 3] {
        let config = config.replace("\"workers\":1", &format!("\"workers\":{workers}"));
        gateway.setup().write("claimgate.yaml", &config);
        assert_eq!(gateway.reload().status, 200);
        assert_eq!(get(&gateway, "/tyk/reload?dry_run=true").1["restart"], json!(["workers"]));
    }
    let log = gateway.stop().1;
    assert_eq!(log.matches("settings have changed that act with a restart").count(), 2, "{log}");
}

#[test]
fn who_waits_for_the_same_reload_shares_it() {
    let upstream = Server::up();
    let (held, gateway) = Holding::gateway(&upstream);
    gateway.setup().write("api-definitions/a.json", &Holding::asking("a", &upstream).to_string());
    let ask = || assert_eq!(get(&gateway, "/tyk/reload").0, 200);
    ask();
    // It has read the documents by now: all others come too late for it, and wait for the next one.
    held.wait();
    (0..20).for_each(|_| ask());
    held.release();
    held.wait();
    held.release();
    let succeeded = || get(&gateway, "/tyk/reload/status").1["succeeded"].clone();
    eventually("two reloads", || succeeded() == 2);
    thread::scope(|scope| {
        let third = scope.spawn(|| gateway.reload().status);
        held.wait();
        held.release();
        assert_eq!(third.join().unwrap(), 200);
    });
    assert_eq!(succeeded(), 3, "the others were one");
}

#[test]
fn a_configuration_that_came_with_an_error_elsewhere_is_not_forgotten() {
    let leaked = json!([{ "name": "leaked", "secret": "leaked-secret", "roles": ["read"] }]);
    let gateway = Setup::new()
        .file("claimgate.yaml", &with_keys(&leaked))
        .api(&keyless("a", &Server::up()))
        .file("policies/gold.json", "{}")
        .start();
    let opens = || {
        let request = Request::get("/tyk/apis").header("x-tyk-authorization", "leaked-secret");
        gateway.admin_without_secret(&request).status == 200
    };
    assert!(opens());
    gateway.setup().write("claimgate.yaml", &with_keys(&json!([])));
    gateway.setup().write("policies/gold.json", "{");
    assert_eq!(gateway.reload().status, 422);
    assert!(opens(), "nothing of it was taken over");
    gateway.setup().write("policies/gold.json", "{}");
    assert_eq!(gateway.reload().status, 200);
    assert!(!opens(), "the key is revoked");
}

#[test]
fn a_configuration_that_is_gone_is_an_error() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for text in ["", "# all of it is a comment\n", "---\n"] {
        gateway.setup().write("claimgate.yaml", text);
        let answer = gateway.reload();
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains("nothing stands in this file any more"), "{}", answer.text());
    }
    fs::remove_file(gateway.setup().path("claimgate.yaml")).unwrap();
    assert_eq!(gateway.reload().status, 422);
    assert!(serves(&gateway, "/a/x"));
    gateway.setup().write("claimgate.yaml", &with_keys(&json!([])));
    assert_eq!(gateway.reload().status, 200);
}

#[test]
fn a_folder_that_vanishes_is_no_removal() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).api(&keyless("b", &upstream)).start();
    let file = |id: &str| gateway.setup().path(&format!("api-definitions/{id}.json"));
    // One is taken away here, and the other one is lost.
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/oas/a")).status, 200);
    fs::remove_file(file("b")).unwrap();
    let policy = json!({ "id": "gold", "access_rights": { "a": { "api_id": "a" } } }).to_string();
    let put = Request::new("POST", "/tyk/policies").body(policy.as_bytes());
    assert_eq!(gateway.admin(put).status, 200, "a change that has nothing to do with it");
    assert_eq!(gateway.reload().status, 422);
    assert!(serves(&gateway, "/b/x"));
    gateway.setup().write("api-definitions/b.json", &keyless("b", &upstream).to_string());
    assert_eq!(gateway.reload().status, 200);
    assert!(!serves(&gateway, "/a/x"));
    // What was taken away, and came back, can be lost.
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/apis/oas/b")).status, 200);
    gateway.setup().write("api-definitions/b.json", &keyless("b", &upstream).to_string());
    assert_eq!(gateway.reload().status, 200);
    fs::remove_file(file("b")).unwrap();
    assert_eq!(gateway.reload().status, 422);
    assert!(serves(&gateway, "/b/x"));
}

#[test]
fn requests_do_not_notice_reloads() {
    let upstream = Server::up();
    let gateway = Setup::new().config(&json!({ "workers": 2 })).api(&keyless("a", &upstream)).start();
    hammer(&gateway, 500, 20);
}

#[test]
#[ignore = "ten seconds of both cores"]
fn ten_thousand_requests_do_not_notice_a_hundred_reloads() {
    let upstream = Server::up();
    let mut setup = Setup::new().config(&json!({ "workers": 2 })).api(&keyless("a", &upstream));
    for n in 0..20 {
        setup = setup.api(&keyless(&format!("other-{n}"), &upstream));
    }
    hammer(&setup.start(), 10_000, 100);
}

/// So many requests from four threads, and at least so many reloads that change something meanwhile.
fn hammer(gateway: &Gateway, requests: usize, reloads: usize) {
    let (sent, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let upstream = Server::up();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_done.load(Ordering::SeqCst) {
                    assert_eq!(gateway.send(&Request::get("/a/x")).status, 200);
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut done = 0;
        while done < reloads || sent.load(Ordering::SeqCst) < requests {
            let id = if done % 2 == 0 { "b" } else { "c" };
            gateway.setup().write("api-definitions/changing.json", &keyless(id, &upstream).to_string());
            assert_eq!(gateway.reload().status, 200);
            assert!(serves(gateway, &format!("/{id}/x")));
            done += 1;
        }
        is_done.store(true, Ordering::SeqCst);
    });
}
