#!/usr/bin/env python3
"""Starts the service, an integrator's web server on another origin, and a browser, and checks what the page sees.

The browser is driven over the plain WebDriver protocol. Standard library only. See ../browser.sh.
"""

import argparse
import base64
import contextlib
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).parent
WAIT_SECONDS = 60


class Service:
    """The real program on a temporary data directory, with one app."""

    def __init__(self, vultus, directory):
        data = ["--data-dir", str(directory / "data")]
        verb = [vultus, "app", "create", "--name", "Integrator ~ 1?", "--storage", "bws", "--json"]
        self.app = json.loads(subprocess.run(verb + data, check=True, capture_output=True).stdout)
        self.log_path = directory / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [vultus, "serve", "--listen", "127.0.0.1:0"] + data, stdout=subprocess.PIPE, stderr=log
            )
        self.url = json.loads(self.process.stdout.readline())["listening"]
        self.api = self.url + "/extension/"

    def ask(self, path, body=None):
        """A call of the integrator's own server. Returns status and text."""
        pair = f"{self.app['id']}:{self.app['secret']}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(pair).decode(), "Content-Type": "text/plain"}
        data = None if body is None else body.encode()
        request = urllib.request.Request(self.api + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def token(self, **parameters):
        status, text = self.ask("token?" + urllib.parse.urlencode({"id": self.app["id"], **parameters}))
        check(status == 200, f"no token: {status} {text}")
        return text

    def requests(self):
        """What was asked of the service so far: method, path and status of each request."""
        log = re.sub(r"\x1b\[[0-9;]*m", "", self.log_path.read_text())
        return re.findall(r"method=(\w+) path=\"([^\"]+)\".*? answered status=(\d+)", log)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Pages(http.server.BaseHTTPRequestHandler):
    """The integrator's own web server: the page, jQuery, and the pictures that stand for a camera."""

    files = {}
    folders = []

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        file = self.files.get(path)
        if path.startswith("/pictures/"):
            name = path.removeprefix("/pictures/")
            file = next((folder / name for folder in self.folders if (folder / name).is_file()), None)
        if file is None:
            return self.send_error(404)
        kinds = {".html": "text/html", ".js": "text/javascript", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
        self.send_response(200)
        self.send_header("Content-Type", kinds[file.suffix])
        self.end_headers()
        self.wfile.write(file.read_bytes())

    def log_message(self, *_):
        pass


class Browser:
    """Chromium behind its driver."""

    def __init__(self, directory, *more):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                break
        self.url = f"http://127.0.0.1:{found[1]}/session"
        threading.Thread(target=self.driver.stdout.read, daemon=True).start()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
                     "--disable-background-networking", "--no-first-run", "--window-size=900,700", f"--user-data-dir={directory / 'browser'}", *more]
        capabilities = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}
        capabilities["goog:loggingPrefs"] = {"browser": "ALL"}
        session = self.send("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self.url += "/" + session["sessionId"]

    def send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            sys.exit(f"the browser refused {path}: {error.read().decode()[:500]}")

    def run(self, url):
        """Opens a page and returns its report when it is done."""
        self.send("POST", "/url", {"url": url})
        script = {"script": "return window.report;", "args": []}
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            report = self.send("POST", "/execute/sync", script)
            if report and report["done"]:
                return report
            time.sleep(0.05)
        log = self.send("POST", "/se/log", {"type": "browser"})
        sys.exit(f"the page is not done: {report}; the browser says {log}")

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.send("GET", "/screenshot")))

    def stop(self):
        with contextlib.suppress(Exception):
            self.send("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


class Run:
    """Visits of the page, each with a token of its own."""

    def __init__(self, service, browser, origin, screenshots):
        self.service, self.browser, self.origin, self.screenshots = service, browser, origin, screenshots
        self.visits = 0

    def visit(self, token, *tries, trait="FACE", parameters=""):
        """What the page reports of using `token` with these pictures. Several tries follow one another."""
        query = {"api": self.service.api, "access_token": token, "trait": trait, "parameters": parameters}
        query["tries"] = ";".join(",".join(names) for names in tries)
        report = self.browser.run(f"{self.origin}/?" + urllib.parse.urlencode(query))
        self.visits += 1
        if self.screenshots:
            self.browser.screenshot(self.screenshots / f"{self.visits:02}.png")
        return report


def check(condition, why):
    if not condition:
        sys.exit(f"FAILED: {why}")


def equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected}, found {found}")


