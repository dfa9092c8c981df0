//! Limits that count a tenant or a client, and not a caller: whom a counter is shared with, and with whom never.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, merge, scheme};

fn request(changes: Value) -> Request {
    Request::get("/a/").bearer(&key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap())
}

fn statuses<const N: usize>(gateway: &Gateway, claims: [Value; N]) -> [u16; N] {
    claims.map(|claims| gateway.send(&request(claims)).status)
}

/// An API `a` whose callers have this policy.
fn setup(upstream: &Server, policy: Value, definition: Value) -> Setup {
    let mut own = json!({ "id": "p", "access_rights": { "a": {} } });
    merge(&mut own, policy);
    let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac", "defaultPolicies": ["p"] });
    let mut document = api("a", upstream, scheme(selection));
    merge(&mut document, definition);
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).policy(&own).api(&document)
}

fn of(sub: &str, tenant: Value) -> Value {
    json!({ "sub": sub, "tenant": tenant })
}

#[test]
fn a_rate_of_a_tenant() {
    let upstream = Server::up();
    let policy = json!({ "rate": 2, "per": 3600, "x-claimgate": { "rateKey": ["tenant"] } });
    let gateway = setup(&upstream, policy, json!({})).start();
    let [a, b] = [json!("a"), json!("b")];
    assert_eq!(
        statuses(&gateway, [of("1", a.clone()), of("2", a.clone()), of("3", a.clone()), of("1", a.clone())]),
        [200, 200, 429, 429]
    );
    assert_eq!(statuses(&gateway, [of("1", b.clone()), of("1", b), of("9", json!(1))]), [200, 200, 200]);
    let mut elsewhere = of("1", a);
    merge(&mut elsewhere, json!({ "iss": "https://other.test" }));
    assert_eq!(statuses(&gateway, [elsewhere]), [200], "another issuer's tenant of the same name");
    // Who has no tenant is alone, and not one of all those who have none.
    for absent in [json!(null), json!(""), json!(["a"]), json!({ "a": 1 })] {
        let sub = absent.to_string();
        let alone = || of(&sub, absent.clone());
        assert_eq!(statuses(&gateway, [alone(), alone(), alone()]), [200, 200, 429], "{sub}");
    }
    let alone = of("null", Value::Null);
    assert_eq!(statuses(&gateway, [alone]), [429], "with another token, too");
}

#[test]
fn plans_of_one_tenant_do_not_use_up_each_other() {
    let upstream = Server::up();
    let plan = |id: &str, rate: u32| {
        json!({ "id": id, "access_rights": { "a": {} }, "rate": rate, "per": 3600,
            "quota_max": rate, "quota_renewal_rate": 3600,
            "x-claimgate": { "rateKey": ["tenant"], "quotaKey": ["tenant"] } })
    };
    let rights = json!({ "id": "rights", "access_rights": { "a": {} }, "partitions": { "acl": true } });
    let mapping = ["gold", "silver", "rights"].map(|id| json!({ "scope": id, "policyId": id }));
    let selection = json!({ "source": "env://SECRET", "signingMethod": "hmac",
        "scopes": { "claims": ["scope"], "scopeToPolicyMapping": mapping } });
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .policy(&plan("gold", 5))
        .policy(&plan("silver", 2))
        .policy(&rights)
        .api(&api("a", &upstream, scheme(selection)))
        .start();
    let with = |sub: &str, policies: &str| json!({ "sub": sub, "tenant": "t", "scope": policies });
    let gold = |sub: &str| with(sub, "gold");
    assert_eq!(statuses(&gateway, [gold("1"), gold("2"), gold("3")]), [200; 3]);
    let silver = |sub: &str| with(sub, "silver");
    assert_eq!(statuses(&gateway, [silver("4"), silver("5"), silver("6")]), [200, 200, 429]);
    // With a right more, or a lower limit, it is the same limit.
    let more = [with("7", "gold rights"), with("8", "gold silver"), gold("9")];
    assert_eq!(statuses(&gateway, more), [200, 200, 429]);
}

#[test]
fn a_rate_of_callers_below_a_quota_of_their_tenant_and_client() {
    let upstream = Server::up();
    let policy = json!({ "rate": 2, "per": 3600, "quota_max": 3, "quota_renewal_rate": 3600,
        "x-claimgate": { "quotaKey": ["/org/tenant", "azp"] } });
    let gateway = setup(&upstream, policy, json!({})).start();
    let of = |sub: &str, client: &str| json!({ "sub": sub, "azp": client, "org": { "tenant": "a" } });
    assert_eq!(statuses(&gateway, [of("1", "x"), of("1", "x"), of("1", "x")]), [200, 200, 429], "the rate");
    assert_eq!(statuses(&gateway, [of("2", "x"), of("2", "x")]), [200, 429], "the quota");
    assert!(gateway.last_line().contains("quota_exceeded"));
    assert_eq!(statuses(&gateway, [of("2", "y"), of("3", "y")]), [429, 200], "its own rate, another quota");
}

