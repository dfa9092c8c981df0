#!/usr/bin/env python3
"""Measures how a large gateway starts and reloads; needs nothing but the binary. Prints a table.

    benches/scale/make.py FOLDER
    benches/scale/measure.py FOLDER [--binary target/release/claimgate] [--rounds 5]

Each figure is the smallest of the rounds: whatever else the machine does only adds. CPU is the time of the process
on all cores, memory what is its own (RssAnon). Then the same with one client that sends requests, one after the other,
which the gateway answers itself: its longest wait.
"""

import argparse
import http.client
import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

SECRET = {"x-tyk-authorization": "scale"}
# After this time no worker holds a snapshot any more that is not served.
SETTLED = 15


class Gateway:
    def __init__(self, binary, folder):
        self.log = tempfile.NamedTemporaryFile("r")
        began = time.monotonic()
        self.process = subprocess.Popen([binary, "run"], cwd=folder, stdout=open(self.log.name, "w"), stderr=subprocess.STDOUT)
        self.admin = self.wait_for(r"control API on http://(\S+)")
        self.address = self.wait_for(r"listening on http://(\S+)")
        self.started = time.monotonic() - began, self.cpu()

    def wait_for(self, pattern):
        while True:
            text = pathlib.Path(self.log.name).read_text()
            if found := re.search(pattern, text):
                return found[1]
            if self.process.poll() is not None:
                raise SystemExit(text[-2000:])
            time.sleep(0.002)

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024

    def reload(self):
        began, cpu = time.monotonic(), self.cpu()
        request = urllib.request.Request(f"http://{self.admin}/tyk/reload?block=true", headers=SECRET)
        assert json.load(urllib.request.urlopen(request))["status"] == "ok"
        return time.monotonic() - began, self.cpu() - cpu

    def stop(self):
        self.process.kill()
        self.process.wait()


class Client(threading.Thread):
    """Asks all the time, and knows its longest wait."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.longest, self.sent, self.ends = address, 0.0, 0, False

    def run(self):
        connection = http.client.HTTPConnection(self.address)
        while not self.ends:
            began = time.monotonic()
            connection.request("GET", "/api-1/items/7")
            connection.getresponse().read()
            self.longest, self.sent = max(self.longest, time.monotonic() - began), self.sent + 1


def row(name, wall=None, cpu=None, memory=None):
    of = lambda number, form: "" if number is None else format(number, form)
    print(f"| {name} | {of(wall, '.2f')} | {of(cpu, '.2f')} | {of(memory, '.0f')} |", flush=True)


def touch(files):
    # Another text that says the same: the file is parsed again, and what is served stays.
    for file in files:
        text = file.read_text()
        file.write_text(text[:-1] if text.endswith("\n\n") else text + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--binary", type=pathlib.Path, default="target/release/claimgate")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    binary, rounds = asked.binary.resolve(), range(asked.rounds)
    apis = sorted(path for path in (asked.folder / "apis").iterdir())
    policies = sorted(path for path in (asked.folder / "policies").iterdir())

    print("| | wall, s | CPU, s | memory, MiB |\n|---|---|---|---|")
    starts, memory = [], []
    for _ in rounds:
        gateway = Gateway(binary, asked.folder)
        starts.append(gateway.started)
        memory.append(gateway.memory())
        gateway.stop()
    row("start", min(wall for wall, _ in starts), min(cpu for _, cpu in starts), min(memory))

    gateway = Gateway(binary, asked.folder)
    reloads = [
        ("reload, nothing has changed", []),
        ("reload, one definition", apis[77:78]),
        ("reload, one policy", policies[77:78]),
        ("reload, everything", apis + policies),
    ]
    for name, changed in reloads:
        took = []
        for _ in rounds:
            touch(changed)
            took.append(gateway.reload())
        row(name, min(wall for wall, _ in took), min(cpu for _, cpu in took))
    row(f"after these {4 * asked.rounds} reloads", memory=gateway.memory())
    time.sleep(SETTLED)
    row(f"{SETTLED} seconds later", memory=gateway.memory())
    for name, changed in [reloads[1], reloads[3]]:
        client = Client(gateway.address)
        client.start()
        for _ in rounds:
            touch(changed)
            gateway.reload()
        client.ends = True
        client.join()
        print(f"{name}: {client.sent} requests meanwhile, the longest took {1000 * client.longest:.0f} ms")
    gateway.stop()


if __name__ == "__main__":
    main()