def same_but_signature(token):
    """The token with another signature; its claims can still be read."""
    head, payload, signature = token.split(".")
    return f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def without_liveness(run):
    service = run.service
    for person, name in [(1, "obama-portrait.jpg"), (2, "biden-portrait.jpg"), (3, "franck_02159.jpg")]:
        token = service.token(bcid=f"bws.112.{person}", task="enroll", livedetection="false")
        report = run.visit(token, [name])
        equal(report["claims"]["task"], 0x23, "the flags of an enrolment")
        equal(report["claims"]["bcid"], f"bws/112/{person}", "the class in the token")
        equal(report["claims"]["clnt"], "Integrator ~ 1?", "a name with characters that base64url could trip over")
        check(report["uploads"][0]["bytes"] > 180_000, "the canvas gave a smaller picture than cameras do")
        check(isinstance(report["uploads"][0]["data"].get("Warnings"), list), f"no warnings: {report}")
        equal((report["tasks"], report["errors"]), ([{"Success": True}], []), f"enrolment of {name}")

    token = service.token(bcid="bws.112.0", task="identify", livedetection="false")
    report = run.visit(token, ["obama-white-house.jpg", "obama-speech.jpg"], trait="Face,Periocular")
    equal(report["errors"], [], "errors of an identification")
    matches = report["tasks"][0]["Matches"]
    equal([match["ClassID"] for match in matches][:1], [1], "the best match")
    equal(len(matches), 3, "matches without a limit")
    scores = [match["Score"] for match in matches]
    check(1 >= scores[0] > 0.5 > scores[1] >= scores[2] >= 0, f"scores {scores}")
    equal([sorted(match) for match in matches], [["ClassID", "Partition", "Score", "Storage"]] * 3, "names")
    # In the letter case of one client, and with a token whose first try is over.
    report = run.visit(token, ["biden-portrait.jpg"], trait="", parameters="?maxresults=1")
    equal([match["ClassID"] for match in report["tasks"][0]["Matches"]], [2], "the only match asked for")


def liveness(run):
    """With a head that moves: the pictures are frames of one video, which shows one man talking."""
    service = run.service
    live = {"Success": True}
    failed = {"Success": False, "Error": "LiveDetectionFailed"}
    token = service.token(bcid="bws.113.7", task="enroll")
    report = run.visit(token, ["franck_01829.jpg", "franck_02683.jpg", "franck_04000.jpg"])
    equal((report["claims"]["task"], report["errors"]), (0x123, []), "an enrolment that demands liveness")
    equal(report["tasks"], [live], "enrolment with three pictures")

    # Verification is what a token is for unless it says otherwise. A head turns by 6 degrees until the page
    # takes its second picture; before that somebody holds up a photograph.
    token = service.token(bcid="bws.113.7")
    report = run.visit(token, ["franck_04035.jpg"] * 2, ["franck_04035.jpg", "franck_02221.jpg"])
    equal((report["tasks"], report["errors"]), ([failed, live], []), "two tries of a verification")
    status, text = service.ask("result?access_token=" + token)
    result = {"Success": True, "Action": "verification", "BCID": "bws/113/7"}
    equal((status, json.loads(text)), (200, result), "what the integrator's server is told")
    report = run.visit(service.token(bcid="bws.113.7"), ["obama-portrait.jpg", "obama-white-house.jpg"])
    equal(report["tasks"], [{"Success": False}], "somebody else, alive, is not recognised")
    token = service.token(bcid="xxx", task="livenessdetection")
    report = run.visit(token, ["franck_02159.jpg", "franck_02888.jpg"])
    equal((report["claims"]["task"], report["tasks"]), (0x183, [live]), "liveness alone")
    token = service.token(bcid="bws.113.0", task="identify")
    report = run.visit(token, ["franck_02159.jpg", "franck_02888.jpg"])
    equal([match["ClassID"] for match in report["tasks"][0]["Matches"]], [7], "who it is")


def poses(run):
    """How far the head is turned to the left and up in each picture as the page sends it, mirrored."""
    found = {}
    names = [path.name for folder in Pages.folders for path in sorted(folder.glob("franck_*.jpg"))]
    for name in names:
        path = next(folder / name for folder in Pages.folders if (folder / name).is_file())
        picture = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
        _, text = run.service.ask("passivelivedetection?state=details", picture)
        sample = json.loads(text)["Liveness"]["Samples"][0]
        found[name] = (-sample["Yaw"], sample["Pitch"])
    return found


def moves(poses, sequence, names=()):
    """Different pictures between which the head moves as the sequence demands, or nothing."""
    if len(names) > len(sequence):
        return list(names)
    for name, (yaw, pitch) in poses.items():
        if name in names:
            continue
        if names:
            before = poses[names[-1]]
            left, up = yaw - before[0], pitch - before[1]
            along, across = {
                "left": (left, up), "right": (-left, up), "up": (up, left), "down": (-up, left)
            }[sequence[len(names) - 1]]
            # With room to spare: the page cuts and shrinks the pictures.
            if along < 5 or along < 1.5 * abs(across):
                continue
        path = moves(poses, sequence, (*names, name))
        if path:
            return path
    return None


