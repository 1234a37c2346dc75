#!/usr/bin/env python3
"""Asks the service the same directly, through nginx and through Caddy, and compares the answers.

Standard library only. See ../proxies.sh.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HOST = "faces.example.org"
WAIT_SECONDS = 60
BODY_BYTES_MAX = 20 << 20
# Of these, proxies have their own; the others must come through as they are.
OWN_HEADERS = {"date", "server", "connection", "keep-alive", "alt-svc", "transfer-encoding", "content-length",
               "x-request-id", "via"}


def free_port():
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, log):
    """Until somebody listens."""
    for _ in range(WAIT_SECONDS * 20):
        if process.poll() is not None:
            sys.exit(f"it ended at once: {log.read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nobody listens on port {port}: {log.read_text()}")


class Way:
    """A way to the service: directly, or through a proxy that speaks TLS."""

    def __init__(self, name, port, is_tls):
        self.name, self.port, self.is_tls = name, port, is_tls

    def connection(self):
        if not self.is_tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        # The certificate is made for this test alone.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=WAIT_SECONDS)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS)
        connection.sock = context.wrap_socket(plain, server_hostname=HOST)
        return connection

    def ask(self, method, path, body=None, headers=None):
        """Status, reason, headers and body of the answer."""
        connection = self.connection()
        try:
            # Who is refused before all is sent may find the connection closed, with the answer in it.
            with contextlib.suppress(OSError):
                connection.request(method, path, body, {"Host": HOST, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.reason, dict(
                (name.lower(), value) for name, value in answer.getheaders()), answer.read()
        finally:
            connection.close()


def picture_of(path, size):
    """The picture, as large as that by comments in it, which every decoder passes over."""
    jpeg = path.read_bytes()
    noise = random.Random(1)
    comments = b""
    while len(jpeg) + len(comments) < size:
        comments += b"\xff\xfe\xff\xff" + noise.randbytes(0xfffd)
    return jpeg[:2] + comments + jpeg[2:]


class Client:
    """What a classic client does, and one of /v1, over one way. Keeps what came back."""

    def __init__(self, way, app, key, large):
        self.way, self.app, self.key, self.large = way, app, key, large
        self.answers = []

    def call(self, what, method, path, body=None, headers=None, volatile=False):
        status, reason, found, body = self.way.ask(method, path, body, headers)
        kept = {name: value for name, value in found.items() if name not in OWN_HEADERS}
        self.answers.append((what, status, reason, kept, None if volatile else body))
        return status, found, body

    def basic(self):
        pair = f"{self.app['id']}:{self.app['secret']}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}

    def token(self, bcid, task):
        path = f"/extension/token?id={self.app['id']}&bcid={bcid}&task={task}&livedetection=false"
        status, _, body = self.call(f"token to {task}", "GET", path, headers=self.basic(), volatile=True)
        assert status == 200, (status, body)
        return {"Authorization": "Bearer " + body.decode(), "Origin": "https://www.example.org"}

    def upload(self, token, picture):
        body = b"data:image/jpeg;base64," + base64.b64encode(picture)
        headers = {"Content-Type": "text/plain", **token}
        return self.call(f"upload of {len(body)} bytes", "POST", "/extension/upload", body, headers)

    def run(self):
        self.classic()
        self.errors()
        self.streaming()
        return self.answers

    def classic(self):
        preflight = {"Origin": "https://www.example.org", "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "authorization,content-type"}
        status, headers, _ = self.call("preflight", "OPTIONS", "/extension/upload", headers=preflight)
        assert status in (200, 204) and "access-control-allow-origin" in headers, (status, headers)
        token = self.token("bws.112.4711", "enroll")
        status, headers, body = self.upload(token, self.large[0])
        assert (status, json.loads(body)["Accepted"]) == (200, True), body
        assert "access-control-allow-origin" in headers, headers
        status, _, body = self.call("enroll", "GET", "/extension/enroll", headers=token)
        assert json.loads(body)["Success"] is True, body
        token = self.token("bws.112.0", "identify")
        self.upload(token, self.large[1])
        status, _, body = self.call("identify", "GET", "/extension/identify", headers=token)
        assert json.loads(body)["Matches"][0]["ClassID"] == 4711, body

    def errors(self):
        wrong = {"Authorization": "Basic " + base64.b64encode(b"nobody:x").decode(), "Origin": "https://a.org"}
        path = "/extension/token?id=nobody&bcid=bws.112.1"
        status, headers, body = self.call("wrong secret", "GET", path, headers=wrong)
        assert status == 401 and "access-control-allow-origin" in headers, (status, headers)
        assert "Message" in json.loads(body), body
        for what, method, path, body, headers, expected in [
            ("no token", "POST", "/extension/upload", b"x", {}, 401),
            ("a token that is none", "GET", "/extension/enroll", None, {"Authorization": "Bearer x"}, 401),
            ("no such call", "GET", "/extension/nothing", None, {}, 404),
            ("a wrong method", "DELETE", "/extension/token", None, {}, 405),
            ("no key", "GET", "/v1/partitions", None, {}, 401),
            ("no such problem", "GET", "/v1/nothing", None, {}, 404),
            ("alive", "GET", "/livez", None, {}, 200),
            ("ready", "GET", "/readyz", None, {}, 200),
        ]:
            status, _, _ = self.call(what, method, path, body, headers)
            assert status == expected, (what, status)
        token = self.token("bws.112.4711", "enroll")
        status, _, body = self.upload(token, b"no picture")
        # More than the service takes, which is told by the service: in JSON, for pages, too.
        status, headers, body = self.call("too large", "POST", "/extension/upload", b"x" * (BODY_BYTES_MAX + 1), token)
        assert status == 413 and "Message" in json.loads(body), (status, body)
        assert "access-control-allow-origin" in headers, headers

    def streaming(self):
        noise = random.Random(2)
        embeddings = [[noise.gauss(0, 1) for _ in range(128)] for _ in range(500)]
        body = json.dumps({"encoder": "sface@2021dec", "embeddings": embeddings, "limit": 5, "threshold": -1})
        headers = {"Authorization": "Bearer " + self.key, "Content-Type": "application/json"}
        status, headers, body = self.call(
            "identify-many", "POST", "/v1/partitions/bws.112/identify-many", body, headers)
        lines = [json.loads(line) for line in body.splitlines()]
        assert status == 200 and headers["content-type"].startswith("application/x-ndjson"), (status, body[:500])
        assert [line["probe"] for line in lines] == list(range(500)), body[:500]
        assert all(line["matches"] for line in lines)


def nginx(work, packaging, port, service):
    """The example, with other addresses and paths."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={HOST}", "-keyout", work / "key.pem", "-out", work / "chain.pem"],
        check=True, capture_output=True)
    text = replaced((packaging / "nginx.conf").read_text(), {
        "127.0.0.1:8040": f"127.0.0.1:{service}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/vultus/tls/fullchain.pem": str(work / "chain.pem"),
        "/etc/vultus/tls/privkey.pem": str(work / "key.pem"),
    })
    conf = work / "nginx.conf"
    conf.write_text(text)
    own = f"daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log warn;"
    if os.geteuid() == 0:
        # So that it can write what it keeps for a moment beside the rest.
        own += " user root;"
    return ["nginx", "-e", str(work / "nginx.log"), "-p", str(work), "-c", str(conf), "-g", own]


