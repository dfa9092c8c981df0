//! Documents that are wrong: one clear line for each fault, and nothing starts.

use std::{fs, process::Output};

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, api, key, keyless, merge, scheme};

const SCHEME: &str = "x-tyk-api-gateway.server.authentication.securitySchemes.jwt";

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(String::from).collect()
}

fn protected(upstream: &Server) -> Value {
    api("a", upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })))
}

fn setup() -> Setup {
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
}

/// The same in the middleware part of our extension.
fn wrong_middleware_of_ours() -> Vec<(Value, String, &'static str)> {
    let global = |change: Value, field: &str, said| {
        let change = json!({ "x-claimgate": { "middleware": { "global": change } } });
        (change, format!("x-claimgate.middleware.global.{field}"), said)
    };
    let header = |change: Value, field: &str, said| {
        let mut header = json!({ "name": "X-User", "claim": "sub" });
        merge(&mut header, change);
        global(json!({ "claimHeaders": [header] }), &format!("claimHeaders[0]{field}"), said)
    };
    let mut wrong = vec![
        header(json!({ "name": "X User" }), "", "not a header name"),
        header(json!({ "name": "Host" }), "", "belongs to the connection"),
        header(json!({ "name": "Transfer_Encoding" }), "", "belongs to the connection"),
        header(json!({ "name": "X-Forwarded-For" }), ".name", "where a request comes from"),
        header(json!({ "name": "x_real_ip" }), ".name", "where a request comes from"),
        header(json!({ "claim": "" }), ".claim", "which claim is meant"),
        header(json!({ "default": "a\nb" }), "", "cannot stand in a header"),
        header(json!({ "separator": "" }), ".separator", "run together"),
        header(json!({ "separator": " ", "encoding": "json" }), ".separator", "a list stays a list"),
        header(json!({ "encoding": "base64" }), ".encoding", "plain, percent, base64url or json"),
        header(json!({ "join": "," }), ".join", "unknown field"),
        global(json!({ "payloadHeader": { "name": "" } }), "payloadHeader", "not a header name"),
        global(
            json!({ "payloadHeader": { "name": "X-P", "maxSize": 1 } }),
            "payloadHeader.maxSize",
            "from 256 to 65536",
        ),
        global(
            json!({ "claimHeaders": [{ "name": "X-User", "claim": "sub" }, { "name": "x_user", "claim": "email" }] }),
            "claimHeaders[1].name",
            "an earlier entry",
        ),
    ];
    let (mut twice, field, said) =
        header(json!({}), ".name", "transformRequestHeaders sets this header as well");
    let add = json!({ "enabled": true, "add": [{ "name": "X.User", "value": "1" }] });
    let middleware = json!({ "global": { "transformRequestHeaders": add } });
    merge(&mut twice, json!({ "x-tyk-api-gateway": { "middleware": middleware } }));
    wrong.push((twice, field, said));
    wrong
}

