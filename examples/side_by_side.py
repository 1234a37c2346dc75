"""Two services of the BWS Web API side by side: the old one answers, and the new one learns.

    pip install 'mitmproxy>=11,<13' 'requests>=2.31,<3'
    export NEW=http://127.0.0.1:8040 NEW_APP_ID=... NEW_APP_SECRET=...
    mitmdump -q --mode reverse:https://bws.bioid.com@127.0.0.1:8050 -s side_by_side.py     # OLD@LISTEN

Clients are pointed at this proxy and get the answers of the old service as they are: mitmproxy sees to that. Behind
that, whoever is verified or enrolled is enrolled at the new service with the same samples; whoever is enrolled there
already is verified at both, which shows whether they agree; whoever is deleted is deleted there, too. How, and who is
over, stands in side_by_side_people.py. docs/migration.md says how to go about it.
"""

import base64, json, queue, threading, time  # noqa: E401

from mitmproxy import ctx
from mitmproxy.http import Response
from mitmproxy.net.http.http1 import assemble_response
from mitmproxy.proxy.layers.http import _http1
from side_by_side_people import JOURNAL, log, members, plain, work_off, write

BODY_MAX, TOKENS_MAX, TOKEN_SECONDS, QUEUE_MAX = "64m", 200, 600, 200
# What the old service has done, by the task and its `Success`.
SEEN = {("enroll", True): "enrolled", ("verify", True): "verified", ("verify", False): "refused"}
work, waiting = queue.Queue(QUEUE_MAX), {}


def load(loader):
    # HTTP/2 has no reasons, and what is no HTTP is not learned from. An old service that is gone has an answer, too.
    ctx.options.update(http2=False, rawtcp=False, connection_strategy="lazy", body_size_limit=BODY_MAX)
    # Queries may have tokens.
    ctx.options.update(flow_detail=0, termlog_verbosity="error")
    _http1.make_error_response = refusal
    open(JOURNAL, "a").close()
    threading.Thread(target=work_off, args=[work], daemon=True).start()


def running():
    for host, port, *_ in ctx.master.addons.get("proxyserver").listen_addrs():
        print(f"listening on http://{host}:{port}", flush=True)


def request(flow):
    before = flow.request.headers.get_all("X-Forwarded-For")
    flow.request.headers["X-Forwarded-For"] = ", ".join([*before, flow.client_conn.peername[0]])


def response(flow):
    try:
        # Before the client is answered, whose next call may come at once.
        learn(flow.request, flow.response.status_code, members(flow.response.get_content(strict=False)))
    except Exception as why:  # What goes wrong here is not the client's.
        log(f"not learned: {type(why).__name__}")
    log(f"{flow.request.method} {ascii(flow.request.path.partition('?')[0])[1:-1]} {flow.response.status_code}")


def error(flow):
    log("not answered: the client has left, or the old service has")


def done():
    work.join()


def refusal(status, message=""):
    """What mitmproxy says itself, in the words of the services, so that pages of other origins can read it."""
    told = f"the old service cannot be reached ({message})" if status == 502 else message
    headers = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*", "Connection": "close"}
    return assemble_response(Response.make(status, json.dumps({"Message": told}), headers))


def learn(request, status, said):
    """Keeps the samples that the old service took, and puts what it did with them in the queue."""
    call = request.method, "/".join(request.path_components).lower().removeprefix("extension/")
    query = {name.lower(): value for name, value in request.query.items(multi=True)}
    token, now = request.headers.get("Authorization", "").partition(" ")[2].strip(), time.monotonic()
    if call == ("POST", "upload") and said.get("Accepted") is True:
        kept = {name: query[name] for name in ("tag", "index", "trait") if name in query}
        packed = {name: text for name, text in request.headers.items() if name.lower().startswith("content-")}
        waiting.setdefault(token, (now, []))[1].append((kept, packed, request.raw_content))
        for other, (since, _) in list(waiting.items()):
            if len(waiting) > TOKENS_MAX or since < now - TOKEN_SECONDS:
                del waiting[other]
    elif call == ("DELETE", "deleteclass") and status == 200:
        then("deleted", query["bcid"])
    elif call in (("GET", "enroll"), ("GET", "verify")) and (status == 200 or status >= 500):
        _, samples = waiting.pop(token, (now, []))
        # The old service knows the token, or it would not have answered so.
        claims = token.split(".")[1]
        person = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["bcid"]
        seen = SEEN.get((call[1], said.get("Success")))
        if seen and not said.get("Error"):
            then(seen, person, samples)
        elif status == 200 and not said:
            write(plain(person), call[1], "failed", "the old service does not answer in JSON")


def then(seen, person, samples=()):
    try:
        work.put_nowait((seen, plain(person), samples))
    except queue.Full:
        write(plain(person), seen, "failed", "too many wait for the new service")
