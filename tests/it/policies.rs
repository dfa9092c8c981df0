//! Which policies apply, what they grant, and what the upstream learns of the session.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, merge, scheme};

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

fn setup() -> Setup {
    let grants = |id: &str| json!({ "id": id, "access_rights": { "a": { "api_id": "a" } } });
    let mut inactive = grants("inactive");
    merge(&mut inactive, json!({ "is_inactive": true }));
    Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .policy(&grants("reader"))
        .policy(&inactive)
        .policy(&json!({ "id": "elsewhere", "access_rights": { "b": { "api_id": "b" } } }))
        .policy(&json!({
            "id": "narrow",
            "access_rights": { "a": { "api_id": "a", "allowed_urls": [{ "url": "/orders", "methods": ["GET"] }] } }
        }))
}

/// An API `a` whose policies are chosen like this.
fn start(upstream: &Server, selection: Value) -> Gateway {
    let mut scheme =
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": null }));
    merge(&mut scheme, selection);
    // The policy `all` that comes with an API of the set-up grants it, and is named by nobody here.
    setup()
        .api(&api("a", upstream, scheme))
        .api(&api(
            "b",
            upstream,
            self::scheme(json!({
                "source": "env://SECRET", "signingMethod": "hmac"
            })),
        ))
        .start()
}

#[track_caller]
fn refused(gateway: &Gateway, request: Request, reason: &str) {
    let answer = gateway.send(&request);
    assert_eq!(answer.status, 403, "{}", answer.text());
    let line = gateway.last_line();
    assert!(line.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {line}");
}

fn get(claims: Value) -> Request {
    Request::get("/a/").bearer(&token(claims))
}

#[track_caller]
fn granted(gateway: &Gateway, claims: Value) {
    let answer = gateway.send(&get(claims));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn by_a_claim() {
    for selection in [json!({ "basePolicyClaims": ["policy"] }), json!({ "policyFieldName": "policy" })] {
        let upstream = Server::up();
        let gateway = start(&upstream, selection);
        granted(&gateway, json!({ "policy": "reader" }));
        granted(&gateway, json!({ "policy": ["reader"] }));
        granted(&gateway, json!({ "policy": ["elsewhere", "reader"] }));
        assert_eq!(upstream.recorded().len(), 3);
        refused(&gateway, get(json!({})), "policy_none");
        refused(&gateway, get(json!({ "policy": "unknown" })), "policy_unknown");
        refused(&gateway, get(json!({ "policy": "inactive" })), "policy_inactive");
        refused(&gateway, get(json!({ "policy": "elsewhere" })), "api_not_granted");
        assert_eq!(upstream.recorded().len(), 3);
    }
}

#[test]
fn by_scopes() {
    let upstream = Server::up();
    let gateway = start(
        &upstream,
        json!({ "scopes": { "claims": ["scp"], "scopeToPolicyMapping": [
            { "scope": "read", "policyId": "reader" },
            { "scope": "other", "policyId": "elsewhere" },
        ] } }),
    );
    granted(&gateway, json!({ "scp": "read" }));
    granted(&gateway, json!({ "scp": "openid read" }));
    granted(&gateway, json!({ "scp": ["openid", "read"] }));
    granted(&gateway, json!({ "scope": "read" }));
    let answer = gateway.send(&get(json!({})));
    assert_eq!(answer.status, 403);
    assert!(answer.header("www-authenticate").unwrap().contains("error=\"insufficient_scope\""));
    refused(&gateway, get(json!({})), "scope_missing");
    refused(&gateway, get(json!({ "scp": "openid" })), "scope_unmapped");
    refused(&gateway, get(json!({ "scp": "other" })), "api_not_granted");
}

#[test]
fn a_scope_that_is_missing_in_tyks_words() {
    let upstream = Server::up();
    let mapping = json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": null,
        "scopes": { "scopeToPolicyMapping": [{ "scope": "read", "policyId": "reader" }] } });
    let gateway =
        setup().config(&json!({ "errors": "tyk" })).api(&api("a", &upstream, scheme(mapping))).start();
    let refused_with = |claims, text: &str| {
        let answer = gateway.send(&get(claims));
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains(text), "{}", answer.text());
    };
    refused_with(json!({}), "no matching policy found\"");
    granted(&gateway, json!({ "scope": "read" }));
    // Only the words are others; and only to the one who is known.
    refused_with(json!({}), "no scope or policy in token\"");
    refused_with(json!({ "sub": "bob" }), "no matching policy found\"");
    refused_with(json!({ "iss": "https://other.test" }), "no matching policy found\"");
    assert_eq!(upstream.recorded().len(), 1);
}

