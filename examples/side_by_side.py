#!/usr/bin/env python3
"""Two services of the BWS Web API side by side: the old one answers, and the new one learns.

    export NEW_APP_ID=... NEW_APP_SECRET=...
    side_by_side.py serve https://bws.bioid.com http://127.0.0.1:8040     # OLD NEW
    side_by_side.py report http://127.0.0.1:8040 [PEOPLE]                 # a file, a BCID a line

Clients are pointed at this proxy. Every call goes to the old service and its answer goes back as it
is, so that nothing that a client sees depends on the new one. Behind that: whoever is verified or
enrolled is enrolled at the new service with the same samples; whoever is enrolled there already is
verified at both, which shows whether they agree; whoever is deleted is deleted there, too. `report`
says who is over and who is not yet, and why. docs/migration.md says how to go about it.

It has more than a page of code, since clients must not notice it: bodies in chunks, deletions that
keep their place behind enrolments, and a new service that is gone are all seen to.

LISTEN (127.0.0.1:8050) and JOURNAL (side_by_side.jsonl) may be set. Standard library only. The
journal has numbers of people and reasons; neither it nor the log has anything that is secret.
"""
import base64, collections, json, os, queue, re, signal, sys, threading, time  # noqa: E401
from http.client import HTTPConnection, HTTPException, HTTPSConnection, responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

BODY_BYTES_MAX, TOKENS_MAX, TOKEN_SECONDS, QUEUE_MAX = 64 << 20, 200, 600, 200
JOURNAL = os.environ.get("JOURNAL", "side_by_side.jsonl")
ID, SECRET = os.environ.get("NEW_APP_ID", ""), os.environ.get("NEW_APP_SECRET", "")
TASKS = {"enroll", "verify", "identify", "livenessdetection"}
# What belongs to one connection is not passed on.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade"}
# An answer that is packed could not be read.
OURS = HOP | {"host", "expect", "accept-encoding", "x-forwarded-for"}


class NotDone(Exception):
    """Why the new service did not do what the old one did."""