/// And in what operations demand.
fn wrong_demands() -> Vec<(Value, String, &'static str)> {
    let checked = |changes: Value, field: &str, said| {
        let check = json!({ "jwt": { "scopeCheck": { "enabled": true } } });
        let mut document =
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": check } } } });
        merge(&mut document, changes);
        (document, field.to_owned(), said)
    };
    let security = |security: Value, field: &str, said| {
        let paths = json!({ "/x": { "get": { "operationId": "x", "security": security } } });
        checked(json!({ "paths": paths }), &format!("paths./x.get.security{field}"), said)
    };
    let own = json!({ "middleware": { "operations": { "x": {} } } });
    let twins = |mut document: Value, said| {
        let paths = json!({ "/x": { "get": { "operationId": "x" }, "put": { "operationId": "x" } } });
        merge(&mut document, json!({ "paths": paths }));
        (document, "paths./x.put.operationId".to_owned(), said)
    };
    let refined = |operations: Value, field: &str, said| {
        let paths = json!({ "/x": { "get": { "operationId": "x" } } });
        let ignored = json!({ "x": { "ignoreAuthentication": { "enabled": true } } });
        let document = json!({
            "paths": paths,
            "x-tyk-api-gateway": { "middleware": { "operations": ignored } },
            "x-claimgate": { "middleware": { "operations": operations } },
        });
        (document, format!("x-claimgate.middleware.operations.{field}"), said)
    };
    let scheme = "x-claimgate.server.authentication.securitySchemes.jwt";
    let scope_check = |check: Value, field: &str, said| {
        let check = json!({ "jwt": { "scopeCheck": check } });
        let document =
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": check } } } });
        (document, format!("{scheme}.scopeCheck{field}"), said)
    };
    let rule = |changes: Value, field: &str, said| {
        let mut rule = json!({ "claim": "roles", "values": ["a"], "policies": ["all"] });
        merge(&mut rule, changes);
        let rules = json!({ "jwt": { "claimsToPolicies": { "rules": [rule] } } });
        let document =
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": rules } } } });
        (document, format!("{scheme}.claimsToPolicies.rules[0]{field}"), said)
    };
    let rules = |rules: Value, field: &str, said| {
        let rules = json!({ "jwt": { "claimsToPolicies": rules } });
        let document =
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": rules } } } });
        (document, format!("{scheme}.claimsToPolicies{field}"), said)
    };
    vec![
        security(json!([{ "jtw": [] }]), "[0].jtw", "not in components.securitySchemes"),
        twins(json!({ "x-claimgate": own.clone() }), "nobody can tell which of the two"),
        twins(json!({ "x-tyk-api-gateway": own }), "nobody can tell which of the two"),
        rule(json!({ "claim": "" }), ".claim", "which claim is meant"),
        rule(json!({ "values": [] }), "", "names no values"),
        rule(json!({ "policies": null }), "", "selects nothing"),
        rule(json!({ "policies": [""] }), ".policies[0]", "a policy has an id"),
        rule(json!({ "values": ["a "] }), ".values[0]", "compared exactly"),
        rule(json!({ "values": [["a"]] }), ".values[0]", "a text, a number"),
        rule(json!({ "policyId": "all" }), ".policyId", "unknown field"),
        rules(json!({ "rules": [] }), "", "there is no rule"),
        rules(
            json!({ "rules": [{ "claim": "r", "values": ["a"], "policies": ["all"] }], "noMatch": "allow" }),
            ".noMatch",
            "deny or defaults",
        ),
        security(json!({ "jwt": ["read"] }), "", "a list of requirements"),
        security(json!(["jwt"]), "", "a list of requirements"),
        security(json!([{ "jwt": "read" }]), "[0].jwt", "a list of scopes"),
        security(json!([{ "jwt": ["read write"] }]), "[0].jwt[0]", "one word"),
        {
            let (mut document, field, said) =
                security(json!([{ "jwt": ["read"], "other": ["x"] }]), "[0]", "scopes of several schemes");
            merge(
                &mut document,
                json!({ "components": { "securitySchemes": { "other": { "type": "http" } } } }),
            );
            (document, field, said)
        },
        checked(json!({ "security": [{ "jwt": [""] }] }), "security[0].jwt[0]", "one word"),
        checked(json!({ "paths": { "/x": { "$ref": "#/y" } } }), "paths./x", "behind a reference"),
        refined(
            json!({ "x": { "optionalAuthentication": { "enabled": true } } }),
            "x.optionalAuthentication",
            "switch one of the two off",
        ),
        refined(
            json!({ "y": { "optionalAuthentication": { "enabled": true } } }),
            "y",
            "no path of this document",
        ),
        refined(
            json!({ "x": { "ignoreAuthentication": { "enabled": true } } }),
            "x.ignoreAuthentication",
            "unknown field",
        ),
        scope_check(json!({ "claimNames": ["scp"] }), "", "whether scopes are checked"),
        scope_check(json!({ "enabled": true, "claimNames": [""] }), ".claimNames", "a claim has a name"),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
/// Changes to a good definition, the field that is named, and a part of what is said.
fn wrong_fields() -> Vec<(Value, String, &'static str)> {
    let scheme = |change: Value, field: &str, said| {
        let change = json!({ "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": { "jwt": change } } } } });
        (change, if field.is_empty() { SCHEME.into() } else { format!("{SCHEME}.{field}") }, said)
    };
    let server = |change: Value, field: &str, said| {
        (
            json!({ "x-tyk-api-gateway": { "server": change } }),
            format!("x-tyk-api-gateway.server.{field}"),
            said,
        )
    };
    let tyk = |change: Value, field: &str, said| {
        (json!({ "x-tyk-api-gateway": change }), format!("x-tyk-api-gateway.{field}"), said)
    };
    let claimgate = |change: Value, field: &str, said| {
        let change = json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": change } } } } });
        (change, format!("x-claimgate.server.authentication.securitySchemes.jwt.{field}"), said)
    };
    vec![
        scheme(json!({ "signingMethod": "RSA" }), "signingMethod", "write rsa, ecdsa or hmac"),
        scheme(json!({ "signingMethod": null }), "signingMethod", "what may sign"),
        scheme(json!({ "signingMethod": 5 }), "signingMethod", "a text is expected here, not a number"),
        server(
            json!({ "Authentication": { "enabled": true } }),
            "Authentication",
            "did you mean authentication?",
        ),
        tyk(json!({ "authentication": { "enabled": true } }), "authentication", "has no effect here"),
        tyk(json!({ "x-claimgate": { "server": { "x": 1 } } }), "x-claimgate", "has no effect here"),
        server(
            json!({ "securitySchemes": { "jwt": { "enabled": true } } }),
            "securitySchemes",
            "has no effect here",
        ),
        (json!({ "info": { "security": [{ "jwt": ["x"] }] } }), "info.security".into(), "has no effect here"),
        server(json!({ "ipAccessControls": { "enabled": true } }), "ipAccessControls", "did you mean"),
        tyk(json!({ "middlewares": {} }), "middlewares", "did you mean middleware?"),
        tyk(
            json!({ "middleware": { "global": { "prePlugin": { "plugins": [{ "enabled": true }] } } } }),
            "middleware.global.prePlugin",
            "custom code is not run",
        ),
        tyk(
            json!({ "middleware": { "global": { "pluginConfig": { "driver": "x", "bundle": { "enabled": true } } } } }),
            "middleware.global.pluginConfig",
            "custom code is not run",
        ),
        (json!({ "x-Claimgate": {} }), "x-Claimgate".into(), "did you mean x-claimgate?"),
        (json!({ "Security": [] }), "Security".into(), "did you mean security?"),
        claimgate(
            json!({ "keySources": [{ "url": "https://idp.test/", "issuers": ["x"] }] }),
            "keySources[0].url",
            "none of jwksURIs",
        ),
        claimgate(json!({ "keySources": [{ "source": "env://SECRET" }] }), "keySources[0]", "to nobody"),
        claimgate(
            json!({ "keySources": [{ "source": "env://SECRET", "issuers": ["https://x "] }] }),
            "keySources[0].issuers[0]",
            "a space",
        ),
        claimgate(json!({ "keySources": [{ "issuers": ["x"] }] }), "keySources[0]", "write one of url"),
        claimgate(
            json!({ "keySources": [{ "source": "env://SECRET", "issuers": ["x"], "isuers": ["x"] }] }),
            "keySources[0].isuers",
            "did you mean issuers?",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "issuers": ["https://y"] }] }),
            "keySources[0].issuers",
            "for their issuer alone",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x/?a=b" }] }),
            "keySources[0].issuer",
            "no query and no fragment",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "http://x.test" }] }),
            "keySources[0].issuer",
            "in the clear",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "algorithms": ["ES257"] }] }),
            "keySources[0].algorithms[0]",
            "unknown algorithm",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "algorithms": ["ES256"] }] }),
            "keySources[0].algorithms",
            "the scheme does not allow ES256",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "types": [""] }] }),
            "keySources[0].types[0]",
            "an empty text",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "cacheTimeout": "soon" }] }),
            "keySources[0].cacheTimeout",
            "a duration such as",
        ),
        claimgate(
            json!({ "keySources": [{ "source": "env://SECRET", "issuers": ["x"], "cacheTimeout": "5m" }] }),
            "keySources[0]",
            "these keys are not fetched",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "fetch": { "maxKeys": 0 } }] }),
            "keySources[0].fetch.maxKeys",
            "a number from 1",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "fetch": { "headers": { "Host": "y" } } }] }),
            "keySources[0].fetch.headers.Host",
            "set by the gateway",
        ),
        claimgate(
            json!({ "keySources": [{ "issuer": "https://x", "fetch": { "ca": "file://nowhere.pem" } }] }),
            "keySources[0].fetch.ca",
            "cannot be read",
        ),
        scheme(json!({ "allowedIssuers": ["https://x "] }), "allowedIssuers[0]", "a space"),
        scheme(json!({ "allowedAudiences": [""] }), "allowedAudiences[0]", "an empty text"),
        server(
            json!({ "authentication": { "enabled": null } }),
            "authentication",
            "enabled: false if that is meant",
        ),
        tyk(json!({ "upstream": { "url": "http://127.0.0.1:99999" } }), "upstream.url", "absolute URL"),
        scheme(json!({ "signingMethods": "rsa" }), "signingMethods", "did you mean signingMethod?"),
        scheme(json!({ "allowedissuers": ["x"] }), "allowedissuers", "did you mean allowedIssuers?"),
        scheme(
            json!({ "allowedAudiences": "orders" }),
            "allowedAudiences",
            "a list is expected here, not a text",
        ),
        scheme(json!({ "allowedAudiences": [1] }), "allowedAudiences[0]", "a text is expected here"),
        scheme(json!({ "enabled": "yes" }), "enabled", "true or false"),
        scheme(json!({ "enabled": false }), "enabled", "security requires this scheme"),
        scheme(json!({ "expiresAtValidationSkew": -1 }), "expiresAtValidationSkew", "a whole number"),
        scheme(json!({ "source": "env://NOBODY_SET_THIS" }), "source", "NOBODY_SET_THIS"),
        scheme(json!({ "source": "file://../outside" }), "source", "below the base folder"),
        scheme(json!({ "source": "consul://jwt/key" }), "source", "configure kv.consul"),
        scheme(json!({ "source": "c2hvcnQ=" }), "source", "32"),
        scheme(json!({ "source": "§§§" }), "source", "base64"),
        scheme(
            json!({ "jwksURIs": [{ "url": "idp.example.com/jwks" }] }),
            "jwksURIs[0].url",
            "absolute http or https URL",
        ),
        scheme(
            json!({ "jwksURIs": [{ "url": "https://u:p@idp.example/" }] }),
            "jwksURIs[0].url",
            "user name or password",
        ),
        scheme(
            json!({ "jwksURIs": [{ "url": "https://idp.example/", "cacheTimeout": "soon" }] }),
            "jwksURIs[0].cacheTimeout",
            "a duration such as",
        ),
        scheme(json!({ "header": { "enabled": false } }), "", "looked for nowhere"),
        scheme(json!({ "header": { "enabled": true, "name": "X Y" } }), "header.name", "not a header name"),
        scheme(
            json!({ "customClaimValidation": { "role": { "type": "exact" } } }),
            "customClaimValidation.role.type",
            "required, exact_match or contains",
        ),
        scheme(
            json!({ "customClaimValidation": { "role": { "type": "contains", "allowedValues": ["a", ""] } } }),
            "customClaimValidation.role.allowedValues",
            "every text passes",
        ),
        scheme(
            json!({ "customClaimValidation": { "role": { "type": "exact_match", "allowedValues": [] } } }),
            "customClaimValidation.role.allowedValues",
            "no token could pass",
        ),
        scheme(
            json!({ "customClaimValidation": { "a..b": { "type": "required" } } }),
            "customClaimValidation.a..b",
            "empty step",
        ),
        scheme(
            json!({ "scopes": { "scopeToPolicyMapping": [{ "scope": "read" }] } }),
            "scopes.scopeToPolicyMapping[0]",
            "a scope and a policyId",
        ),
        server(json!({ "listenPath": { "value": "" } }), "listenPath.value", "needs a listen path"),
        server(json!({ "listenPath": { "value": "/{x/" } }), "listenPath.value", "close its braces"),
        server(
            json!({ "ipAccessControl": { "enabled": true, "allow": ["office"] } }),
            "ipAccessControl.allow[0]",
            "neither an address",
        ),
        server(
            json!({ "authentication": { "hmac": { "enabled": true } } }),
            "authentication.hmac",
            "JWT scheme",
        ),
        tyk(json!({ "upstream": { "url": "localhost" } }), "upstream.url", ""),
        tyk(
            json!({ "upstream": { "mutualTLS": { "enabled": true } } }),
            "upstream.mutualTLS",
            "not supported yet",
        ),
        tyk(json!({ "info": { "id": "a/../b" } }), "info.id", "letters, digits"),
        tyk(
            json!({ "middleware": { "global": { "postPlugins": [{ "enabled": true, "functionName": "x", "path": "y" }] } } }),
            "middleware.global.postPlugins",
            "custom code is not run",
        ),
        (
            json!({ "security": [{ "missing": [] }] }),
            "security[0].missing".into(),
            "not in components.securitySchemes",
        ),
        (json!({ "security": [] }), "security".into(), "no scheme is required"),
        scheme(json!({ "expiresAtValidationSkew": -1 }), "expiresAtValidationSkew", "expected here, not -1"),
        claimgate(json!({ "maxAge": 15 }), "maxAge", "a duration such as 15s or 5m is expected here, not 15"),
        claimgate(
            json!({ "keySources": [{ "url": "https://idp.test/", "issuer": "x", "cacheTimeout": "5m" }] }),
            "keySources[0].issuer",
            "write issuers: [x]",
        ),
        claimgate(
            json!({ "keySources": [{ "url": "https://idp.test/", "source": "x", "issuers": ["x"] }] }),
            "keySources[0]",
            "an entry for each",
        ),
        claimgate(json!({ "algorithms": ["RS257"] }), "algorithms[0]", "unknown algorithm"),
        claimgate(json!({ "algorithms": [] }), "algorithms", "nothing could sign"),
        claimgate(json!({ "maxTokenSize": 1 }), "maxTokenSize", "from 256 to 65536"),
    ]
}

