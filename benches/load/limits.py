#!/usr/bin/env python3
"""CPU of a limited request, in the gateway and in Redis: no limit, counted in memory, in Redis each time, in Redis ahead.

    benches/load/limits.py [ROUNDS [SECONDS]]

Needs redis-server and wrk on the PATH, and target/release/claimgate (cargo build --release). One worker; the operation is
mocked, so that no upstream counts. The rounds alternate between the cases; prints the minimum of the rounds: noise only adds."""
import json, os, pathlib, re, shutil, subprocess, sys, tempfile, time

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
checkout = pathlib.Path(__file__).resolve().parents[2]
claimgate = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", checkout / "target")) / "release/claimgate"
if not claimgate.exists():
    sys.exit(f"{claimgate} is missing; run cargo build --release")
for tool in ("redis-server", "wrk"):
    if not shutil.which(tool):
        sys.exit(f"{tool} is needed")

# Never exceeded. Limits below 1,000 ask Redis each time: 999 in a millisecond.
MANY, FEW = {"rate": 1e9, "per": 3600}, {"rate": 999, "per": 0.001}
CASES = {
    "no limit": ({}, False),
    "in memory": (MANY, False),
    "in Redis, each request": (FEW, True),
    "in Redis, counted ahead": (MANY, True),
}
DEFINITION = """openapi: 3.0.3
info: { title: a, version: 1.0.0 }
paths: { /x: { get: { operationId: x } } }
components: { securitySchemes: { jwt: { type: http, scheme: bearer, bearerFormat: JWT } } }
security: [{ jwt: [] }]
x-tyk-api-gateway:
  info: { id: a, name: a, state: { active: true } }
  upstream: { url: http://127.0.0.1:9 }
  middleware: { operations: { x: { mockResponse: { enabled: true, code: 200 } } } }
  server:
    listenPath: { value: /a/, strip: true }
    authentication:
      enabled: true
      securitySchemes:
        jwt:
          enabled: true
          header: { enabled: true, name: Authorization }
          source: "file://key"
          signingMethod: hmac
          subjectClaims: [sub]
          defaultPolicies: [p]
"""


def cpu(pid):
    """Seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(folder, policy, redis):
    for name in ("api-definitions", "policies"):
        (folder / name).mkdir(parents=True)
    (folder / "key").write_text(key)
    (folder / "api-definitions/a.yaml").write_text(DEFINITION)
    (folder / "policies/p.json").write_text(json.dumps({"id": "p", "access_rights": {"a": {"api_id": "a"}}, **policy}))
    config = {"listen": "127.0.0.1:0", "workers": 1, "admin": {"listen": "none"}, "access_log": "off", "keys": {"file": "none"}}
    if redis:
        config["redis"] = {"url": f"redis://127.0.0.1:{redis}", "timeout": "5s"}
    (folder / "claimgate.yaml").write_text(json.dumps(config))
    process = subprocess.Popen([claimgate, "run", "--config", folder / "claimgate.yaml"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"listening on (http://[\d.]+:\d+)", line):
            return process, found[1]
    sys.exit("the gateway did not start")


key = subprocess.check_output([claimgate, "token", "key", "--alg", "HS256"], text=True).strip()
with tempfile.TemporaryDirectory() as work:
    work = pathlib.Path(work)
    (work / "key").write_text(key)
    token = subprocess.check_output(
        [claimgate, "token", "mint", "--key", work / "key", "--alg", "HS256", "--claims", '{"sub":"user"}', "--expires-in", "10h"], text=True
    ).strip()
    port = 10719
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", work], stdout=subprocess.DEVNULL)
    while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).returncode:
        time.sleep(0.05)
    best = {}
    for round in range(rounds):
        for n, (name, (policy, shared)) in enumerate(CASES.items()):
            gateway, url = start(work / f"{round}-{n}", policy, port if shared else None)
            load = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-H", f"Authorization: Bearer {token}", f"{url}/a/x"]
            before = cpu(gateway.pid), cpu(redis.pid)
            said = subprocess.check_output(load, text=True)
            after = cpu(gateway.pid), cpu(redis.pid)
            gateway.terminate()
            gateway.wait()
            if "Non-2xx" in said:
                sys.exit(f"{name}: {said}")
            requests = int(re.search(r"(\d+) requests in", said)[1])
            micros = [(b - a) / requests * 1e6 for a, b in zip(before, after)]
            best[name] = [min(pair) for pair in zip(micros, best.get(name, micros))]
    redis.terminate()
    print("| limit | gateway, µs | Redis, µs |\n|---|---|---|")
    for name, (own, other) in best.items():
        print(f"| {name} | {own:.2f} | {other:.2f} |")