#[test]
fn by_default() {
    let upstream = Server::up();
    granted(&start(&upstream, json!({ "defaultPolicies": ["reader"] })), json!({}));
    let unknown = start(&upstream, json!({ "defaultPolicies": ["unknown"] }));
    unknown.log_with("unknown");
    refused(&unknown, get(json!({})), "default_policy_unknown");
    refused(&start(&upstream, json!({ "defaultPolicies": ["inactive"] })), get(json!({})), "policy_inactive");
    refused(&start(&upstream, json!({ "basePolicyClaims": ["policy"] })), get(json!({})), "policy_none");
}

#[test]
fn claims_alone_name_policies_and_who_is_refused_hears_tyks_words() {
    let upstream = Server::up();
    let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": null,
        "basePolicyClaims": ["policy"] });
    let gateway =
        setup().config(&json!({ "errors": "tyk" })).api(&api("a", &upstream, scheme(selection))).start();
    // Tyk reads these claims beside policyFieldName only, and without it has one answer for everybody.
    for policy in ["unknown", "inactive", "elsewhere", "narrow", ""] {
        let answer = gateway.send(&get(json!({ "policy": policy })));
        assert_eq!(answer.status, 403, "{policy}");
        assert!(answer.text().contains("no matching policy found\""), "{policy}: {}", answer.text());
    }
    granted(&gateway, json!({ "policy": "reader" }));
    assert_eq!(upstream.recorded().len(), 1);
}

#[test]
fn a_list_of_urls_beside_the_whole_api() {
    // In Tyk the list is all that is left of both, and so it is in its profile.
    for (profile, other) in [("rfc", 200), ("tyk", 403)] {
        let upstream = Server::up();
        let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": null,
            "policyFieldName": "policy" });
        let setup = setup().config(&json!({ "errors": profile }));
        let gateway = setup.api(&api("a", &upstream, scheme(selection))).start();
        let status = |path: &str, policies: &[&str]| {
            gateway.send(&Request::get(path).bearer(&token(json!({ "policy": policies })))).status
        };
        assert_eq!([status("/a/other", &["reader"]), status("/a/other", &["narrow"])], [200, 403]);
        for both in [["reader", "narrow"], ["narrow", "reader"]] {
            assert_eq!([status("/a/orders", &both), status("/a/other", &both)], [200, other], "{both:?}");
        }
    }
}

#[test]
fn a_policy_in_parts_beside_one_for_each_api() {
    let upstream = Server::up();
    let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": null,
        "scopes": { "claims": ["scope"], "scopeToPolicyMapping": [
            { "scope": "each", "policyId": "each" },
            { "scope": "quota", "policyId": "quota" },
            { "scope": "whole", "policyId": "whole" },
            { "scope": "both", "policyId": "both" },
        ] } });
    let policy = |id: &str, apis: Value, partitions: Value| json!({ "id": id, "access_rights": apis, "partitions": partitions });
    let rights = || json!({ "a": { "api_id": "a" } });
    for (profile, mixed) in [("rfc", 200), ("tyk", 403)] {
        let setup = Setup::new()
            .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
            .config(&json!({ "errors": profile }))
            .policy(&policy("each", rights(), json!({ "per_api": true })))
            .policy(&policy("quota", json!({}), json!({ "quota": true })))
            .policy(&policy("whole", rights(), json!({})))
            .policy(&policy("both", rights(), json!({ "per_api": true, "acl": true })))
            .api(&api("a", &upstream, scheme(selection.clone())));
        let told = String::from_utf8(setup.check().stdout).unwrap();
        let is_told = told.contains("policies each and quota together: one has the partition per_api");
        assert_eq!(is_told, profile == "tyk", "{told}");
        let gateway = setup.start();
        let status =
            |scope: &str| gateway.send(&Request::get("/a/").bearer(&token(json!({ "scope": scope })))).status;
        for (scopes, expected) in [
            ("each", 200),
            ("each whole", 200),
            ("whole quota", 200),
            ("each quota", mixed),
            ("quota each whole", mixed),
            ("both", 403),
            // In profile rfc a policy that contradicts itself gives nothing, and takes nothing.
            ("both whole", mixed),
        ] {
            assert_eq!(status(scopes), expected, "{profile}: {scopes}");
        }
    }
}