#[test]
fn a_wrong_field_is_told_with_its_place_and_nothing_starts() {
    let upstream = Server::up();
    for (change, field, said) in
        wrong_fields().into_iter().chain(wrong_middleware_of_ours()).chain(wrong_demands())
    {
        let mut document = protected(&upstream);
        merge(&mut document, change.clone());
        // One field a line, as people write it.
        let text = serde_json::to_string_pretty(&document).unwrap();
        let setup = setup().api(&protected(&upstream)).file("api-definitions/a.json", &text);
        let output = setup.check();
        let lines = lines(&output);
        let errors: Vec<&String> = lines.iter().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{change}: {lines:#?}");
        let (place, message) = errors[0]
            .split_once(&format!(": {}: ", field.replace(".a..b", "[\"a..b\"]")))
            .unwrap_or_else(|| panic!("{change}: {lines:#?}"));
        let (file, line) = place.rsplit_once(':').unwrap();
        assert!(file.ends_with("api-definitions/a.json"), "{file}");
        // The field itself, or what it is missing in; an element has no name.
        let names = field.split(['.', '[']).rev().take(2).map(|name| name.trim_end_matches(']'));
        let on_that_line = text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
        let named = names.filter(|name| on_that_line.contains(&format!("\"{name}\""))).count();
        assert!(named > 0 || field.ends_with(']') || field.contains("a..b"), "{place}: {on_that_line}");
        assert!(message.contains(said), "{message}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(setup.command("run").output().unwrap().status.code(), Some(2), "{change}");
    }
}

#[test]
fn texts_that_are_no_documents() {
    let upstream = Server::up();
    let bomb = {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for n in 1..12 {
            let previous = format!("*a{},", n - 1);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", previous.repeat(10).trim_end_matches(',')));
        }
        text
    };
    let deep = "[".repeat(100_000);
    for (name, text) in [
        ("unclosed.yaml", "openapi: [3.0.3"),
        ("tab.yaml", "openapi: 3.0.3\ninfo:\n\ttitle: x"),
        ("twice.yaml", "openapi: 3.0.3\ninfo: { title: a }\ninfo: { title: b }"),
        ("twice.json", "{\"openapi\":\"3.0.3\",\"openapi\":\"3.0.3\"}"),
        ("unclosed.json", "{\"openapi\":"),
        ("list.yaml", "- openapi"),
        ("bomb.yaml", &bomb),
        ("deep.json", &deep),
        ("deep.yaml", &deep),
        ("binary.yaml", "\u{0}\u{1}"),
    ] {
        let setup =
            Setup::new().api(&keyless("good", &upstream)).file(&format!("api-definitions/{name}"), text);
        let output = setup.check();
        let errors: Vec<String> =
            lines(&output).into_iter().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{name}: {errors:#?}");
        assert!(errors[0].contains(&format!("api-definitions/{name}")), "{errors:?}");
        assert_eq!(setup.command("run").output().unwrap().status.code(), Some(2), "{name}");
    }
}

#[test]
fn folders_that_cannot_be_read() {
    for (config, said) in [
        (json!({ "definitions": "missing" }), "missing"),
        (json!({ "definitions": "claimgate.yaml" }), "claimgate.yaml"),
        (json!({ "policies": "missing" }), "missing"),
        (json!({ "definitons": "x" }), "did you mean definitions?"),
        (json!({ "workers": "many" }), "workers"),
        (json!({ "listen": "nowhere" }), "listen"),
        (json!({ "errors": "both" }), "errors"),
        (json!({ "admin": { "secret": "env://NOBODY_SET_THIS" } }), "NOBODY_SET_THIS"),
        (json!({ "trustedProxies": ["10.0.0.0/40"] }), "10.0.0.0/40"),
        (json!({ "timeouts": { "connect": "0s" } }), "timeouts.connect"),
    ] {
        let setup = Setup::new().config(&config);
        let output = setup.command("run").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{config}: {text}");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(said), "{config}: {text}");
    }
}

#[test]
fn an_unreadable_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = Setup::new();
    let folder = setup.path("api-definitions");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    // A superuser may read everything.
    if fs::read_dir(&folder).is_ok() {
        return;
    }
    let output = setup.command("run").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("api-definitions"));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn all_problems_of_all_files_at_once() {
    let upstream = Server::up();
    let mut first = protected(&upstream);
    merge(
        &mut first,
        json!({ "x-tyk-api-gateway": {
        "upstream": { "url": "nowhere" },
        "server": { "authentication": { "securitySchemes": { "jwt": { "signingMethod": "rot13", "allowedIssuer": [] } } } },
    } }),
    );
    let mut second = keyless("b", &upstream);
    merge(&mut second, json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "value": "/a/" } } } }));
    let mut third = keyless("a", &upstream);
    merge(&mut third, json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "value": "/a/" } } } }));
    let setup = setup()
        .file("api-definitions/1.json", &first.to_string())
        .file("api-definitions/2.json", &second.to_string())
        .file("api-definitions/3.json", &third.to_string())
        .file("api-definitions/4.yaml", "openapi: [")
        .file("policies/p.json", "{\"id\":\"p\",\"access_right\":{}}");
    let text = lines(&setup.check()).join("\n");
    for part in [
        "1.json:1: x-tyk-api-gateway.upstream.url",
        "signingMethod",
        "allowedIssuer:",
        "4.yaml",
        "p.json",
        "access_right",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn two_apis_at_one_place() {
    let upstream = Server::up();
    let mut other = keyless("b", &upstream);
    merge(&mut other, json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "value": "/a/" } } } }));
    let same_path = Setup::new().api(&keyless("a", &upstream)).api(&other).check();
    assert_eq!(same_path.status.code(), Some(1), "{:?}", lines(&same_path));
    let same_id = Setup::new()
        .api(&keyless("a", &upstream))
        .file("api-definitions/again.json", &{
            let mut again = keyless("a", &upstream);
            merge(
                &mut again,
                json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "value": "/again/" } } } }),
            );
            again.to_string()
        })
        .check();
    assert_eq!(same_id.status.code(), Some(1), "{:?}", lines(&same_id));
}

