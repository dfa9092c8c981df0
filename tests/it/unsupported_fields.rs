//! Fields of Tyk that are not built: what would open an API without them is refused, and the rest is told.

use serde_json::{Value, json};

use crate::support::{Server, Setup, keyless, merge};

/// A definition with this value at a place in the extension, where `o` is an operation.
fn with(upstream: &Server, place: &str, value: Value) -> Value {
    let mut document = keyless("a", upstream);
    let nested = place.rsplit('.').fold(value, |value, name| json!({ name: value }));
    merge(
        &mut document,
        json!({
            "paths": { "/x": { "get": { "operationId": "o", "responses": {} } } },
            "x-tyk-api-gateway": nested,
        }),
    );
    document
}

/// Whether the definition is served, and what is told of it.
fn checked(document: &Value) -> (bool, String) {
    let output = Setup::new().api(document).check();
    let told = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    (output.status.success(), told)
}

/// A switch, on or off, with settings beside it.
fn switch(on: bool, mut settings: Value) -> Value {
    settings["enabled"] = on.into();
    settings
}

#[test]
fn what_would_open_an_api_or_send_requests_elsewhere_is_refused() {
    let up = Server::up();
    let code = |on: bool| json!([{ "enabled": on, "functionName": "f", "path": "/p.so" }]);
    let plugin = |on: bool| json!({ "plugins": code(on) });
    for place in [
        "upstream.mutualTLS",
        "upstream.certificatePinning",
        "upstream.authentication",
        "upstream.proxy",
        "upstream.serviceDiscovery",
        "server.clientCertificates",
        "server.authentication.hmac",
        "server.authentication.oidc",
        "server.authentication.custom",
        "server.authentication.certificateAuth",
        "middleware.operations.o.validateRequest",
        "middleware.operations.o.transformRequestBody",
        "middleware.operations.o.transformResponseBody",
        "middleware.operations.o.virtualEndpoint",
    ] {
        let block = |on| switch(on, json!({ "name": "n", "path": "p" }));
        is_refused_when_on(&up, place, block);
    }
    for place in ["prePlugins", "postAuthenticationPlugins", "postPlugins", "responsePlugins"] {
        is_refused_when_on(&up, &format!("middleware.global.{place}"), code);
    }
    for place in ["prePlugin", "postAuthenticationPlugin", "postPlugin", "responsePlugin"] {
        is_refused_when_on(&up, &format!("middleware.global.{place}"), plugin);
    }
    is_refused_when_on(&up, "middleware.operations.o.postPlugins", code);
    is_refused_when_on(
        &up,
        "middleware.global.pluginConfig",
        |on| json!({ "bundle": { "enabled": on, "path": "b" } }),
    );
    for place in ["mcpTools", "mcpResources", "mcpPrompts"] {
        is_refused_when_on(
            &up,
            &format!("middleware.{place}"),
            |on| json!({ "t": { "allow": { "enabled": on } } }),
        );
    }
    // These have no switch.
    for (place, empty, value) in [
        ("server.port", json!(0), json!(9000)),
        ("server.protocol", json!(""), json!("tcp")),
        ("server.customDomain.certificates", json!([]), json!(["c"])),
    ] {
        is_refused_when_on(&up, place, |on| if on { value.clone() } else { empty.clone() });
    }
}

fn is_refused_when_on(upstream: &Server, place: &str, value: impl Fn(bool) -> Value) {
    let (is_served, told) = checked(&with(upstream, place, value(true)));
    let message = format!("error: api-definitions/a.json:1: x-tyk-api-gateway.{place}: ");
    assert!(!is_served && told.contains(&message), "{place}: {told}");
    let (is_served, told) = checked(&with(upstream, place, value(false)));
    assert!(is_served && !told.contains(place), "{place}: {told}");
}

#[test]
fn what_changes_convenience_or_reporting_alone_is_a_warning() {
    let up = Server::up();
    let switched = |place: &'static str| (place, json!({ "enabled": true }));
    for (place, value) in [
        switched("upstream.uptimeTests"),
        ("upstream.loadBalancing.skipUnavailableHosts", json!(true)),
        switched("server.authentication.customKeyLifetime"),
        switched("server.batchProcessing"),
        switched("server.detailedActivityLogs"),
        switched("server.detailedTracing"),
        ("server.eventHandlers", json!([{ "enabled": true, "trigger": "QuotaExceeded" }])),
        switched("middleware.global.cache"),
        switched("middleware.global.trafficLogs"),
        switched("middleware.operations.o.circuitBreaker"),
        switched("middleware.operations.o.cache"),
    ] {
        let (is_served, told) = checked(&with(&up, place, value));
        let message = format!("warning: api-definitions/a.json:1: x-tyk-api-gateway.{place}: ");
        assert!(is_served && told.contains(&message), "{place}: {told}");
    }
}

#[test]
fn what_means_nothing_to_a_gateway_is_not_mentioned() {
    let up = Server::up();
    for (place, value) in [
        ("info.dbId", json!("5e")),
        ("server.slug", json!("orders")),
        ("middleware.global.skipQuotaReset", json!(true)),
        ("middleware.operations.o.trackEndpoint", json!({ "enabled": true })),
        ("middleware.operations.o.doNotTrackEndpoint", json!({ "enabled": true })),
    ] {
        let (is_served, told) = checked(&with(&up, place, value));
        assert!(is_served && !told.contains(place), "{place}: {told}");
    }
}

#[test]
fn names_of_certificates_are_checked_or_the_definition_is_refused() {
    let up = Server::up();
    for (transport, expected) in [
        (json!({ "forceCommonNameCheck": true }), true),
        (json!({ "forceCommonNameCheck": false, "insecureSkipVerify": true }), true),
        (json!({ "forceCommonNameCheck": true, "insecureSkipVerify": true }), false),
    ] {
        let (is_served, told) = checked(&with(&up, "upstream.tlsTransport", transport.clone()));
        assert_eq!(is_served, expected, "{told}");
        assert_eq!(told.contains("tlsTransport.forceCommonNameCheck: "), !expected, "{told}");
    }
}