def caddy(work, packaging, port, service):
    """The example, with other addresses, and certificates of its own making."""
    text = replaced((packaging / "Caddyfile").read_text(), {
        "127.0.0.1:8040": f"127.0.0.1:{service}",
        f"\n{HOST} {{": f"\n{HOST}:{port} {{",
    })
    conf = work / "Caddyfile"
    conf.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n\tlocal_certs\n\tskip_install_trust\n}\n" + text)
    return ["caddy", "run", "--config", str(conf), "--adapter", "caddyfile"]


def replaced(text, parts):
    for part, other in parts.items():
        if part not in text:
            sys.exit(f"the example has no `{part}` any more")
        text = text.replace(part, other)
    return text


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--vultus", "--packaging", "--faces"):
        parser.add_argument(flag, required=True, type=pathlib.Path)
    options = parser.parse_args()
    large = [picture_of(options.faces / name, 2_000_000) for name in ("obama-portrait.jpg", "obama-speech.jpg")]
    with tempfile.TemporaryDirectory() as folder:
        failed = compare(options, pathlib.Path(folder), large)
    sys.exit(1 if failed else 0)


def compare(options, work, large):
    """How many answers through a proxy are not those of the service."""
    vultus, data = str(options.vultus), ["--data-dir", str(work / "data")]

    def made(*verb):
        return json.loads(subprocess.run([vultus, *verb, "--json", *data], check=True, capture_output=True).stdout)

    app = made("app", "create", "--name", "client", "--storage", "bws")
    key = made("key", "create", "--name", "client", "--storage", "bws", "--scopes", "enroll,identify,read,embeddings,scores")["key"]
    processes = []

    def start(command, name, environment=None):
        log = work / f"{name}.out"
        process = subprocess.Popen(command, stdout=subprocess.PIPE if name == "vultus" else open(log, "wb"),
                                   stderr=open(log, "ab"), env={**os.environ, **(environment or {})})
        processes.append(process)
        return process, log

    try:
        service, log = start([vultus, "serve", "--listen", "127.0.0.1:0", *data], "vultus")
        line = service.stdout.readline()
        if not line:
            sys.exit(log.read_text())
        direct = Way("directly", int(json.loads(line)["listening"].rsplit(":", 1)[1]), False)
        expected = Client(direct, app, key, large).run()
        failed = 0
        for name, command in (("nginx", nginx), ("caddy", caddy)):
            port = free_port()
            home = {"HOME": str(work), "XDG_DATA_HOME": str(work / "share"), "XDG_CONFIG_HOME": str(work / "config")}
            process, log = start(command(work, options.packaging, port, direct.port), name, home)
            wait_for(port, process, log)
            found = Client(Way(name, port, True), app, key, large).run()
            failed += differences(name, expected, found)
            process.terminate()
            process.wait(WAIT_SECONDS)
        return failed
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait(WAIT_SECONDS)


def differences(name, expected, found):
    """Tells every answer that differs."""
    failed = 0
    assert len(expected) == len(found)
    for one, other in zip(expected, found):
        if steady(one) == steady(other):
            print(f"{name}: {one[0]}: {one[1]} {one[2]}, as directly")
        else:
            failed += 1
            print(f"{name}: {one[0]}: DIFFERS\n  directly {short(one)}\n  found    {short(other)}")
    return failed


def steady(answer):
    """Without what is another one in every run: which template is which, and what was enrolled before."""
    what, status, reason, headers, body = answer
    if body is not None:
        body = re.sub(rb'"(Score|similarity|score)":[0-9.e-]+', b"", body)
    # The older name, which Go has.
    reason = reason.replace("Request Entity Too Large", "Payload Too Large")
    return what, status, reason, headers, body


def short(answer):
    return [part if not isinstance(part, bytes) else part[:200] for part in answer[1:]]


if __name__ == "__main__":
    main()