#[test]
fn what_is_not_honoured_or_missing_is_one_warning() {
    let upstream = Server::up();
    let mut document = keyless("a", &upstream);
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": {
        "server": {
            "eventHandlers": [{ "enabled": true }],
            "authentication": { "protectedResourceMetadata": { "enabled": true } },
        },
        "middleware": { "global": { "cache": { "enabled": true } } },
        "invented": 1,
    } }),
    );
    let output = Setup::new().api(&document).check();
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    for field in ["eventHandlers", "cache", "invented", "protectedResourceMetadata.resource"] {
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("warning: ") && line.contains(field)).count(),
            1,
            "{lines:#?}"
        );
    }
}

/// What is served as it is written, and hardly meant.
#[test]
fn a_doubtful_field_is_one_warning_with_its_place() {
    let upstream = Server::up();
    let scheme = |change: Value| json!({ "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": { "jwt": change } } } } });
    let fetched = json!({ "source": null, "jwksURIs": [{ "url": "https://idp.test/jwks" }] });
    let twins = json!({ "/x": { "get": { "operationId": "x" }, "put": { "operationId": "x" } } });
    for (change, field, said) in [
        (
            scheme(json!({ "allowedIssuers": [] })),
            format!("{SCHEME}.allowedIssuers"),
            "tokens of every issuer",
        ),
        (
            scheme(json!({ "allowedAudiences": [] })),
            format!("{SCHEME}.allowedAudiences"),
            "for every audience",
        ),
        (scheme(json!({ "allowedSubjects": [] })), format!("{SCHEME}.allowedSubjects"), "every subject"),
        (scheme(fetched), format!("{SCHEME}.signingMethod"), "could sign tokens"),
        (json!({ "paths": twins }), "paths./x.put.operationId".into(), "GET /x has the id x as well"),
        (
            scheme(json!({ "defaultPolicies": ["all", "basik"] })),
            format!("{SCHEME}.defaultPolicies[1]"),
            "basik, which this API selects, does not exist",
        ),
        (
            scheme(json!({ "defaultPolicies": ["all", "foreign"] })),
            format!("{SCHEME}.defaultPolicies[1]"),
            "is of the organisation acme, and the API has none",
        ),
        (
            json!({ "x-tyk-api-gateway": { "info": { "orgId": "acme" } } }),
            format!("{SCHEME}.defaultPolicies[0]"),
            "has no organisation (org_id), and the API is of acme",
        ),
    ] {
        let mut document = protected(&upstream);
        merge(&mut document, change.clone());
        let text = serde_json::to_string_pretty(&document).unwrap();
        let foreign = json!({ "id": "foreign", "org_id": "acme", "access_rights": { "a": {} } });
        let setup = setup().api(&protected(&upstream)).policy(&foreign).file("api-definitions/a.json", &text);
        let said_lines = lines(&setup.check());
        let [warning, count] = &*said_lines else { panic!("{change}: {said_lines:#?}") };
        assert_eq!(count, "0 errors, 1 warning", "{change}");
        let (place, message) =
            warning.split_once(&format!(": {field}: ")).unwrap_or_else(|| panic!("{warning}"));
        assert!(place.starts_with("warning: ") && place.contains("a.json:"), "{warning}");
        assert!(message.contains(said), "{warning}");
    }
}