#[test]
fn rates_of_endpoints_apis_and_operations_for_each_tenant() {
    let upstream = Server::up();
    let one = json!({ "rate": 1, "per": 3600 });
    let endpoint = json!({ "path": "/x", "methods": [{ "name": "GET", "limit": one }] });
    let policy = json!({ "rate": 9, "per": 3600, "x-claimgate": { "rateKey": ["tenant"] },
        "access_rights": { "a": { "endpoints": [endpoint] } } });
    let rate = |rate: u32| json!({ "enabled": true, "rate": rate, "per": "1h" });
    let definition = json!({
        "paths": { "/y": { "get": { "operationId": "y" } } },
        "x-tyk-api-gateway": {
            "upstream": { "rateLimit": rate(2) },
            "middleware": { "operations": { "y": { "rateLimit": rate(1) } } },
        },
        "x-claimgate": { "upstream": { "rateLimit": { "key": ["tenant"] } } },
    });
    let gateway = setup(&upstream, policy, definition).start();
    let send = |path: &str, sub: &str, tenant: &str| {
        let claims = claims(of(sub, json!(tenant)));
        let token = key(Algorithm::HS256).sign(&json!({}), &claims).unwrap();
        gateway.send(&Request::get(path).bearer(&token)).status
    };
    assert_eq!([send("/a/x", "1", "a"), send("/a/x", "2", "a"), send("/a/x", "2", "b")], [200, 429, 200]);
    assert_eq!([send("/a/y", "1", "a"), send("/a/y", "2", "a"), send("/a/y", "2", "b")], [200, 429, 200]);
    // One was counted for each tenant above.
    assert_eq!([send("/a/", "3", "a"), send("/a/", "4", "a"), send("/a/", "4", "b")], [200, 429, 200]);
    assert_eq!([send("/a/", "4", ""), send("/a/", "4", ""), send("/a/", "4", "")], [200, 200, 429]);
}

#[test]
fn the_key_is_explained() {
    let upstream = Server::up();
    let policy = json!({ "rate": 2, "per": 3600, "quota_max": 3, "quota_renewal_rate": 3600,
        "x-claimgate": { "rateKey": ["tenant", "level"], "quotaKey": ["plan"] } });
    let gateway = setup(&upstream, policy, json!({})).start();
    let asked = request(json!({ "tenant": "a\"b", "level": 3 }));
    assert_eq!(gateway.send(&asked).status, 200);
    let explained = gateway.explain(&asked.described());
    let steps = explained["steps"].as_array().unwrap();
    let limits = steps.iter().find(|step| step["step"] == json!("limits")).unwrap();
    let found = limits["found"].as_str().unwrap();
    for expected in [
        "rate: 1 of 2 left",
        "; rate counted for tenant \"a\\\"b\", level 3",
        "; quota counted for the caller alone, for there is no value of plan",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn keys_that_say_nothing_are_told() {
    let upstream = Server::up();
    let policy = json!({ "x-claimgate": {
        "rateKey": [], "quotaKey": ["ok", "a..b"], "quotaOnFailure": "ajar", "burst": 1,
    } });
    let definition =
        json!({ "x-claimgate": { "upstream": { "rateLimit": { "key": [""], "onFailure": "ajar" } } } });
    let said = String::from_utf8(setup(&upstream, policy, definition).check().stdout).unwrap();
    for expected in [
        "x-claimgate.rateKey: without a claim nothing tells callers apart",
        "x-claimgate.quotaKey[1]: ",
        "x-claimgate.burst: unknown field",
        "x-claimgate.quotaOnFailure: without Redis a limit is open, closed, or local",
        "x-claimgate.upstream.rateLimit.onFailure: neither the API nor an operation has a rateLimit",
        "x-claimgate.upstream.rateLimit.key: neither the API nor an operation has a rateLimit",
        "x-claimgate.upstream.rateLimit.key[0]: it must be said which claim is meant",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let definition = json!({
        "x-tyk-api-gateway": { "upstream": { "rateLimit": { "enabled": true, "rate": 1, "per": "1s" } } },
        "x-claimgate": { "upstream": { "rateLimit": { "onFailure": "ajar" } } },
    });
    let said = String::from_utf8(setup(&upstream, json!({}), definition).check().stdout).unwrap();
    assert!(
        said.contains("x-claimgate.upstream.rateLimit.onFailure: without Redis a limit is open"),
        "{said}"
    );
}
