#!/usr/bin/env python3
"""Drives examples/side_by_side.py between two real services, one of which plays the old one.

Wrong secrets, services that are down, samples that the new one refuses, people who come twice, answers that are no
JSON, clients that leave, answers that end in the middle: in each case the client must see exactly what the old service
says, and the report must say who is over, and why somebody is not. Needs what the proxy needs. See ../quickstarts.sh.
"""

import argparse
import base64
import concurrent.futures
import gzip
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

WAIT_SECONDS = 60
ID, SECRET = "1234567890.12345.app.bioid.com", "old+Secret/of/the/client="
ADA, BEN, CY = "bws.112.4711", "bws.112.-42", "bws.112.7"


def request(port, method, path, body=None, headers=None, chunked=False):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    try:
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def until(what, holds):
    """Waits until it holds."""
    for _ in range(WAIT_SECONDS * 20):
        if found := holds():
            return found
        time.sleep(0.05)
    sys.exit(f"in vain: {what}")


class Process:
    """A program that tells its address in its first line."""

    def __init__(self, command, log, environment=None):
        self.log = log
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(log, "ab"), text=True,
                                        env={**os.environ, **(environment or {})})
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"it ended at once: {log.read_text()}")
        self.port = int(re.search(r":(\d+)\"?}?$", line.strip())[1])
        self.url = re.search(r"https?://[^\"]+", line.strip())[0]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(WAIT_SECONDS) in (0, -signal.SIGTERM), self.process.returncode