/// One mistake is told once, not with everything that follows from it.
#[test]
fn a_mistake_is_one_line() {
    let upstream = Server::up();
    let bound = json!({ "url": "https://idp.test/jwks", "issuers": ["https://idp.test"] });
    for change in [
        json!({ "source": null, "jwksURIs": "https://idp.test/jwks", "signingMethod": "rsa" }),
        json!({
            "source": null, "jwksURIs": [{ "url": "https://idp.test/jwks" }], "signingMethod": "rsa",
            "allowedIssuers": ["$secret_env.NOBODY_SET_THIS", "x"],
        }),
    ] {
        let mut document = api("a", &upstream, scheme(change.clone()));
        let own = json!({ "jwt": { "keySources": [bound] } });
        let own = json!({ "server": { "authentication": { "securitySchemes": own } } });
        merge(&mut document, json!({ "x-claimgate": own }));
        let said = lines(&setup().api(&document).check());
        assert_eq!(said.len(), 2, "{change}: {said:#?}");
        assert_eq!(said[1], "1 error, 0 warnings", "{change}");
    }
}

#[test]
fn an_error_hides_no_warning() {
    let upstream = Server::up();
    let lost = api(
        "a",
        &upstream,
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": ["nowhere"] })),
    );
    let said = lines(&setup().api(&lost).file("api-definitions/b.yaml", "openapi: [").check());
    assert!(said.iter().any(|line| line.contains("nowhere")), "{said:#?}");
    assert_eq!(said.last().unwrap(), "1 error, 1 warning");
    // What cannot be known is not told.
    let said = lines(&setup().api(&lost).file("policies/b.yaml", "id: [").check());
    assert_eq!(said.last().unwrap(), "1 error, 0 warnings");
    let said = lines(&setup().config(&json!({ "workers": "many" })).api(&lost).check());
    assert_eq!(said.last().unwrap(), "1 error, 0 warnings; definitions and policies were not looked at");
}

