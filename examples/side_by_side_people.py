#!/usr/bin/env python3
"""How people come over to the new service behind side_by_side.py, and the report of who is over.

    export NEW=http://127.0.0.1:8040 NEW_APP_ID=... NEW_APP_SECRET=...
    python3 side_by_side_people.py [PEOPLE]     # a file, a BCID a line

The exit code is 0 if nobody is missing. JOURNAL (side_by_side.jsonl) may be set for both. It has numbers of people and
reasons; neither it nor the log has anything that is secret.
"""

import collections, json, os, re, sys, time  # noqa: E401

import requests

JOURNAL = os.environ.get("JOURNAL", "side_by_side.jsonl")
NEW = re.sub("/+(extension/*)?$", "", os.environ.get("NEW", ""))
APP = os.environ.get("NEW_APP_ID", ""), os.environ.get("NEW_APP_SECRET", "")
if not re.match("https?://[^/]", NEW) or not all(APP):
    # mitmproxy does not hear of the first.
    wrong = SystemExit if __name__ == "__main__" else ValueError
    raise wrong("NEW, an address such as http://127.0.0.1:8040, NEW_APP_ID and NEW_APP_SECRET must be set")
http = requests.Session()
http.trust_env = False


class NotDone(Exception):
    """Why the new service did not do what the old one did."""


def ask(method, call, token=None, also=None, headers=(), **sent):
    """The answer of the new service, if its status is 200 or `also`."""
    auth, bearer = (None, {"Authorization": f"Bearer {token}"}) if token else (APP, {})
    try:
        url, headers = f"{NEW}/extension/{call}", {**dict(headers), **bearer}
        answer = http.request(method, url, headers=headers, auth=auth, timeout=60, allow_redirects=False, **sent)
    except requests.RequestException as why:
        raise NotDone(f"the new service cannot be reached ({type(why).__name__})") from None
    if answer.status_code not in (200, also):
        why = members(answer.content).get("Message", answer.reason)
        raise NotDone(f"the new service answers {call} with {answer.status_code} {why}")
    return answer


def is_enrolled(person):
    return ask("GET", "isenrolled", params={"bcid": person, "trait": "face"}, also=404).status_code == 200


def follow(seen, person, samples):
    """Does what the old service did: what came of it, and a remark."""
    if seen == "deleted":
        ask("DELETE", "deleteclass", params={"bcid": person})
        return "deleted", None
    if not samples:
        raise NotDone("the samples did not come through here")
    known = is_enrolled(person)
    if seen == "refused" and not known:
        return None, None
    # Live or not is what the old service has decided. What both recognise makes the template better.
    task, both = "verify" if known and seen != "enrolled" else "enroll", seen == "verified"
    asked = {"id": APP[0], "bcid": person, "task": task, "livedetection": "false", "autoenroll": str(both).lower()}
    token, refused = ask("GET", "token", params=asked).text, []
    for query, headers, body in samples:
        said = members(ask("POST", "upload", token, params=query, headers=headers, data=body).content)
        if said.get("Accepted") is not True:
            refused.append(said.get("Error", "no JSON"))
    if len(refused) == len(samples):
        raise NotDone(f"the new service takes no sample: {', '.join(sorted(set(refused)))}")
    said = members(ask("GET", task, token).content)
    if "Error" in said or "Success" not in said:
        raise NotDone(f"the new service answers {task} with {said.get('Error', 'no JSON')}")
    if task == "enroll":
        return "enrolled", f"without {len(refused)} of the samples: {', '.join(refused)}" if refused else None
    return "agreed" if said["Success"] is both else "differed", None


def work_off(work):
    """One after the other, so that no deletion overtakes an enrolment."""
    try:
        ask("GET", "status")
    except NotDone as why:
        log(f"nobody can come over for now: {why}")
    while True:
        seen, person, samples = work.get()
        try:
            did, why = follow(seen, person, samples)
        except NotDone as reason:
            did, why = "failed", str(reason)
        except Exception as reason:
            did, why = "failed", f"not understood: {type(reason).__name__}"
        if did:
            write(person, seen, did, why)
        work.task_done()


def report(file=None):
    """Asks the new service who is enrolled; the journal says why somebody is not. 1 if not all are."""
    entries = [json.loads(line) for line in open(JOURNAL, encoding="utf-8")] if os.path.exists(JOURNAL) else []
    last, did = {entry["person"]: entry for entry in entries}, collections.Counter(entry["did"] for entry in entries)
    wanted = [plain(line) for line in open(file, encoding="utf-8") if line.strip()] if file else []
    states = collections.Counter()
    for person in dict.fromkeys(wanted + list(last)):
        entry = last.get(person, {"seen": None, "why": "not seen yet"})
        is_here, is_deleted = is_enrolled(person), entry["seen"] == "deleted"
        state = ("DELETE" if is_here else "deleted") if is_deleted else "over" if is_here else "not yet"
        states[state] += 1
        why = entry["why"] or "deleted at the old service, enrolled at the new one"
        print(f"{state:8}{person}" + (f"  {why}" if state in ("DELETE", "not yet") else ""))
    print(f"{states['over']} of {states['over'] + states['not yet']} people are over. On later visits both services "
          f"agreed {did['agreed']} times and differed {did['differed']} times.")
    return 1 if states["not yet"] or states["DELETE"] else 0


def members(body):
    """What an answer in JSON has; nothing if it is something else, such as the page of a proxy."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def plain(person):
    """A BCID as most clients write it."""
    return re.sub("[/:]", ".", person.strip().removeprefix("urn:bcid:"))


def log(words):
    print(time.strftime("%T"), words, file=sys.stderr, flush=True)


def write(person, seen, did, why=None):
    """Into the journal. That it cannot be written to is nobody's fault who is waiting."""
    line = {"at": time.strftime("%FT%TZ", time.gmtime()), "person": person, "seen": seen, "did": did, "why": why}
    try:
        with open(JOURNAL, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
    except OSError as reason:
        log(f"cannot write {JOURNAL}: {reason}")


if __name__ == "__main__":
    try:
        sys.exit(report(*sys.argv[1:]))
    except (NotDone, OSError, TypeError, ValueError) as why:
        sys.exit(f"error: {why}")