#[test]
fn paths_and_methods() {
    let upstream = Server::up();
    let gateway = start(&upstream, json!({ "defaultPolicies": ["narrow"] }));
    let token = token(json!({}));
    let send = |method, path: &str| gateway.send(&Request::new(method, path).bearer(&token)).status;
    assert_eq!(send("GET", "/a/orders"), 200);
    assert_eq!(send("GET", "/a/orders/7"), 200);
    let before = upstream.recorded().len();
    assert_eq!(send("POST", "/a/orders"), 403);
    assert_eq!(send("GET", "/a/orders-internal"), 403);
    assert_eq!(send("GET", "/a/other"), 403);
    assert_eq!(send("GET", "/a/orders%2f..%2fother"), 301, "the path that is meant is asked for");
    assert_eq!(send("GET", "/a/other;/orders"), 403);
    assert_eq!(upstream.recorded().len(), before);
}

#[test]
fn the_upstream_learns_of_the_session_and_of_nobody_else() {
    let upstream = Server::up();
    let mut document = api(
        "a",
        &upstream,
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": ["rich"] })),
    );
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": {
            "contextVariables": { "enabled": true },
            "transformRequestHeaders": { "enabled": true, "remove": ["X-Role"], "add": [
                { "name": "X-User", "value": "$tyk_context.jwt_claims_sub" },
                { "name": "X-Role", "value": "$tyk_context.jwt_claims_role" },
                { "name": "X-Tier", "value": "$tyk_meta.tier" },
            ] },
        } } } }),
    );
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .policy(&json!({ "id": "rich", "access_rights": { "a": { "api_id": "a" } }, "meta_data": { "tier": "gold" } }))
        .start();
    let forged = |request: Request| {
        request
            .header("X-User", "root")
            .header("x-role", "root")
            .header("X-TIER", "root")
            .header("Connection", "close, X-User, X-Role, X-Tier")
    };
    let request = forged(Request::get("/a/").bearer(&token(json!({ "role": "clerk" }))));
    assert_eq!(gateway.send(&request).status, 200);
    let seen = upstream.take_one();
    assert_eq!(seen.values("x-user"), ["alice"]);
    assert_eq!(seen.values("x-role"), ["clerk"]);
    assert_eq!(seen.values("x-tier"), ["gold"]);
    // A claim that is absent leaves no room for what the client says.
    let request = forged(Request::get("/a/").bearer(&token(json!({}))));
    assert_eq!(gateway.send(&request).status, 200);
    assert!(!upstream.take_one().head.contains("root"));
}

#[test]
fn a_claim_cannot_break_out_of_its_header() {
    let upstream = Server::up();
    let mut document = api(
        "a",
        &upstream,
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "subjectClaims": ["sub"] })),
    );
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": {
            "contextVariables": { "enabled": true },
            "transformRequestHeaders": { "enabled": true, "add": [
                { "name": "X-User", "value": "$tyk_context.jwt_claims_sub" },
            ] },
        } } } }),
    );
    let gateway =
        Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&document).start();
    for sub in ["a\r\nX-Admin: 1", "a\nb", "a\0b"] {
        let answer = gateway.send(&get(json!({ "sub": sub })));
        assert_eq!(answer.status, 403, "{sub:?}");
    }
    assert!(upstream.recorded().is_empty());
}