#[test]
fn policies_that_do_not_fit_are_warnings() {
    let upstream = Server::up();
    let document = api(
        "a",
        &upstream,
        scheme(json!({
            "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": ["nowhere"],
        })),
    );
    let setup = setup()
        .api(&document)
        .policy(&json!({ "id": "lost", "access_rights": { "gone": { "api_id": "gone" } } }))
        .policy(
            &json!({ "id": "torn", "access_rights": {}, "partitions": { "per_api": true, "quota": true } }),
        );
    let output = setup.check();
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    for part in ["nowhere", "gone", "torn"] {
        assert!(
            lines.iter().any(|line| line.starts_with("warning: ") && line.contains(part)),
            "{part}: {lines:#?}"
        );
    }
}

#[test]
fn a_reload_with_errors_keeps_what_was_served() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&keyless("a", &upstream)).start();
    gateway.setup().write("api-definitions/b.yaml", "openapi: [");
    let answer = gateway.reload();
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("b.yaml"), "{}", answer.text());
    assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
    gateway.setup().write("api-definitions/b.yaml", &keyless("b", &upstream).to_string());
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(gateway.send(&Request::get("/b/")).status, 200);
    fs::remove_file(gateway.setup().path("api-definitions/a.json")).unwrap();
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(gateway.send(&Request::get("/a/")).status, 404);
}

