//! Several security schemes for one API.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key_named, merge, scheme};

/// The base64 of the public key of the scheme `name`, as a `source`.
fn source(name: &'static str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(key_named(name, Algorithm::ES256).public_jwk(Some(name)).unwrap().to_string())
}

/// A token of the scheme `name`, for its issuer unless `changes` says otherwise.
fn token(name: &'static str, changes: Value) -> String {
    let mut own = json!({ "iss": name });
    merge(&mut own, changes);
    key_named(name, Algorithm::ES256).sign(&json!({ "kid": name }), &claims(own)).unwrap()
}

/// A JWT scheme with its own key and issuer, its token in this header field.
fn jwt(name: &'static str, header: &str) -> Value {
    scheme(json!({
        "header": { "name": header },
        "source": source(name),
        "signingMethod": "ecdsa",
        "allowedIssuers": [name],
    }))
}

/// The scheme `jwt` of a document becomes `staff`, and `partner` comes beside it.
fn two_schemes(id: &str, upstream: &Server, header_of_partner: &str, authentication: Value) -> Value {
    let mut document = api(id, upstream, Value::Null);
    let bearer = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "jwt": null, "staff": bearer, "partner": bearer } },
            "security": null,
            "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": {
                "jwt": null,
                "staff": jwt("staff", "Authorization"),
                "partner": jwt("partner", header_of_partner),
            } } } },
        }),
    );
    merge(&mut document, authentication);
    document
}

fn compliant(security: Value) -> Value {
    json!({
        "security": security,
        "x-tyk-api-gateway": { "server": { "authentication": { "securityProcessingMode": "compliant" } } },
    })
}

fn status(gateway: &Gateway, path: &str, staff: Option<&str>, partner: Option<&str>) -> u16 {
    let mut request = Request::get(path);
    if let Some(token) = staff {
        request = request.bearer(token);
    }
    if let Some(token) = partner {
        request = request.header("X-Partner", token);
    }
    gateway.send(&request).status
}

#[test]
fn a_token_is_checked_by_one_scheme_alone() {
    let upstream = Server::up();
    let either = compliant(json!([{ "staff": [] }, { "partner": [] }]));
    let gateway = Setup::new().api(&two_schemes("a", &upstream, "Authorization", either)).start();
    for (token, expected) in [
        (token("staff", json!({})), 200),
        (token("partner", json!({})), 200),
        (token("staff", json!({ "iss": "partner" })), 401),
        (token("partner", json!({ "iss": "staff" })), 401),
        (token("stranger", json!({ "iss": "staff" })), 401),
        (token("partner", json!({ "exp": 1 })), 401),
    ] {
        let ask = || gateway.send(&Request::get("/a/").bearer(&token)).status;
        // The second time from what is remembered.
        assert_eq!([ask(), ask()], [expected; 2], "{token}");
    }
}

#[test]
fn what_must_be_met() {
    let upstream = Server::up();
    let both = json!([{ "staff": [], "partner": [] }]);
    let either = json!([{ "staff": [] }, { "partner": [] }]);
    let mut extended = compliant(json!([{ "staff": [] }]));
    merge(
        &mut extended,
        json!({ "x-tyk-api-gateway": { "server": { "authentication": { "security": [["partner"]] } } } }),
    );
    let mut setup = Setup::new();
    for (id, authentication) in [
        ("legacy-and", json!({ "security": both })),
        ("and", compliant(both.clone())),
        ("legacy-list", json!({ "security": either })),
        ("or", compliant(either.clone())),
        ("extended", extended),
    ] {
        setup = setup.api(&two_schemes(id, &upstream, "X-Partner", authentication));
    }
    let gateway = setup.start();
    let (staff, partner) = (token("staff", json!({})), token("partner", json!({})));
    let (expired, forged) =
        (token("staff", json!({ "exp": 1 })), token("stranger", json!({ "iss": "staff" })));
    let (s, p) = (Some(staff.as_str()), Some(partner.as_str()));
    for (tokens, and, list, or) in [
        ((s, p), 200, 200, 200),
        ((s, None), 401, 200, 200),
        ((None, p), 401, 401, 200),
        ((None, None), 401, 401, 401),
        ((Some(expired.as_str()), p), 401, 401, 200),
        ((Some(forged.as_str()), p), 401, 401, 200),
        // Each token is good, for the other scheme.
        ((p, s), 401, 401, 401),
        ((s, s), 401, 200, 200),
        ((s, Some(forged.as_str())), 401, 200, 200),
    ] {
        for (id, expected) in
            [("legacy-and", and), ("and", and), ("legacy-list", list), ("or", or), ("extended", or)]
        {
            let status = status(&gateway, &format!("/{id}/"), tokens.0, tokens.1);
            assert_eq!(status, expected, "{id}: {tokens:?}");
        }
    }
}

