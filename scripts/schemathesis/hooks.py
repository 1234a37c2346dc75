"""What the description cannot say: who calls, and what a face is.

Every call gets the credentials of its door. A call with a token gets a new one, for its task, so that tries do not
run out, and every second time samples wait for it. Every second body that may have a picture gets one with a face.
"""

import base64
import itertools
import json
import os
import pathlib
import urllib.parse
import urllib.request

import schemathesis

WORK = pathlib.Path(os.environ["VULTUS_WORK"])
URL = os.environ["VULTUS_URL"]
APP = json.loads((WORK / "app.json").read_text())
KEY = json.loads((WORK / "key.json").read_text())["key"]
FACES = [path.read_bytes() for path in sorted(pathlib.Path(os.environ["VULTUS_FACES"]).glob("*.jpg"))]
TASKS = {
    "/extension/upload": "enroll",
    "/extension/enroll": "enroll",
    "/extension/verify": "verify",
    "/extension/identify": "identify",
    "/extension/livenessdetection": "livenessdetection",
    "/extension/result": "verify",
}
BASIC = "Basic " + base64.b64encode(f"{APP['id']}:{APP['secret']}".encode()).decode()

turns = itertools.count()


def ask(path, authorization, body=None):
    request = urllib.request.Request(URL + path, data=body, headers={"Authorization": authorization})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def data_url(picture):
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()


def token(task, with_samples):
    query = urllib.parse.urlencode(
        {"id": APP["id"], "bcid": "bws.1.1", "task": task, "livedetection": "false"}
    )
    text = ask("/extension/token?" + query, BASIC)
    if with_samples:
        ask("/extension/upload", "Bearer " + text, data_url(FACES[0]).encode())
    return text


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.operation.path
    turn = next(turns)
    case.headers = case.headers or {}
    if path.startswith("/v1/"):
        case.headers["Authorization"] = "Bearer " + KEY
    elif path in TASKS:
        case.headers["Authorization"] = "Bearer " + token(TASKS[path], turn % 2 == 0)
    else:
        case.headers["Authorization"] = BASIC
    query = case.query if isinstance(case.query, dict) else None
    if path == "/extension/token" and query is not None and turn % 2 == 0:
        query["id"] = APP["id"]
    if turn % 2 == 0:
        show_face(case, turn)
        # Somebody who is enrolled, now and then.
        for name, value in (("partition", "bws.1"), ("class", "1")):
            if name in (case.path_parameters or {}):
                case.path_parameters[name] = value


def show_face(case, turn):
    face = FACES[turn // 2 % len(FACES)]
    if case.media_type == "text/plain":
        case.body = data_url(face)
    elif isinstance(case.body, dict):
        for name in ("liveimage1", "liveimage2", "idphoto", "sample"):
            if name in case.body:
                case.body[name] = data_url(face)
        if "pictures" in case.body:
            case.body["pictures"] = [base64.b64encode(face).decode()]
            case.body.pop("embeddings", None)
            case.body.pop("encoder", None)