#[test]
fn a_thousand_definitions() {
    let upstream = Server::up();
    let mut setup = setup();
    let source = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
    for n in 0..1000 {
        let id = format!("api-{n}");
        let document = api(&id, &upstream, source.clone());
        setup = setup.file(&format!("api-definitions/{id}.json"), &document.to_string());
    }
    let gateway = setup.start();
    assert_eq!(gateway.send(&Request::get("/api-999/")).status, 401);
    assert_eq!(gateway.send(&Request::get("/api-1000/")).status, 404);
    gateway.log_with("apis=1000");
}

#[test]
fn restrictions_in_the_wrong_place_are_errors() {
    let upstream = Server::up();
    for (policy, field) in [
        (json!({ "allowed_urls": [{ "url": "/x", "methods": ["GET"] }] }), "allowed_urls"),
        (json!({ "access_rights": { "a": { "url": "/x", "methods": ["GET"] } } }), "access_rights.a.url"),
        (json!({ "access_rights": { "a": { "urls": ["/x"] } } }), "access_rights.a.urls"),
        (json!({ "access_rights": { "a": { "allowedUrls": [] } } }), "access_rights.a.allowedUrls"),
    ] {
        let mut policy = policy;
        merge(&mut policy, json!({ "id": "strict" }));
        let output = setup().api(&keyless("a", &upstream)).policy(&policy).check();
        let said = lines(&output);
        assert!(!output.status.success(), "{policy}");
        assert!(said.iter().any(|line| line.contains(&format!(": {field}: "))), "{policy}: {said:?}");
    }
}