class Scene:
    """Two services and the proxy between them."""

    def __init__(self, options, work):
        self.vultus, self.proxy_program, self.work = str(options.vultus), str(options.proxy), work
        self.people_program = str(options.proxy.with_name("side_by_side_people.py"))
        self.journal = work / "journal.jsonl"
        for name in ("old", "new"):
            subprocess.run([self.vultus, "app", "create", "--data-dir", work / name, "--name", name, "--storage", "bws",
                            "--id", ID, "--secret-stdin"], input=SECRET.encode(), check=True, capture_output=True)
        self.old = self.service("old")
        self.new = self.service("new")
        self.proxy = self.side_by_side()

    def service(self, name, *flags, port=0):
        # However slow the machine is, nobody is told to come again.
        patient = ["--queue-wait-seconds", "600", "--search-wait-seconds", "600", "--picture-seconds-max", "600"]
        command = [self.vultus, "serve", "--data-dir", str(self.work / name), "--listen", f"127.0.0.1:{port}"]
        command += [*patient, *flags]
        return Process(command, self.work / f"{name}.log")

    def restart_new(self, *flags):
        """The new service with other settings, at the same address."""
        self.new.stop()
        self.new = self.service("new", *flags, port=self.new.port)

    def environment(self, new=None, secret=SECRET):
        # Of mitmproxy: nothing of whoever runs this.
        return {"NEW": new or self.new.url, "NEW_APP_ID": ID, "NEW_APP_SECRET": secret, "JOURNAL": str(self.journal),
                "HOME": str(self.work)}

    def side_by_side(self, old=None, new=None, secret=SECRET, flags=(), log="proxy.log"):
        mode = f"reverse:{old or self.old.url}@127.0.0.1:0"
        command = ["mitmdump", "-q", "--mode", mode, "-s", self.proxy_program, *flags]
        return Process(command, self.work / log, self.environment(new, secret))

    def report(self, *people):
        """The exit code and the lines of the report."""
        (self.work / "people.txt").write_text("".join(f"{person}\n" for person in people))
        command = [sys.executable, self.people_program, *([str(self.work / "people.txt")] if people else [])]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **self.environment()})
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def entries(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def next_entry(self, before, person):
        """What was written down after so many lines."""
        entries = until(f"a line on {person}", lambda: self.entries()[before:])
        assert entries[0]["person"] == person, entries
        return entries[0]["seen"], entries[0]["did"], entries[0]["why"]

    def stop(self):
        for process in (self.proxy, self.old, self.new):
            if process.process.poll() is None:
                process.process.kill()
                process.process.wait()


BASIC = {"Authorization": "Basic " + base64.b64encode(f"{ID}:{SECRET}".encode()).decode()}


def token_for(port, person, task):
    path = f"/extension/token?id={ID}&bcid={person}&task={task}&livedetection=false"
    status, _, body = request(port, "GET", path, headers=BASIC)
    assert status == 200, (status, body)
    return {"Authorization": "Bearer " + body.decode()}


def visit(port, person, task, *pictures, accept="application/json", chunked=False):
    """What a classic client does, whose uploads run beside each other. Returns the answer to the task."""
    bearer = token_for(port, person, task)

    def upload(at):
        body = b"data:image/jpeg;base64," + base64.b64encode(pictures[at])
        headers = {**bearer, "Content-Type": "text/plain", "Accept": accept}
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = iter([body[:1000], body[1000:]])
        return request(port, "POST", f"/extension//upload?index={at}&Tag=any", body, headers, chunked)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for status, _, answer in pool.map(upload, range(len(pictures))):
            assert status == 200, (status, answer)
    return request(port, "GET", f"/extension/{task}", headers={**bearer, "Accept": accept})


def success(answer):
    assert answer[0] == 200, answer
    return json.loads(answer[2])["Success"]


def comes_over(scene, faces):
    """Verified at the old service, and the new one knows them; later visits are compared."""
    for person, picture in ((ADA, faces["portrait"]), (BEN, faces["other"])):
        assert success(visit(scene.old.port, person, "enroll", picture))
    code, lines = scene.report(ADA, BEN, CY)
    assert code == 1 and lines[:3] == [f"not yet {person}  not seen yet" for person in (ADA, BEN, CY)], lines
    assert success(visit(scene.proxy.port, ADA, "verify", faces["speech"]))
    assert scene.next_entry(0, ADA) == ("verified", "enrolled", None)
    assert success(visit(scene.new.port, ADA, "verify", faces["white house"]))
    code, lines = scene.report(ADA, BEN, CY)
    assert code == 1 and lines[0] == f"over    {ADA}" and lines[3].startswith("1 of 3 people are over."), lines

    # The same person again, with chunks, as .NET sends; then somebody else in her name.
    assert success(visit(scene.proxy.port, ADA, "verify", faces["white house"], chunked=True))
    assert scene.next_entry(1, ADA) == ("verified", "agreed", None)
    assert not success(visit(scene.proxy.port, ADA, "verify", faces["other"]))
    assert scene.next_entry(2, ADA) == ("refused", "agreed", None)
    # Somebody in the name of one who is not over enrols nobody.
    assert not success(visit(scene.proxy.port, BEN, "verify", faces["speech"]))
    # Two visits at once.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: visit(scene.proxy.port, BEN, "verify", faces["other"]), range(2)))
    assert all(map(success, answers))
    until("both", lambda: len(scene.entries()) == 5)
    assert [entry["did"] for entry in scene.entries()[3:]] == ["enrolled", "agreed"], scene.entries()
    # Who is enrolled at the old service is enrolled at both.
    assert success(visit(scene.proxy.port, CY, "enroll", faces["speech"], faces["white house"]))
    assert scene.next_entry(5, CY) == ("enrolled", "enrolled", None)
    code, lines = scene.report(ADA, BEN, CY)
    assert code == 0 and lines[3] == ("3 of 3 people are over. On later visits both services agreed 3 times "
                                      "and differed 0 times."), lines


def differences_are_counted(scene, faces):
    """A stricter new service disagrees, and the client never knows."""
    scene.restart_new("--verification-threshold", "0.99")
    assert success(visit(scene.proxy.port, ADA, "verify", faces["portrait"]))
    assert scene.next_entry(6, ADA) == ("verified", "differed", None)
    scene.restart_new()


def is_passed_on(scene):
    """What clients see is what the old service says: headers, errors, preflights, no bodies."""
    origin = {"Origin": "https://www.example.org"}
    for method, path, headers in [
        ("GET", "/extension/status", BASIC),
        ("GET", f"/extension/isenrolled?bcid={ADA}&trait=face", BASIC),
        ("GET", "/extension/isenrolled?bcid=bws.112.99&trait=face", BASIC),
        ("GET", f"/extension/token?id={ID}&bcid=nonsense", BASIC),
        ("GET", f"/extension/token?id={ID}&bcid={ADA}", {}),
        ("GET", "/extension/verify", {"Authorization": "Bearer a.b.c", **origin}),
        ("HEAD", "/extension/status", BASIC),
        ("GET", "/extension/nothing", {}),
        ("OPTIONS", "/extension/verify", {**origin, "Access-Control-Request-Method": "GET"}),
        ("OPTIONS", "/extension/upload", {**origin, "Access-Control-Request-Method": "POST",
                                          "Access-Control-Request-Headers": "authorization"}),
    ]:
        directly = request(scene.old.port, method, path, headers=headers)
        through = request(scene.proxy.port, method, path, headers=headers)
        for answer in (directly, through):
            for own in ("date", "x-request-id", "content-length", "connection"):
                answer[1].pop(own, None)
        assert directly == through, (method, path, directly, through)
    # Who leaves in the middle of an upload leaves nothing behind, and others are served.
    with socket.create_connection(("127.0.0.1", scene.proxy.port)) as client:
        client.sendall(b"POST /extension/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ndata:image")
    until("a word", lambda: "not answered: the client has left" in (scene.work / "proxy.log").read_text())
    for length, expected in (("x", 400), ("-1", 400), (str(1 << 40), 413)):
        headers = {"Content-Length": length}
        status, headers, body = request(scene.proxy.port, "POST", "/extension/upload", headers=headers)
        assert status == expected and "Message" in json.loads(body), (status, body)
        assert headers["access-control-allow-origin"] == "*", headers


def new_is_down(scene, faces):
    """The client is served; the person comes over with the next visit."""
    lines = len(scene.entries())
    scene.new.stop()
    assert success(visit(scene.proxy.port, ADA, "verify", faces["speech"]))
    seen, did, why = scene.next_entry(lines, ADA)
    assert (seen, did) == ("verified", "failed") and "cannot be reached" in why, why
    assert request(scene.proxy.port, "DELETE", f"/extension/deleteclass?bcid={CY}", headers=BASIC)[0] == 200
    seen, did, why = scene.next_entry(lines + 1, CY)
    assert (seen, did) == ("deleted", "failed") and "cannot be reached" in why, why
    code, said = scene.report()
    assert code == 1 and "cannot be reached" in said[0], said
    scene.new = scene.service("new", port=scene.new.port)
    code, said = scene.report()
    assert code == 1 and any(line.startswith(f"DELETE  {CY}  ") for line in said), said
    # The deletion is repeated, as the client's own server may do at any time.
    path = f"/extension/deleteclass?bcid={CY.replace('.', '/')}"
    assert request(scene.proxy.port, "DELETE", path, headers=BASIC)[0] == 200
    assert scene.next_entry(lines + 2, CY) == ("deleted", "deleted", None)
    code, said = scene.report()
    assert code == 0 and f"deleted {CY}" in said, said


def darkened(port, picture):
    """The portrait of the picture, so dark that a person is known by it and not enrolled with it."""
    body = b"data:image/jpeg;base64," + base64.b64encode(picture)
    status, _, answer = request(port, "POST", "/extension/qualitycheck?full=false", body, BASIC)
    assert status == 200, answer
    bitmap = base64.b64decode(json.loads(answer)["ProcessedSample"].partition(",")[2])
    pixels = int.from_bytes(bitmap[10:14], "little")
    return bitmap[:pixels] + bytes(value // 12 for value in bitmap[pixels:])


def samples_are_refused(scene, faces):
    """The old service takes what the new one does not: at the upload, and at the enrolment."""
    dark = darkened(scene.old.port, faces["other"])
    for person, picture, flags, expected in [
        ("bws.112.21", faces["other"], ["--picture-pixels-max", "10000"], "answers upload with 400"),
        ("bws.112.22", dark, [], "answers enroll with LiveDetectionFailed"),
    ]:
        lines = len(scene.entries())
        assert success(visit(scene.old.port, person, "enroll", faces["other"]))
        scene.restart_new(*flags)
        assert success(visit(scene.proxy.port, person, "verify", picture))
        seen, did, why = scene.next_entry(lines, person)
        assert (seen, did) == ("verified", "failed") and expected in why, why
        code, said = scene.report()
        begin = f"not yet {person}  the new service {expected}"
        assert code == 1 and any(line.startswith(begin) for line in said), said


def secret_is_wrong(scene, faces):
    """Clients are served, and the reason stands in the log at once, and in the report."""
    lines = len(scene.entries())
    other = scene.side_by_side(secret="another+Secret/entirely=")
    until("a word", lambda: "answers status with 401" in (scene.work / "proxy.log").read_text())
    assert success(visit(other.port, ADA, "verify", faces["speech"]))
    seen, did, why = scene.next_entry(lines, ADA)
    assert (seen, did) == ("verified", "failed") and "401" in why, why
    other.stop()


def raw_service(answers):
    """A port at which whoever asks gets these bytes, by path, and then the end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client):
        with client, client.makefile("rb") as file:
            _, path, _ = file.readline().split(b" ")
            headers = http.client.parse_headers(file)
            file.read(int(headers.get("Content-Length", "0")))
            client.sendall(answers[path.decode().partition("?")[0]])

    def accept():
        while True:
            threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def raw_answer(port, path, head=b""):
    """Every byte of an answer."""
    with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


def bearer_of(claims):
    packed = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    return f"Authorization: Bearer e30.{packed}.x\r\n".encode()


def every_byte_goes_back(scene):
    """Reasons and headers in any bytes, twice and in any case; bodies that are packed, are no JSON or end too soon."""
    packed = gzip.compress(b'{"Success":false}', mtime=0)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
    answers = {
        "/extension/reason": b"HTTP/1.1 500 Ung\xfcltig, leider\r\nsEt-Cookie: a=\xe9\r\nSet-Cookie: b\r\n"
                             b"X-Empty: \r\nContent-Length: 3\r\n\r\n\x00\xff\r",
        "/extension/none": b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
        "/extension/moved": b"HTTP/1.1 302 Found\r\nLocation: https://example.org/\r\nContent-Length: 0\r\n\r\n",
        "/extension/identify": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                               % (len(packed), packed),
        "/extension/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "/extension/verify": whole % (16, b'{"Success":true}'),
        "/extension/enroll": whole % (8, b'{"Succes'),
        "/extension/half": whole % (900, b'{"Succ'),
    }
    lines, old = len(scene.entries()), raw_service(answers)
    proxy = scene.side_by_side(old=f"http://127.0.0.1:{old}", log="raw.log")
    for path in sorted(answers.keys() - {"/extension/half"}):
        assert raw_answer(proxy.port, path.encode()) == answers[path], path
    # Tokens that say nobody, something else or nothing; then one of a person, whose answer is cut.
    for claims in (b"{}", b'{"bcid":7}', b"[]", b"{", b"\xff", b""):
        for path in ("/extension/verify", "/extension/enroll"):
            assert raw_answer(proxy.port, path.encode(), bearer_of(claims)) == answers[path], claims
    assert not scene.entries()[lines:]
    bearer = bearer_of(b'{"bcid":"bws.112.31"}')
    assert raw_answer(proxy.port, b"/extension/enroll", bearer) == answers["/extension/enroll"]
    assert scene.next_entry(lines, "bws.112.31")[1:] == ("failed", "the old service does not answer in JSON")
    assert raw_answer(proxy.port, b"/extension/verify", bearer) == answers["/extension/verify"]
    assert scene.next_entry(lines + 1, "bws.112.31")[1:] == ("failed", "the samples did not come through here")
    # Half an answer is none.
    status, _, body = request(proxy.port, "GET", "/extension/half")
    assert status == 502 and "cannot be reached" in json.loads(body)["Message"], (status, body)
    # A body without an end is too large at some time.
    chunks = (b"x" * (1 << 20) for _ in range(70))
    try:
        headers = {"Transfer-Encoding": "chunked"}
        status, _, body = request(proxy.port, "POST", "/extension/upload", chunks, headers, True)
        assert status == 413 and "Message" in json.loads(body), (status, body)
    except ConnectionError:
        pass  # It is told so while it is still sending, and need not listen.
    assert raw_answer(proxy.port, b"/extension/none") == answers["/extension/none"]
    proxy.stop()


def new_is_slow(scene, faces):
    """A new service that takes calls and never answers keeps no client waiting."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = scene.side_by_side(new=f"http://127.0.0.1:{silent.getsockname()[1]}")
        for _ in range(2):
            assert success(visit(proxy.port, ADA, "verify", faces["speech"]))
        lines = len(scene.entries())
    # Nobody is behind that port any more.
    until("both", lambda: len(scene.entries()) == lines + 2)
    assert all("cannot be reached" in entry["why"] for entry in scene.entries()[lines:]), scene.entries()
    proxy.stop()


class Strange(http.server.BaseHTTPRequestHandler):
    """A service, or what stands in front of it, that answers everything with a page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/extension/upload"):
            self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<html>Success: true</html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_):
        pass


def answers_are_no_json(scene, faces):
    """XML that a client wants, and pages that nobody wants, at either side."""
    lines = len(scene.entries())
    status, headers, body = visit(scene.proxy.port, ADA, "verify", faces["speech"], accept="application/xml")
    assert status == 200 and b"<Success>true</Success>" in body, body
    assert scene.next_entry(lines, ADA) == ("verify", "failed", "the old service does not answer in JSON")

    strange = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange)
    threading.Thread(target=strange.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{strange.server_address[1]}"
    old_is_strange = scene.side_by_side(old=url)
    bearer = token_for(scene.old.port, ADA, "verify")
    for path in ("/extension/verify", "/extension/upload?index=1"):
        for method in ("GET", "POST"):
            status, headers, body = request(old_is_strange.port, method, path, b"x", headers=bearer)
            assert (status, headers["content-type"], body) == (200, "text/html", b"<html>Success: true</html>"), body
    old_is_strange.stop()
    lines = len(scene.entries())
    new_is_strange = scene.side_by_side(new=url)
    assert success(visit(new_is_strange.port, "bws.112.21", "verify", faces["other"]))
    seen, did, why = scene.next_entry(lines, "bws.112.21")
    assert did == "failed" and "JSON" in why, why
    new_is_strange.stop()
    strange.shutdown()


def old_is_down(scene):
    """The client is told in JSON, which pages of other origins can read."""
    scene.old.stop()
    status, headers, body = request(scene.proxy.port, "GET", f"/extension/token?id={ID}&bcid={ADA}", headers=BASIC)
    assert status == 502 and "cannot be reached" in json.loads(body)["Message"], body
    assert headers["access-control-allow-origin"] == "*" and headers["content-type"] == "application/json", headers
    scene.old = scene.service("old", port=scene.old.port)
    assert request(scene.proxy.port, "GET", "/extension/status", headers=BASIC)[0] == 200


def old_speaks_tls(scene, faces):
    """As the vendor's does: with a certificate that is trusted, and not without."""
    name, certificate, key = "localhost", scene.work / "cert.pem", scene.work / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    scene.old.stop()
    scene.old = scene.service("old", "--tls-cert", str(certificate), "--tls-key", str(key))
    url = f"https://{name}:{scene.old.port}"
    trusting = scene.side_by_side(old=url, flags=["--set", f"ssl_verify_upstream_trusted_ca={certificate}"])
    assert success(visit(trusting.port, ADA, "verify", faces["speech"]))
    trusting.stop()
    wary = scene.side_by_side(old=url)
    status, _, body = request(wary.port, "GET", "/extension/status", headers=BASIC)
    assert status == 502 and "ertificate verify failed" in json.loads(body)["Message"], body
    wary.stop()
    scene.old.stop()
    scene.old = scene.service("old")
    scene.proxy.stop()
    scene.proxy = scene.side_by_side()


def stops_in_order(scene, faces):
    """What is in the queue when the proxy is told to stop is still done."""
    lines = len(scene.entries())
    for _ in range(3):
        assert success(visit(scene.proxy.port, BEN, "verify", faces["other"]))
    scene.proxy.stop()
    assert [entry["did"] for entry in scene.entries()[lines:]] == ["agreed"] * 3, scene.entries()[lines:]
    # After the switch the roles are exchanged, so that the way back stays open: who is enrolled here is enrolled there.
    scene.proxy = scene.side_by_side(old=scene.new.url, new=scene.old.url)
    lines = len(scene.entries())
    assert success(visit(scene.proxy.port, "bws.113.1", "enroll", faces["portrait"]))
    assert scene.next_entry(lines, "bws.113.1") == ("enrolled", "enrolled", None)
    assert success(visit(scene.old.port, "bws.113.1", "verify", faces["speech"]))
    scene.proxy.stop()


def is_told_what_is_wrong(scene):
    """Whoever calls it wrongly is told so, and /extension may stand at the new address."""
    proxy, people = ["mitmdump", "-q", "-s", scene.proxy_program, "--mode"], [sys.executable, scene.people_program]
    old = f"reverse:{scene.old.url}@127.0.0.1:0"
    for command, wrong, words in [
        (proxy + [old], {"NEW": ""}, "NEW, an address"),
        (proxy + [old], {"NEW": "bws.bioid.com"}, "NEW, an address"),
        (proxy + [old], {"NEW_APP_SECRET": ""}, "must be set"),
        (proxy + [old], {"JOURNAL": "/no/such/journal"}, "/no/such/journal"),
        (proxy + ["reverse:ftp://x@127.0.0.1:0"], {}, "ftp"),
        (proxy + [f"reverse:{scene.old.url}@127.0.0.1:{scene.new.port}"], {}, "address already in use"),
        (people, {"NEW": "ftp://x"}, "NEW, an address"),
        (people + ["/nowhere"], {}, "/nowhere"),
        (people + ["/nowhere", "x"], {}, "argument"),
    ]:
        done = subprocess.run(command, capture_output=True, text=True,
                              env={**os.environ, **scene.environment(), **wrong}, timeout=WAIT_SECONDS)
        assert done.returncode == 1 and words in done.stderr + done.stdout, (command, wrong, done)
    proxy = scene.side_by_side(new=f"{scene.new.url}/extension/")
    assert request(proxy.port, "GET", "/extension/status", headers=BASIC)[0] == 200
    proxy.stop()


def nothing_is_secret(scene):
    """Neither the log nor the journal has a secret, a token or a picture."""
    for path in (scene.work / "proxy.log", scene.work / "raw.log", scene.journal):
        text = path.read_text()
        assert text, path
        for secret in (SECRET, "another+Secret", "e30.", BASIC["Authorization"][6:], "eyJ", "base64", "?"):
            assert secret not in text, (path, secret)
        assert ("not learned" in text) == (path.name == "raw.log"), path


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--vultus", "--proxy", "--faces"):
        parser.add_argument(flag, required=True, type=pathlib.Path)
    options = parser.parse_args()
    names = {"portrait": "obama-portrait", "speech": "obama-speech", "white house": "obama-white-house",
             "other": "biden-portrait"}
    faces = {name: (options.faces / f"{file}.jpg").read_bytes() for name, file in names.items()}
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(options, pathlib.Path(folder))
        try:
            for act in (comes_over, differences_are_counted, is_passed_on, new_is_down, samples_are_refused,
                        secret_is_wrong, answers_are_no_json, every_byte_goes_back, new_is_slow, old_is_down,
                        old_speaks_tls, stops_in_order, is_told_what_is_wrong, nothing_is_secret):
                began = time.monotonic()
                act(*[scene, faces][:act.__code__.co_argcount])
                print(f"side by side: {act.__doc__.splitlines()[0]} ({time.monotonic() - began:.1f} s)", flush=True)
        except BaseException:
            for log in ("proxy.log", "journal.jsonl", "new.log"):
                print(f"== {log}", (scene.work / log).read_text()[-3000:], sep="\n", file=sys.stderr)
            raise
        finally:
            scene.stop()


if __name__ == "__main__":
    main()
