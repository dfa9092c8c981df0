//! What callers are told.

use serde_json::json;

use super::{changed, hmac, one, status, token};
use crate::support::{Request, Server, now};

/// Tyk repeats the issuer, the audience and the subject of the token, and the ids of policies, in its texts.
#[test]
fn w14_answers_repeat_nothing_of_the_token() {
    let upstream = Server::up();
    let rules = hmac(json!({
        "allowedIssuers": ["https://idp.test"], "allowedAudiences": ["orders"], "policyFieldName": "pol",
    }));
    let gateway = one("rfc", &upstream, rules).start();
    for claims in [
        json!({ "iss": "marker-of-mine" }),
        json!({ "aud": ["marker-of-mine"] }),
        json!({ "pol": "marker-of-mine" }),
        json!({ "sub": "", "marker-of-mine": 1 }),
    ] {
        let answer = gateway.send(&Request::get("/a/").bearer(&token(claims.clone())));
        assert!(matches!(answer.status, 401 | 403), "{claims}");
        let said = format!("{}{}", answer.head, answer.text());
        assert!(!said.contains("marker-of-mine") && !said.contains("idp.test"), "{said}");
    }
}

/// Tyk answers 400 and 403 without a challenge, 403 for a quota, and never says when to come back.
#[test]
fn w32_statuses_challenges_and_retry_after() {
    let upstream = Server::up();
    let gateway = one("rfc", &upstream, hmac(json!({ "policyFieldName": "pol" })))
        .policy(&json!({ "id": "once", "quota_max": 1, "quota_renewal_rate": 3600,
            "access_rights": { "a": { "api_id": "a" } } }))
        .start();
    let missing = gateway.send(&Request::get("/a/"));
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer realm=\"a\"")));
    for bad in ["nonsense", &token(json!({ "exp": now() - 5 }))] {
        let answer = gateway.send(&Request::get("/a/").bearer(bad));
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    }
    let spent = || gateway.send(&Request::get("/a/").bearer(&token(json!({ "pol": "once" }))));
    assert_eq!(spent().status, 200);
    let answer = spent();
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() <= 3600);
}

/// In Tyk a policy that does not exist is 403, 500 or 200, in one text or another, by how it is named.
#[test]
fn w33_one_cause_has_one_answer() {
    let upstream = Server::up();
    let mut answers = Vec::new();
    for (selection, claims) in [
        (json!({ "policyFieldName": "pol" }), json!({ "pol": "nobodys" })),
        (json!({ "policyFieldName": "pol" }), json!({ "pol": ["all", "nobodys"] })),
        (json!({ "defaultPolicies": ["nobodys"] }), json!({})),
        (json!({ "defaultPolicies": ["nobodys", "all"] }), json!({})),
        (
            json!({ "scopes": { "scopeToPolicyMapping": [{ "scope": "s", "policyId": "nobodys" }] } }),
            json!({ "scope": "s" }),
        ),
    ] {
        let setup = one("rfc", &upstream, hmac(selection.clone()));
        let said = String::from_utf8(setup.check().stdout).unwrap();
        assert_eq!(
            said.contains("the policy nobodys,"),
            selection.get("policyFieldName").is_none(),
            "{said}"
        );
        let answer = setup.start().send(&Request::get("/a/").bearer(&token(claims)));
        answers.push((answer.status, answer.text()));
    }
    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// In Tyk the issuer goes into the XML as it is and adds elements to it, and a claim with a line break
/// makes the request a 500.
#[test]
fn w41_claims_break_neither_documents_nor_headers() {
    let upstream = Server::up();
    let gateway = one("tyk", &upstream, hmac(json!({ "allowedIssuers": ["https://idp.test"] }))).start();
    let request = Request::get("/a/").header("Content-Type", "application/xml");
    let answer = gateway.send(&request.bearer(&token(json!({ "iss": "</error><admin>&" }))));
    assert!(answer.text().contains("&lt;/error&gt;&lt;admin&gt;&amp;</error>"), "{}", answer.text());
    let header = json!({ "middleware": { "global": {
        "contextVariables": { "enabled": true },
        "transformRequestHeaders": { "enabled": true, "add": [
            { "name": "X-Name", "value": "$tyk_context.jwt_claims_name" },
        ] },
    } } });
    let gateway = changed("rfc", &upstream, hmac(json!({})), header).start();
    assert_eq!(status(&gateway, "/a/", &token(json!({ "name": "a\r\nX-Admin: 1" }))), 403);
    assert_eq!(status(&gateway, "/a/", &token(json!({ "name": "a" }))), 200);
    let seen = upstream.take_one();
    assert_eq!((seen.values("x-name"), seen.values("x-admin")), (vec!["a"], Vec::new()));
}