def ask(service, method, path, headers, body=None):
    """Status, reason, headers and body of whatever the service answers."""
    url = urlsplit(service)
    connection = (HTTPSConnection if url.scheme == "https" else HTTPConnection)(url.netloc, timeout=60)
    try:
        connection.request(method, url.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.getheaders(), answer.read()
    finally:
        connection.close()


def members(body):
    """What an answer in JSON has; nothing if it is something else, such as the page of a proxy."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def new(service, method, call, query, bearer=None, body=None, headers=None, also=None):
    """Status and body of what the new service answers, if the status is 200 or `also`."""
    basic = "Basic " + base64.b64encode(f"{ID}:{SECRET}".encode()).decode()
    headers = {**(headers or {}), "Authorization": bearer or basic}
    try:
        status, reason, _, answer = ask(service, method, f"/extension/{call}?{urlencode(query)}", headers, body)
    except (OSError, HTTPException) as why:
        raise NotDone(f"the new service cannot be reached ({type(why).__name__})") from None
    if status not in (200, also):
        raise NotDone(f"the new service answers {call} with {status} {members(answer).get('Message', reason)}")
    return status, answer


def is_enrolled(service, person):
    return new(service, "GET", "isenrolled", {"bcid": person, "trait": "face"}, also=404)[0] == 200


def follow(service, seen, person, samples):
    """Does what the old service did: what came of it, and a remark."""
    if seen == "deleted":
        new(service, "DELETE", "deleteclass", {"bcid": person})
        return "deleted", None
    known = is_enrolled(service, person)
    if seen == "refused" and not known:
        return None, None
    # Live or not is what the old service has decided. What both recognise makes the template better.
    task = "verify" if known and seen != "enrolled" else "enroll"
    query = {"id": ID, "bcid": person, "task": task, "livedetection": "false", "autoenroll": seen == "verified"}
    bearer, refused = "Bearer " + new(service, "GET", "token", query)[1].decode(), []
    for query, headers, body in samples:
        said = members(new(service, "POST", "upload", query, bearer, body, headers)[1])
        if said.get("Accepted") is not True:
            refused.append(said.get("Error", "no JSON"))
    if len(refused) == len(samples):
        raise NotDone(f"the new service takes no sample: {', '.join(sorted(set(refused)))}")
    said = members(new(service, "GET", task, {}, bearer)[1])
    if "Error" in said or "Success" not in said:
        raise NotDone(f"the new service answers {task} with {said.get('Error', 'no JSON')}")
    if task == "enroll":
        return "enrolled", f"without {len(refused)} of the samples: {', '.join(refused)}" if refused else None
    return "agreed" if said["Success"] is (seen == "verified") else "differed", None


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, address, old, service):
        super().__init__(address, Proxy)
        self.old, self.new, self.work = old, service, queue.Queue(QUEUE_MAX)
        self.lock, self.waiting = threading.Lock(), collections.OrderedDict()
        threading.Thread(target=self.work_off, daemon=True).start()

    def handle_error(self, request, client_address):
        # A client that leaves early is none of ours; what else fails here is told without its values.
        print(f"not answered: {sys.exc_info()[0].__name__}", file=sys.stderr, flush=True)

    def keep(self, token, sample):
        """Keeps a sample until its token is used or has ended."""
        with self.lock:
            self.waiting.setdefault(token, (time.monotonic(), []))[1].append(sample)
            for other, (since, _) in list(self.waiting.items()):
                if len(self.waiting) > TOKENS_MAX or since < time.monotonic() - TOKEN_SECONDS:
                    del self.waiting[other]

    def take(self, token):
        with self.lock:
            return self.waiting.pop(token, (0, []))[1]

    def write(self, person, seen, did, why=None):
        line = {"at": time.strftime("%FT%TZ", time.gmtime()), "person": person, "seen": seen, "did": did, "why": why}
        with self.lock, open(JOURNAL, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")

    def work_off(self):
        """One after the other, so that no deletion overtakes an enrolment."""
        while True:
            seen, person, samples = self.work.get()
            try:
                if not samples and seen != "deleted":
                    raise NotDone("the samples did not come through here")
                did, why = follow(self.new, seen, person, samples)
            except NotDone as reason:
                did, why = "failed", str(reason)
            except Exception as reason:
                did, why = "failed", f"not understood: {type(reason).__name__}"
            try:
                if did:
                    self.write(person, seen, did, why)
            except OSError as reason:
                print(f"cannot write {JOURNAL}: {reason}", file=sys.stderr, flush=True)
            self.work.task_done()


class Proxy(BaseHTTPRequestHandler):
    protocol_version, timeout, disable_nagle_algorithm = "HTTP/1.1", 75, True

    def forward(self):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OURS}
        headers["X-Forwarded-For"] = ", ".join(self.headers.get_all("X-Forwarded-For", []) + [self.client_address[0]])
        try:
            body = self.body()
        except ValueError:
            return self.refuse(400, "the body is too large, or its length is no number")
        try:
            status, reason, found, answer = ask(self.server.old, self.command, self.path, headers, body or None)
        except (OSError, HTTPException, ValueError) as why:
            return self.refuse(502, f"the old service cannot be reached ({type(why).__name__})")
        try:
            # Before the client is answered, whose next call may come at once.
            self.learn(body, status, members(answer))
        except Exception as why:  # What goes wrong here is not the client's.
            print(f"not learned: {type(why).__name__}", file=sys.stderr, flush=True)
        self.answer(status, reason, [pair for pair in found if pair[0].lower() not in HOP], answer)

    do_GET = do_POST = do_DELETE = do_OPTIONS = do_HEAD = do_PUT = forward

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.part(int(self.headers.get("Content-Length", "0")), 0)
        body = b""
        while length := int(self.rfile.readline(100).split(b";")[0], 16):
            body += self.part(length, len(body))
            self.rfile.readline(2)
        while self.rfile.readline(10_000).strip():
            pass
        return body

    def part(self, length, before):
        if not 0 <= length <= BODY_BYTES_MAX - before:
            raise ValueError
        part = self.rfile.read(length)
        if len(part) < length:
            raise ConnectionError("the client left in the middle of the body")
        return part

    def refuse(self, status, message):
        headers = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*"), ("Connection", "close")]
        self.answer(status, responses[status], headers, json.dumps({"Message": message}).encode())

    def answer(self, status, reason, headers, body):
        # Without the query, which may have a token.
        path = ascii(self.path.split("?")[0])[1:-1]
        print(time.strftime("%T"), self.command, path, status, file=sys.stderr, flush=True)
        has_body = self.command != "HEAD" and status not in (204, 304)
        self.send_response_only(status, reason)
        for name, value in headers + ([("Content-Length", str(len(body)))] if has_body else []):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if has_body else b"")

    def log_message(self, *_):
        pass

    def learn(self, body, status, said):
        """Keeps the samples that the old service took, and puts what it did with them in the queue."""
        path, _, query = self.path.partition("?")
        call = self.command, re.sub("/+", "/", path).strip("/").lower().removeprefix("extension/")
        query = {name.lower(): value for name, value in parse_qsl(query)}
        token = self.headers.get("Authorization", "").partition(" ")[2].strip()
        if call == ("POST", "upload") and said.get("Accepted") is True:
            kept = {name: query[name] for name in ("tag", "index", "trait") if name in query}
            packed = [name for name in ("Content-Type", "Content-Encoding") if name in self.headers]
            self.server.keep(token, (kept, {name: self.headers[name] for name in packed}, body))
        elif call == ("DELETE", "deleteclass") and status == 200:
            self.then("deleted", query["bcid"], [])
        elif call[0] == "GET" and call[1] in TASKS and (status == 200 or status >= 500):
            task = call[1]
            samples = self.server.take(token)
            # The old service knows the token, or it would not have answered so.
            claims = token.split(".")[1]
            person = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["bcid"]
            if task in ("enroll", "verify") and said.get("Success") is True:
                self.then("enrolled" if task == "enroll" else "verified", person, samples)
            elif task == "verify" and said.get("Success") is False and "Error" not in said:
                self.then("refused", person, samples)
            elif status == 200 and not said:
                self.server.write(plain(person), task, "failed", "the old service does not answer in JSON")

    def then(self, seen, person, samples):
        try:
            self.server.work.put_nowait((seen, plain(person), samples))
        except queue.Full:
            self.server.write(plain(person), seen, "failed", "too many wait for the new service")


def plain(person):
    """A BCID as most clients write it."""
    return re.sub("[/:]", ".", person.strip().removeprefix("urn:bcid:"))


def address(url):
    """The address of a service, without what all calls begin with."""
    if not re.match("https?://[^/]", url):
        raise ValueError(f"`{url}` is no address: expected one such as https://bws.bioid.com")
    return re.sub("/+(extension/*)?$", "", url)


def serve(old, service):
    try:
        new(service, "GET", "status", {})
    except NotDone as why:
        print(f"nobody can come over for now: {why}", file=sys.stderr, flush=True)
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:8050").rpartition(":")
    open(JOURNAL, "a").close()
    server = Server((host or "127.0.0.1", int(port)), old, service)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print("listening on http://{}:{}".format(*server.server_address), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.work.join()


def report(service, people=None):
    """Asks the new service who is enrolled; the journal says why somebody is not. 1 if not all are."""
    entries = [json.loads(line) for line in open(JOURNAL, encoding="utf-8")] if os.path.exists(JOURNAL) else []
    last, visits = {entry["person"]: entry for entry in entries}, collections.Counter(entry["did"] for entry in entries)
    wanted = [plain(line) for line in open(people, encoding="utf-8") if line.strip()] if people else []
    states = collections.Counter()
    for person in dict.fromkeys(wanted + list(last)):
        entry = last.get(person, {"seen": None, "why": "not seen yet"})
        is_here, is_deleted = is_enrolled(service, person), entry["seen"] == "deleted"
        state = ("DELETE" if is_here else "deleted") if is_deleted else "over" if is_here else "not yet"
        states[state] += 1
        why = entry["why"] or "deleted at the old service, enrolled at the new one"
        print(f"{state:8}{person}" + (f"  {why}" if state in ("DELETE", "not yet") else ""))
    print(f"{states['over']} of {states['over'] + states['not yet']} people are over. On later visits both services "
          f"agreed {visits['agreed']} times and differed {visits['differed']} times.")
    return 1 if states["not yet"] or states["DELETE"] else 0


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:] or [""]
    if (verb, len(arguments)) not in [("serve", 2), ("report", 1), ("report", 2)] or not ID or not SECRET:
        sys.exit(__doc__)
    try:
        if verb == "serve":
            sys.exit(serve(*map(address, arguments)))
        sys.exit(report(address(arguments[0]), *arguments[1:]))
    except (NotDone, OSError, ValueError) as why:
        sys.exit(f"error: {why}")