#[test]
fn the_refusal_is_that_of_the_credential_that_came_furthest() {
    let upstream = Server::up();
    let either = || compliant(json!([{ "staff": [] }, { "partner": [] }]));
    let setup = || Setup::new().api(&two_schemes("a", &upstream, "X-Partner", either()));
    let gateway = setup().start();
    let tyk = setup().config(&json!({ "errors": "tyk" })).start();
    let (expired, forged) = (token("staff", json!({ "exp": 1 })), token("stranger", json!({})));
    let late = token("partner", json!({ "nbf": 9_999_999_999_u64 }));
    for (staff, partner, reason, last) in [
        (None, None, "token_missing", "token_missing"),
        (Some(&expired), None, "token_expired", "token_missing"),
        (None, Some(&late), "token_not_yet_valid", "token_not_yet_valid"),
        (Some(&forged), Some(&late), "token_not_yet_valid", "token_not_yet_valid"),
        (Some(&expired), Some(&forged), "token_expired", "key_unknown"),
        (Some(&expired), Some(&late), "token_expired", "token_not_yet_valid"),
    ] {
        for (gateway, reason) in [(&gateway, reason), (&tyk, last)] {
            status(gateway, "/a/", staff.map(String::as_str), partner.map(String::as_str));
            let line: Value = serde_json::from_str(&gateway.last_line()).unwrap();
            assert_eq!(line["reason"], reason, "{line}");
        }
    }
}

#[test]
fn the_last_scheme_of_a_requirement_gives_the_session() {
    let upstream = Server::up();
    let mut setup = Setup::new();
    for (id, security) in
        [("ab", json!([{ "staff": [], "partner": [] }])), ("ba", json!([{ "partner": [], "staff": [] }]))]
    {
        let mut document = two_schemes(id, &upstream, "X-Partner", json!({ "security": security }));
        merge(
            &mut document,
            json!({ "x-tyk-api-gateway": { "middleware": { "global": {
                "contextVariables": { "enabled": true },
                "transformRequestHeaders": {
                    "enabled": true, "add": [{ "name": "X-Issuer", "value": "$tyk_context.jwt_claims_iss" }]
                },
            } } } }),
        );
        setup = setup.api(&document);
    }
    let gateway = setup.start();
    let (staff, partner) = (token("staff", json!({})), token("partner", json!({})));
    for (path, issuer) in [("/ab/", "partner"), ("/ba/", "staff")] {
        assert_eq!(status(&gateway, path, Some(&staff), Some(&partner)), 200);
        let head = upstream.take_one().head;
        assert!(head.contains(&format!("x-issuer: {issuer}\r\n")), "{path}: {head}");
    }
}

#[test]
fn the_credentials_of_all_schemes_are_stripped() {
    let upstream = Server::up();
    let strip = json!({ "x-tyk-api-gateway": { "server": { "authentication": { "stripAuthorizationData": true } } } });
    let mut setup = Setup::new();
    for (id, mut authentication) in [
        ("or", compliant(json!([{ "staff": [] }, { "partner": [] }]))),
        // Not required, and configured all the same.
        ("list", json!({ "security": [{ "staff": [] }, { "partner": [] }] })),
    ] {
        merge(&mut authentication, strip.clone());
        setup = setup.api(&two_schemes(id, &upstream, "X-Partner", authentication));
    }
    let gateway = setup.start();
    for path in ["/or/", "/list/"] {
        let (staff, partner) = (token("staff", json!({})), token("partner", json!({})));
        assert_eq!(status(&gateway, path, Some(&staff), Some(&partner)), 200);
        let head = upstream.take_one().head.to_ascii_lowercase();
        assert!(!head.contains("authorization") && !head.contains("x-partner"), "{path}: {head}");
    }
}

#[test]
fn what_cannot_be_required() {
    let upstream = Server::up();
    let authentication =
        |changes: Value| json!({ "x-tyk-api-gateway": { "server": { "authentication": changes } } });
    let basic = |security: Value| {
        let mut changes = compliant(security);
        merge(
            &mut changes,
            json!({ "components": { "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } } } }),
        );
        merge(&mut changes, authentication(json!({ "securitySchemes": { "basic": { "enabled": true } } })));
        changes
    };
    for (changes, said) in [
        (basic(json!([{ "staff": [] }, { "basic": [] }])), "error: components.securitySchemes.basic: "),
        (basic(json!([{ "staff": [], "basic": [] }])), "error: components.securitySchemes.basic: "),
        (compliant(json!([{ "staff": [] }, {}])), "error: security[1]: "),
        (compliant(json!([{ "staff": [] }, { "nobody": [] }])), "error: security[1].nobody: "),
        (
            authentication(json!({ "securityProcessingMode": "strict" })),
            "securityProcessingMode: write legacy or",
        ),
        (
            authentication(json!({ "securitySchemes": { "partner": { "signingMethod": "rot13" } } })),
            "signingMethod",
        ),
    ] {
        let mut all = json!({ "security": [{ "staff": [], "partner": [] }] });
        merge(&mut all, changes);
        let output = Setup::new().api(&two_schemes("a", &upstream, "X-Partner", all)).check();
        let text = String::from_utf8(output.stdout).unwrap();
        let text = text.replace("api-definitions/a.json:1: ", "");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{said:?} is not in\n{text}");
    }
    for changes in [
        basic(json!([{ "staff": [] }, { "partner": [] }])),
        json!({ "security": [{ "staff": [] }, { "basic": [] }] }),
    ] {
        let output = Setup::new().api(&two_schemes("a", &upstream, "X-Partner", changes)).check();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "what nobody needs may be anything: {text}");
    }
}
