#!/usr/bin/env python3
"""Makes the documents of a large gateway, to measure how it starts and reloads.

    benches/scale/make.py FOLDER [--apis 10000] [--policies 10000] [--file one|many] [--format json|yaml]

FOLDER/claimgate.yaml serves APIs `api-N` on `/api-N/`, each with an operation, a JWT scheme and 20 scopes that
map to policies. Policy `p-N` grants ten APIs, some of them by URLs, with a rate and a quota; `wide` grants a thousand.
"""

import argparse
import base64
import json
import pathlib

SECRET = base64.b64encode(b"a-secret-of-more-than-thirty-two-octets-for-hs256").decode()


def definition(n, policies):
    scopes = [{"scope": f"s{k}", "policyId": f"p-{(n * 20 + k) % policies}"} for k in range(20)]
    scheme = {
        "enabled": True, "header": {"enabled": True, "name": "Authorization"}, "source": SECRET,
        "signingMethod": "hmac", "scopes": {"claims": ["scope"], "scopeToPolicyMapping": scopes},
        "defaultPolicies": ["wide" if n < 1000 else f"p-{n % policies}"],
    }
    return {
        "openapi": "3.0.3", "info": {"title": f"api-{n}", "version": "1"},
        "paths": {"/items/{id}": {"get": {"operationId": "item", "responses": {"200": {"description": "ok"}}}}},
        "components": {"securitySchemes": {"jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
        "security": [{"jwt": []}],
        "x-tyk-api-gateway": {
            "info": {"name": f"api-{n}", "id": f"api-{n}", "state": {"active": True}},
            "upstream": {"url": "http://127.0.0.1:9/"},
            "server": {
                "listenPath": {"value": f"/api-{n}/", "strip": True},
                "authentication": {"enabled": True, "securitySchemes": {"jwt": scheme}},
            },
        },
    }


def policy(n, apis, policies):
    rights = {}
    # The API of every scope and default that names this policy is among them.
    for k in range(10):
        api = ((n + k * policies) // 20 + k * 7) % apis
        rights[f"api-{api}"] = {"api_id": f"api-{api}"}
        if k % 3 == 1:
            rights[f"api-{api}"]["allowed_urls"] = [{"url": "/items/{id}", "methods": ["GET", "POST"]}]
    rights[f"api-{n % apis}"] = {"api_id": f"api-{n % apis}"}
    return {
        "id": f"p-{n}", "rate": 100 + n % 7, "per": 60, "quota_max": 10_000, "quota_renewal_rate": 86_400,
        "access_rights": rights, "tags": [f"t{n % 50}"], "meta_data": {"plan": f"plan-{n % 9}"},
    }


def write(path, value, form):
    if form == "yaml":
        import yaml
        text = yaml.safe_dump(value, sort_keys=False)
    else:
        text = json.dumps(value)
    path.with_suffix("." + form).write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--apis", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=10_000)
    parser.add_argument("--file", choices=["one", "many"], default="many")
    parser.add_argument("--format", choices=["json", "yaml"], default="json")
    asked = parser.parse_args()
    apis, policies = asked.folder / "apis", asked.folder / "policies"
    apis.mkdir(parents=True, exist_ok=True)
    policies.mkdir(exist_ok=True)
    for n in range(asked.apis):
        write(apis / f"api-{n:05}", definition(n, asked.policies), asked.format)
    wide = {"id": "wide", "rate": 100, "per": 60,
            "access_rights": {f"api-{n}": {"api_id": f"api-{n}"} for n in range(min(1000, asked.apis))}}
    every = [policy(n, asked.apis, asked.policies) for n in range(asked.policies)] + [wide]
    if asked.file == "one":
        write(policies / "all", {own["id"]: own for own in every}, asked.format)
    else:
        for own in every:
            write(policies / own["id"], own, asked.format)
    settings = {"listen": "127.0.0.1:0", "definitions": "apis", "policies": "policies", "workers": 2, "watch": "off",
                "admin": {"listen": "127.0.0.1:0", "secret": "scale"}}
    (asked.folder / "claimgate.yaml").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