#[test]
fn by_rules_about_claims() {
    let upstream = Server::up();
    let start = |no_match: Option<&str>| {
        let mut document = api(
            "a",
            &upstream,
            scheme(
                json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": ["narrow"] }),
            ),
        );
        let mut rules = json!({ "rules": [
            { "claim": "realm_access.roles", "values": ["reader", "admin"], "policies": ["reader"] },
            { "claim": "groups", "values": ["guests"], "policies": ["narrow"] },
            { "claim": "level", "values": [3], "policies": ["gone"] },
        ] });
        merge(&mut rules, json!({ "noMatch": no_match }));
        let scheme = json!({ "jwt": { "claimsToPolicies": rules } });
        merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": scheme } } } }),
        );
        setup().api(&document)
    };
    let deny = start(None);
    let said = String::from_utf8(deny.check().stdout).unwrap();
    assert!(said.contains("the policy gone, which this API selects, does not exist"), "{said}");
    let deny = deny.start();
    granted(&deny, json!({ "realm_access": { "roles": ["x", "admin"] } }));
    granted(&deny, json!({ "realm_access": { "roles": "reader" }, "groups": ["guests"] }));
    refused(&deny, get(json!({ "groups": ["guests"] })), "path_not_granted");
    refused(&deny, get(json!({ "groups": ["guests admin", "Guests"] })), "policy_rule_unmatched");
    refused(&deny, get(json!({ "realm_access.roles": ["other"] })), "policy_rule_unmatched");
    refused(&deny, get(json!({})), "policy_rule_unmatched");
    refused(&deny, get(json!({ "level": 3 })), "policy_unknown");
    assert_eq!(upstream.recorded().len(), 2);
    let defaults = start(Some("defaults")).start();
    refused(&defaults, get(json!({})), "path_not_granted");
    refused(&defaults, get(json!({ "level": 3 })), "policy_unknown");
    let orders = Request::get("/a/orders").bearer(&token(json!({})));
    assert_eq!(defaults.send(&orders).status, 200);
}

#[test]
fn what_policies_and_definitions_say_against_each_other_is_told() {
    let upstream = Server::up();
    let grants = |id: &str, fields: Value| {
        let mut policy = json!({ "id": id, "access_rights": { "a": {} } });
        merge(&mut policy, fields);
        policy
    };
    let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac",
        "defaultPolicies": ["open", "listed"],
        "scopes": { "scopeToPolicyMapping": [
            { "scope": "each", "policyId": "each" },
            { "scope": "any", "policyId": "any" },
            { "scope": "no", "policyId": "nowhere" },
        ] } });
    let listed =
        json!({ "access_rights": { "a": { "allowed_urls": [{ "url": "/x", "methods": ["GET"] }] } } });
    let policies = json!([
        grants("open", json!({ "quota_max": 5, "quota_renewal_rate": 60 })),
        grants("listed", listed),
        grants(
            "each",
            json!({ "partitions": { "per_api": true }, "quota_max": 5, "quota_renewal_rate": 60 })
        ),
        grants("any", json!({ "quota_max": -1 })),
        grants("lost", json!({ "access_rights": { "gone": {} } })),
    ]);
    let at = "securitySchemes.jwt";
    let setup = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&api("a", &upstream, scheme(selection)))
        .file("policies/list.json", &serde_json::to_string_pretty(&policies).unwrap());
    let narrowing =
        format!("{at}.defaultPolicies[0]: a caller can have the policies open and listed together");
    // Only in profile tyk does the one narrow the other.
    let said = String::from_utf8(setup.check().stdout).unwrap();
    assert!(!said.contains(&narrowing), "{said}");
    let output = setup.config(&json!({ "errors": "tyk" })).check();
    let said = String::from_utf8(output.stdout).unwrap();
    let at = "securitySchemes.jwt";
    for expected in [
        format!(
            "{at}.defaultPolicies[0]: a caller can have the policies open and listed together: the first"
        ),
        format!("{at}.scopes.scopeToPolicyMapping[0].policyId: a caller can have the policies each and any"),
        format!("{at}.scopes.scopeToPolicyMapping[1].policyId: a caller can have the policies any and each"),
        format!("{at}.scopes.scopeToPolicyMapping[2].policyId: the policy nowhere, which this API selects"),
        "[4].access_rights.gone: the policy lost grants the API gone, which does not exist".to_owned(),
    ] {
        assert!(said.contains(&expected), "{expected}\n{said}");
    }
    assert_eq!(said.matches("a caller can have the policies").count(), 3, "{said}");
    assert!(said.lines().all(|line| !line.contains("list.json:1:")), "the lines are told: {said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}
