//! What the README and `docs/` say is what there is.

use std::{fs, path::Path};

use claimgate::refusal::{Challenge, Flag, Reason};

use crate::support::Setup;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The code blocks of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&*opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The definition and the policy of the README, once changed.
fn readme(change: impl Fn(&str) -> String) -> Setup {
    let yaml = blocks(&read("README.md"), "yaml");
    Setup::new()
        .file("policies/customer.yaml", &yaml[1])
        .file("api-definitions/orders.yaml", &change(&yaml[0]))
}

#[test]
fn the_readmes_files_are_without_a_finding() {
    let output = readme(str::to_owned).check();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 errors, 0 warnings\n");
}

#[test]
fn the_readmes_mistakes_are_told_like_that() {
    let text = read("README.md");
    let mistaken = |definition: &str| {
        definition
            .replace("signingMethod: rsa", "signingMethod: public-key")
            .replace("allowedAudiences", "allowedAudience")
    };
    let output = readme(mistaken).check();
    let said = String::from_utf8(output.stdout).unwrap();
    let shown = blocks(&text, "console").into_iter().find(|block| block.contains("claimgate check")).unwrap();
    assert_eq!(shown.lines().skip(1).collect::<Vec<_>>(), said.lines().collect::<Vec<_>>());
}

#[test]
fn the_readmes_service_is_the_one_that_is_compiled() {
    let source = read("src/auth/mod.rs");
    let lines: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let text: String =
        lines.iter().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    assert_eq!(blocks(&read("README.md"), "rust"), blocks(&text, "no_run"));
}

/// `docs/errors.md` from the table in the code.
fn errors() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Every answer that Claimgate gives on its own account. The reason code stands in the access log and is stable; it is\n\
         never sent to the client. In profile `rfc` the body is `{\"error\": …, \"error_description\": …}`, and a 401 has a\n\
         `WWW-Authenticate` field (RFC 6750 section 3, RFC 9110 section 11.6.1): with the realm alone when the request had no\n\
         token, else with `error` and `error_description`. What fails before a signature was found good looks the same for\n\
         all reasons, so that a caller who cannot sign learns nothing. In profile `tyk` the body is `{\"error\": …}` with Tyk's\n\
         text; `{}` there is what Tyk repeats of the token. The flag is what rules of\n\
         [`errorOverrides`](definitions.md#errors) may name the reason by.\n\n\
         Besides these there are answers without a body: 301 to the clean path, and, before the connection ends, 400 for a head that is\n\
         malformed, 408 for one that does not come to its end, 414 and 431 for one that is too large, 417 for an unknown\n\
         expectation, 501 for an unknown transfer coding. `Retry-After` says in how many seconds to come back; a\n\
         refusal by a limit has it if that is of use. `client_closed` is answered to nobody: it is what the access log has for a client that left.\n\n\
         This page is made from the table in `src/refusal/table.rs`, and `tests/it/every_error.rs` meets every row from outside.\n\n\
         | reason code | `rfc` | `error` | `error_description` | `tyk` | Tyk's text | flag |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let row = reason.row();
        let challenge = match row.challenge {
            Challenge::None => "",
            Challenge::Plain | Challenge::Error => " + challenge",
        };
        let retry = if row.retry_after.is_some() { " + `Retry-After`" } else { "" };
        text.push_str(&format!(
            "| `{}` | {}{challenge}{retry} | `{}` | {} | {} | {} | {} |\n",
            row.code,
            row.status,
            row.error,
            row.description,
            row.tyk_status,
            row.tyk_message,
            row.flag.map_or("", Flag::code)
        ));
    }
    text.push_str(
        "\n## Causes, and what to do\n\n\
         For the owner of the API: none of this is told to callers. `claimgate explain` says it too, after the steps that led there.\n\n\
         | reason code | cause, and what to do |\n\
         |---|---|\n",
    );
    for reason in Reason::ALL {
        text.push_str(&format!("| `{}` | {} |\n", reason.code(), reason.advice()));
    }
    text
}

/// `UPDATE_DOCS=1 cargo test documentation` writes the page.
#[test]
fn the_page_of_errors_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // In one step: another test may be reading it.
        let new = path.with_extension("new");
        fs::write(&new, errors()).unwrap();
        fs::rename(new, &path).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), errors(), "write it anew with UPDATE_DOCS=1");
}

/// What a heading is linked to by, as forges derive it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn links_lead_somewhere() {
    for name in [
        "README.md",
        "docs/coming-from-tyk.md",
        "docs/configuration.md",
        "docs/definitions.md",
        "docs/errors.md",
        "docs/explain.md",
        "docs/performance.md",
    ] {
        let text = read(name);
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        // A link may be broken over two lines before its target, never within.
        let links = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{name}: {link}");
            if !fragment.is_empty() {
                let there = fs::read_to_string(target).unwrap();
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                let leads = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == fragment);
                assert!(leads, "{name}: {link}");
            }
        }
    }
}
