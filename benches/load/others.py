#!/usr/bin/env python3
"""Start-up time with many definitions, and memory while a large body streams through.

    benches/load/others.py [DEFINITIONS [MIB]]

Uses target/release/claimgate (cargo build --release)."""
import os, pathlib, re, socket, subprocess, sys, tempfile, threading, time

count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
size = (int(sys.argv[2]) if len(sys.argv) > 2 else 1024) << 20
checkout = pathlib.Path(__file__).resolve().parents[2]
claimgate = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", checkout / "target")) / "release/claimgate"
if not claimgate.exists():
    sys.exit(f"{claimgate} is missing; run cargo build --release")

PROTECTED = """openapi: 3.0.3
info: {{ title: api-{n}, version: 1.0.0 }}
paths: {{}}
components: {{ securitySchemes: {{ jwt: {{ type: http, scheme: bearer, bearerFormat: JWT }} }} }}
security: [{{ jwt: [] }}]
x-tyk-api-gateway:
  info: {{ id: api-{n}, name: api-{n}, state: {{ active: true }} }}
  upstream: {{ url: http://127.0.0.1:9 }}
  server:
    listenPath: {{ value: /api-{n}/, strip: true }}
    authentication:
      enabled: true
      securitySchemes:
        jwt:
          enabled: true
          header: {{ enabled: true, name: Authorization }}
          source: {key}
          signingMethod: rsa
          allowedIssuers: [https://idp.test]
          allowedAudiences: [api]
          subjectClaims: [sub]
          defaultPolicies: [all]
"""
OPEN = """openapi: 3.0.3
info: {{ title: open, version: 1.0.0 }}
paths: {{}}
x-tyk-api-gateway:
  info: {{ id: open, name: open, state: {{ active: true }} }}
  upstream: {{ url: "http://127.0.0.1:{port}" }}
  server: {{ listenPath: {{ value: /open/, strip: true }} }}
"""


def start(folder):
    """Starts the gateway; returns the process, its address, and the seconds until it listened."""
    (folder / "claimgate.yaml").write_text("listen: 127.0.0.1:0\nworkers: 1\nadmin: { listen: none }\naccess_log: off\n")
    began = time.perf_counter()
    process = subprocess.Popen([claimgate, "run", "--config", folder / "claimgate.yaml"], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"listening on http://([\d.]+):(\d+)", line):
            return process, (found[1], int(found[2])), time.perf_counter() - began
    sys.exit("the gateway did not start")


def memory(process, what):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(what + r":\s+(\d+)", status)[1]) / 1024


def start_up():
    import base64
    key = subprocess.check_output([claimgate, "token", "key", "--alg", "RS256"])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "key").write_bytes(key)
        jwks = base64.b64encode(subprocess.check_output([claimgate, "token", "jwks", folder / "key"])).decode()
        (folder / "api-definitions").mkdir()
        (folder / "policies").mkdir()
        for n in range(count):
            (folder / f"api-definitions/api-{n}.yaml").write_text(PROTECTED.format(n=n, key=jwks))
        rights = ",".join(f'"api-{n}":{{"api_id":"api-{n}"}}' for n in range(count))
        (folder / "policies/all.json").write_text(f'{{"id":"all","access_rights":{{{rights}}}}}')
        times = []
        for _ in range(5):
            process, _, seconds = start(folder)
            resident = memory(process, "VmRSS")
            process.terminate()
            process.wait()
            times.append(seconds)
        print(f"start with {count} definitions: {min(times):.2f} s to the first listener (best of 5), {resident:.0f} MiB")


def upstream(listener):
    connection, _ = listener.accept()
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    rest = size - len(received.split(b"\r\n\r\n", 1)[1])
    while rest:
        rest -= len(connection.recv(min(rest, 1 << 20)))
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        connection.sendall(block)


def stream():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        listener = socket.create_server(("127.0.0.1", 0))
        (folder / "api-definitions").mkdir()
        (folder / "api-definitions/open.yaml").write_text(OPEN.format(port=listener.getsockname()[1]))
        process, address, _ = start(folder)
        threading.Thread(target=upstream, args=(listener,), daemon=True).start()
        before = memory(process, "VmRSS")
        client = socket.create_connection(address)
        client.sendall(b"POST /open/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        block, began = bytes(1 << 20), time.perf_counter()
        for _ in range(size >> 20):
            client.sendall(block)
        up, rest = time.perf_counter() - began, size
        after_upload, began = memory(process, "VmHWM"), time.perf_counter()
        while rest > 0:
            rest -= len(client.recv(1 << 20))
        down = time.perf_counter() - began
        print(
            f"{size >> 20} MiB up in {up:.2f} s and down in {down:.2f} s: {before:.0f} MiB before, "
            f"{after_upload:.0f} MiB at most after the upload, {memory(process, 'VmHWM'):.0f} MiB at most after the download"
        )
        process.terminate()
        process.wait()


start_up()
stream()
