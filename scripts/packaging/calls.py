#!/usr/bin/env python3
"""Compares what the program asks of the system with what its unit allows. See ../packaging.sh."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request


def allowed(unit):
    """The calls that `SystemCallFilter=` of the unit leaves, as systemd reads it: line by line."""
    calls = set()
    for line in unit.read_text().splitlines():
        if not line.startswith("SystemCallFilter="):
            continue
        words = line.split("=", 1)[1]
        without = words.startswith("~")
        for word in words.lstrip("~").split():
            named = members(word) if word.startswith("@") else {word}
            calls = calls - named if without else calls | named
    return calls


def members(name):
    shown = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True)
    found = set()
    for line in shown.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def traced(program, faces, work):
    """What a service asks for that enrols, identifies, snapshots, is reloaded and stops."""
    data = ["--data-dir", str(work / "data")]
    verb = [program, "key", "create", "--name", "k", "--everything", "--scopes", "enroll,identify,snapshot", "--json"]
    key = json.loads(subprocess.run(verb + data, check=True, capture_output=True).stdout)["key"]
    trace = work / "trace"
    service = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", str(trace), program, "serve", "--listen", "127.0.0.1:0",
         "--snapshot-dir", str(work / "snapshots"), *data],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    url = json.loads(service.stdout.readline())["listening"]

    def ask(path, picture=None):
        body, headers = b"", {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
        if picture:
            body, headers["Content-Type"] = picture.read_bytes(), "image/jpeg"
            boundary = "----part"
            body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a\"\r\n\r\n".encode()
                    + body + f"\r\n--{boundary}--\r\n".encode())
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        request = urllib.request.Request(url + path, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    ask("/v1/partitions/bws.1/classes/1/enroll", faces / "obama-portrait.jpg")
    found = ask("/v1/partitions/bws.1/identify", faces / "obama-speech.jpg")
    assert found["matches"][0]["class"] == "1", found
    (work / "snapshots").mkdir(mode=0o700, exist_ok=True)
    ask("/v1/snapshots")
    children = pathlib.Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text()
    program_id = int(children.split()[0])
    os.kill(program_id, signal.SIGHUP)
    os.kill(program_id, signal.SIGTERM)
    assert service.wait(60) == 0
    return set(re.findall(r"^\d+ +([a-z0-9_]+)\(", trace.read_text(errors="replace"), re.M))


def main():
    program, unit, faces = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        used = traced(program, faces, pathlib.Path(folder))
    refused = used - allowed(unit)
    print(f"{len(used)} system calls are used; refused by the unit: {', '.join(sorted(refused)) or 'none'}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
