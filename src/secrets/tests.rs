use std::{collections::BTreeMap, fs};

use super::*;

fn env(name: &str) -> Option<String> {
    Some(match name {
        "SET" => "value\n".into(),
        "EMPTY" => String::new(),
        "NESTED" => "vault://x".into(),
        "OBJECT" => r#"{"user":"alice","n":7}"#.into(),
        "TYK_SECRET_LONGER" => "longer".into(),
        "TEAM_X" => "prefixed".into(),
        _ => return None,
    })
}

fn inline(values: &[(&str, &str)]) -> Store {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), Secret::from(*value)));
    Store::Local(LocalStore::Inline(values.collect()))
}

fn secrets(base: &std::path::Path) -> Secrets {
    let stores = [
        ("secrets", inline(&[("a", "1st"), ("ab", "2nd"), ("abc", "3rd"), ("url", "https://idp.example/")])),
        ("team", Store::Local(LocalStore::Variables { prefix: "TEAM_".into(), uppercase: false })),
    ];
    let stores = stores.map(|(name, store)| (name.to_owned(), store));
    Secrets::new(base, env, BTreeMap::from(stores)).unwrap()
}

#[test]
fn values_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "from file\r\n").unwrap();
    let values = secrets(folder.path()).values();
    let for_documents = values.for_documents(&[], None);
    let lookup = for_documents.lookup();
    let absolute = format!("file://{}", folder.path().join("key").display());
    for (text, expected) in [
        ("env://SET", "value"),
        ("env://longer", "longer"),
        ("kv://env/longer", "longer"),
        ("$secret_env.longer", "longer"),
        ("$secret_env.longer/x/$secret_conf.a/y", "longer/x/1st/y"),
        ("file://key", "from file"),
        (&absolute, "from file"),
        ("kv://file/key", "from file"),
        ("kv://team/X", "prefixed"),
        ("kv://team/X ", "prefixed"),
        // The longest key counts, whatever else begins like it.
        ("secrets://a", "1st"),
        ("secrets://ab", "2nd"),
        ("secrets://abc", "3rd"),
        ("secrets://url", "https://idp.example/"),
        ("Bearer secrets://ab", "Bearer 2nd"),
        ("<$kv{secrets:a}-$secret_conf.abc>", "<1st-3rd>"),
        ("$kv{team:X}", "prefixed"),
    ] {
        assert_eq!(lookup.expand(text).unwrap().as_deref(), Some(expected), "{text}");
    }
    assert_eq!(lookup.expand("https://idp.example/"), Ok(None));
    assert!(!values.are_incomplete());
}

#[test]
fn what_has_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    let values = secrets(folder.path()).values();
    let for_documents = values.for_documents(&[], None);
    let lookup = for_documents.lookup();
    for (text, reason) in [
        ("env://UNSET", "variable UNSET is not set"),
        ("env://EMPTY", "is empty"),
        ("env://NESTED", "holds another reference"),
        ("file://none", "cannot be read"),
        ("file://../key", "must not contain .."),
        ("file:///etc/passwd", "is not below"),
        ("file://link", "is not below"),
        ("file://.", "not a file"),
        ("secrets://abcd", "has no value abcd"),
        ("kv://nowhere/x", "configure kv.stores.nowhere"),
        ("consul://x", "configure kv.consul"),
        ("vault://x", "configure kv.vault"),
        ("a $kv{nowhere:x}", "configure kv.stores.nowhere"),
        ("kv://env/LONGER#x", "does not have"),
    ] {
        let error = lookup.expand(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn no_value_is_shown() {
    let values = secrets(std::path::Path::new("")).values();
    let for_documents = values.for_documents(&[], None);
    let lookup = for_documents.lookup();
    let value = lookup.expand("secrets://url").unwrap().unwrap();
    lookup.expand("secrets://a").unwrap();
    let shown = format!("{value:?} {values:?} {:?}", Credential::new("https://idp.example/"));
    assert!(!shown.contains("idp.example"), "{shown}");
    assert_eq!(
        lookup.hide_in("the URL https://idp.example/ is 1st"),
        "the URL secrets://url is 1st",
        "short values protect nothing"
    );
}

#[test]
fn parts_of_a_value() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("user.json"), r#"{"user":"alice","roles":["x"]}"#).unwrap();
    let values = secrets(folder.path()).values();
    let for_documents = values.for_documents(&[], None);
    let lookup = for_documents.lookup();
    for (text, expected) in [
        ("kv://file/user.json#user", "alice"),
        ("kv://file/user.json#/roles/0", "x"),
        ("u=$kv{file:user.json#user}", "u=alice"),
    ] {
        assert_eq!(lookup.expand(text).unwrap().as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn credentials_are_on_this_machine() {
    let secrets = secrets(std::path::Path::new(""));
    let resolve = |text: &str| Credential::new(text).resolve(secrets.local());
    assert_eq!(resolve("plain").as_deref(), Ok("plain"));
    assert_eq!(resolve("env://SET").as_deref(), Ok("value"));
    for bad in ["", " ", "env://UNSET", "consul://x", "vault://x", "Bearer env://SET", "$kv{a"] {
        assert!(resolve(bad).is_err(), "{bad}");
    }
}