#[test]
fn an_api_is_not_open_by_omission() {
    let upstream = Server::up();
    let declared = json!({ "components": { "securitySchemes": { "jwt": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } } } });
    let operation =
        json!({ "paths": { "/x": { "get": { "operationId": "x", "security": [{ "jwt": [] }] } } } });
    let with = |server: Value| json!({ "x-tyk-api-gateway": { "server": server } });
    let scheme = json!({ "securitySchemes": { "jwt": { "header": { "enabled": true } } } });
    for (changes, errors, warnings) in [
        (json!({ "security": [{ "jwt": [] }] }), 1, 0),
        (operation, 1, 0),
        (with(json!({ "authentication": scheme })), 1, 0),
        (declared, 0, 1),
        (
            with(
                json!({ "authentication": { "enabled": false, "securitySchemes": { "jwt": { "enabled": true } } } }),
            ),
            0,
            1,
        ),
    ] {
        let mut document = keyless("a", &upstream);
        merge(&mut document, changes.clone());
        let said = lines(&setup().api(&document).check());
        let count = |kind: &str| said.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!((count("error: "), count("warning: ")), (errors, warnings), "{changes}: {said:?}");
    }
}

#[test]
fn an_emptied_folder_takes_nothing_down() {
    let upstream = Server::up();
    let gateway = setup().api(&keyless("a", &upstream)).start();
    fs::remove_file(gateway.setup().path("api-definitions/a.json")).unwrap();
    assert_eq!(gateway.reload().status, 422);
    assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
}
