//! The shape of the code, as `lib.rs` describes it: kept here, because no compiler does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that meets the unexpected should stop"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// A file without the lines that are comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a module: its folder, or its one file.
fn of_module(module: &str) -> Vec<PathBuf> {
    let folder = src().join(module);
    if folder.is_dir() { sources(&folder) } else { vec![folder.with_extension("rs")] }
}

/// The modules of `lib.rs`, in its order.
fn modules() -> Vec<String> {
    let text = fs::read_to_string(src().join("lib.rs")).unwrap();
    let names = text.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    names.map(|name| name.trim_end_matches(';').to_owned()).collect()
}

/// What follows each `crate::` of a text: one module, or those of a group.
fn used(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for after in text.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            Some(group) => used.extend(first_names(group)),
            None => used.extend(name(after)),
        }
    }
    used
}

fn name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    Some(name).filter(|name| !name.is_empty())
}

/// The first name of each member of a group `a::{b, c}, d}`.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(name(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(name(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn a_module_uses_only_those_after_it() {
    let modules = modules();
    assert!(modules.len() > 15);
    for (n, module) in modules.iter().enumerate() {
        for file in of_module(module) {
            for used in used(&code(&file)) {
                let at = modules.iter().position(|own| *own == used);
                let at = at.unwrap_or_else(|| panic!("{}: {used} is not in lib.rs", file.display()));
                assert!(at >= n, "{}: {module} uses {used}, which comes before it", file.display());
            }
        }
    }
}

#[test]
fn the_narrow_ones_stay_narrow() {
    for (module, allowed) in [
        ("jwt", &["jwt", "lenient_base64"][..]),
        ("jwks", &["fetch", "jwks", "jwt", "tls"]),
        ("proxy", &["http1", "lookalikes", "proxy", "refusal", "tls"]),
        ("http1", &["http1"]),
        ("access", &["access", "path_pattern", "refusal"]),
        ("limits", &["jwt", "limits", "path_pattern", "redis"]),
        ("document", &["document", "parallel"]),
        ("refusal", &["refusal"]),
        ("secrets", &["document", "fetch", "lenient_base64", "secrets", "tls"]),
        ("redis", &["redis", "secrets", "tls"]),
        ("server", &["http1", "server"]),
        ("api_keys", &["api_keys", "document", "jwt", "policy", "redis", "refusal", "secrets", "session"]),
        ("explain", &["explain", "refusal"]),
        ("versioning", &["api_address", "query", "refusal", "versioning"]),
        ("api_address", &["api_address"]),
        ("auth", &["api_keys", "auth", "explain", "jwks", "jwt", "policy", "query", "refusal", "session"]),
    ] {
        for file in of_module(module) {
            let used = used(&code(&file));
            let others: Vec<&String> = used.iter().filter(|used| !allowed.contains(&used.as_str())).collect();
            assert!(others.is_empty(), "{}: {module} must not know {others:?}", file.display());
        }
    }
}

#[test]
fn libraries_stay_at_home() {
    for (library, homes) in [
        ("serde_yaml", &["document"][..]),
        ("reqwest", &["fetch.rs", "jwks", "secrets"]),
        ("axum", &["admin"]),
        ("use ::redis", &["limits", "redis"]),
        ("moka", &["auth", "policy"]),
        ("clap", &["cli"]),
        ("notify", &["node/watching.rs"]),
        ("rustls_platform_verifier", &["tls.rs"]),
    ] {
        for file in sources(&src()) {
            let relative = file.strip_prefix(src()).unwrap();
            let at_home = homes.iter().any(|home| relative.starts_with(home))
                // The command line's demo plays the peers of a gateway.
                || relative.starts_with("cli/demo")
                || relative == Path::new("main.rs");
            assert!(
                at_home || !code(&file).contains(&format!("{library}::")),
                "{}: {library}",
                file.display()
            );
        }
    }
}

#[test]
fn tyks_field_names_are_known_in_one_place() {
    for file in sources(&src()) {
        let relative = file.strip_prefix(src()).unwrap();
        if relative.starts_with("definition") {
            continue;
        }
        let code = code(&file);
        for name in ["\"x-tyk-api-gateway\"", "\"listenPath\"", "\"securitySchemes\"", "\"signingMethod\""] {
            assert!(!code.contains(name), "{}: {name}", file.display());
        }
    }
}