def challenges(run):
    """The page shows arrows, and the head follows them, or does not."""
    service, found = run.service, poses(run)
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    # There are eleven pictures: not every sequence can be made of them.
    for _ in range(200):
        token = service.token(bcid="bws.113.7", challenge="true", challenges="2", maxtries="2")
        payload = json.loads(base64.b64decode(token.split(".")[1] + "=="))
        first, second = json.loads(payload["challenge"])
        wrong = moves(found, [opposite[direction] for direction in first])
        right = moves(found, second)
        # Neither sequence of the token may be what is shown at first.
        if wrong and right and [opposite[direction] for direction in first] != second:
            break
    else:
        sys.exit("no sequence can be made of the pictures")
    report = run.visit(token, wrong, right)
    refused = {"Success": False, "Error": "ChallengeResponseFailed"}
    equal(report["errors"], [], "errors of a challenge")
    equal(report["tasks"], [refused, {"Success": True}], f"not {first}, but {second}: {wrong}, {right}")


def refusals(run):
    """What the page sees when a picture or a call is refused: never less than the reason phrase."""
    service = run.service
    token = service.token(bcid="bws.112.0", task="identify", livedetection="false", maxtries="2")
    report = run.visit(token, ["wall.svg"])
    equal(report["uploads"][0]["data"]["Error"], "NoFaceFound", "a wall")
    report = run.visit(token, ["two.svg"])
    equal(report["uploads"][0]["data"]["Error"], "MultipleFacesFound", "two people")
    equal((report["tasks"], report["errors"]), ([], []), "a refused first picture is all there is")

    def fails(report, status, phrase, words):
        equal(report["tasks"], [], f"answers beside a {status}")
        error = report["errors"][0]
        # A status of 0 would mean that CORS headers are missing on the error.
        equal((error["status"], error["phrase"]), (status, phrase), "what jQuery tells of an error")
        check(words in error["body"]["Message"], f"{status}: {error['body']}")

    # No try is used up by a call without samples.
    for _ in range(3):
        fails(run.visit(token, []), 400, "Bad Request", "no samples")
    fails(run.visit(token, [], parameters="?maxResults=0"), 400, "Bad Request", "maxResults")
    # A refused later picture: the page calls the task just to be rid of the first one, which costs a try.
    report = run.visit(token, ["obama-speech.jpg", "wall.svg"])
    accepted = sorted((upload["index"], upload["data"]["Accepted"]) for upload in report["uploads"])
    equal(accepted, [(1, True), (2, False)], "uploads")
    equal((report["tasks"][0]["Success"], report["errors"]), (True, []), "the call that clears the store")
    equal(run.visit(token, ["obama-speech.jpg"])["errors"], [], "the second try")
    fails(run.visit(token, ["obama-speech.jpg"]), 403, "Forbidden", "attempts")
    stranger = same_but_signature(service.token(bcid="bws.112.0", task="identify", livedetection="false"))
    fails(run.visit(stranger, ["obama-speech.jpg"]), 401, "Unauthorized", "")
    fails(run.visit(stranger, []), 401, "Unauthorized", "")


def preflights(run):
    """The browser asked before each kind of call, without credentials, and was answered."""
    requests = run.service.requests()
    asked = [(path, int(status)) for method, path, status in requests if method == "OPTIONS"]
    for name in ["upload", "identify", "enroll", "verify", "livenessdetection"]:
        answers = [status for path, status in asked if path == f"/extension/{name}"]
        check(answers and all(200 <= status < 300 for status in answers), f"preflights of {name}: {answers}")
    return len(asked)


def pictures(directory):
    """A wall, and two people side by side, made by the browser's own means: SVG is not uploaded, canvas is."""
    faces = HERE.parent.parent / "data/faces"
    data = {name: base64.b64encode((faces / f"{name}-portrait.jpg").read_bytes()).decode() for name in ["obama", "biden"]}
    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="960">{}</svg>'
    two = "".join(
        f'<image href="data:image/jpeg;base64,{data[name]}" x="{x}" y="300" width="360" height="480"/>'
        for name, x in [("obama", 0), ("biden", 360)]
    )
    (directory / "two.svg").write_text(frame.format(two))
    (directory / "wall.svg").write_text(frame.format('<rect width="720" height="960" fill="#998877"/>'))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vultus", required=True)
    parser.add_argument("--jquery", required=True, type=pathlib.Path)
    parser.add_argument("--pictures", required=True, nargs="+", type=pathlib.Path)
    parser.add_argument("--screenshots", type=lambda text: pathlib.Path(text) if text else None)
    arguments = parser.parse_args()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pictures(directory)
        Pages.files = {"/": HERE / "page.html", "/page.js": HERE / "page.js", "/jquery.js": arguments.jquery}
        Pages.folders = [*arguments.pictures, directory]
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        stack.callback(web.shutdown)
        service = Service(arguments.vultus, directory)
        stack.callback(service.stop)
        browser = Browser(directory)
        stack.callback(browser.stop)
        run = Run(service, browser, f"http://localhost:{web.server_port}", arguments.screenshots)
        without_liveness(run)
        liveness(run)
        challenges(run)
        refusals(run)
        asked = preflights(run)
        seconds = time.monotonic() - started
        print(f"{run.visits} visits of the page, {asked} preflights, {seconds:.0f} s: all as expected")


if __name__ == "__main__":
    main()
