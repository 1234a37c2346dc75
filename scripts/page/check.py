#!/usr/bin/env python3
"""Uses the page of the service as people do, in a real browser against the real program. See ../page.sh."""

import argparse
import contextlib
import json
import os
import pathlib
import pty
import random
import re
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from tab import Tab, data_url, draw, fail, film

HERE = pathlib.Path(__file__).parent
FACES = HERE.parent.parent / "data/faces"
CROWD = 1_000
ENCODER = "sface@2021dec"
# A machine with much else to do must not make a step fail.
PATIENT = ["--picture-seconds-max", "60", "--queue-wait-seconds", "60", "--search-wait-seconds", "60"]
NASTY = "<img onerror=alert(1) src=x>"


def check(condition, why):
    if not condition:
        fail(why)


class Service:
    """The real program on a data directory."""

    def __init__(self, vultus, data, log):
        self.vultus, self.data, self.log, self.port = vultus, data, log, 0
        self.process = None

    def start(self, *flags):
        with open(self.log, "ab") as log:
            command = [self.vultus, "serve", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}", *PATIENT, *flags]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        self.url = json.loads(self.process.stdout.readline())["listening"] + "/"
        self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])

    def key(self, scopes, *reach):
        verb = [self.vultus, "key", "create", "--name", f"for {scopes}", "--scopes", scopes, *(reach or ["--everything"]), "--json", "--data-dir", self.data]
        made = json.loads(subprocess.run(verb, check=True, capture_output=True).stdout)
        return made["id"], made["key"]

    def run(self, *verb):
        subprocess.run([self.vultus, *verb, "--data-dir", self.data], check=True, capture_output=True)

    def ask(self, method, path, key, body=None):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "v1/" + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def run_enroll(self, partition, picture, key):
        body = {"pictures": [data_url(picture)], "name": "Barack Obama"}
        status, answer = self.ask("POST", f"partitions/{partition}/enroll", key, body)
        check(status == 200, f"enrolling: {answer}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


def begin(arguments, directory, tabs):
    """From an empty folder to a first named face: `vultus serve --open`, a terminal, and a browser."""
    empty = directory / "empty"
    empty.mkdir()
    started = time.monotonic()
    # A terminal of its own. No screen, so that the link is printed and nothing is opened.
    terminal, its_end = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    process = subprocess.Popen([arguments.vultus, "serve", "--open", "--listen", "127.0.0.1:0", *PATIENT], cwd=empty, env=environment, stdout=subprocess.PIPE, stderr=its_end)
    os.close(its_end)
    said = bytearray()

    def listen():
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 4096):
                said.extend(part)

    threading.Thread(target=listen, daemon=True).start()
    try:
        found = None
        while not found and time.monotonic() - started < 60:
            text = said.decode(errors="replace")
            found = re.search(r"Key\s+(vk_[\w-]+)[\s\S]*Page\s+(http\S+#ticket=[\w-]+)", text)
            time.sleep(0.02)
        check(found, f"the terminal says {said.decode(errors='replace')!r}")
        key, link = found[1], found[2]
        printed = time.monotonic()
        tab = tabs("first", None)
        opened = time.monotonic()
        tab.open(link)
        tab.says("Who is this?")
        check(tab.js("return location.hash") == "", "the ticket stays in the address")
        tab.type("#identify-file", str(FACES / "obama-portrait.jpg"))
        tab.says("Nobody is enrolled in this gallery yet")
        tab.press("Name this person")
        tab.type("dialog input[type=text]", "Barack Obama")
        tab.press("Enrol")
        tab.says("A clear match", "Compared with 1 enrolled picture")
        named = time.monotonic()
        # A browser takes a while to begin, which is not the program's.
        seconds = (printed - started) + (named - opened)
        print(f"from an empty folder to a first named face: {seconds:.1f} s of the program and the page")
        # A ticket is good once; the key that was printed lasts.
        tab.open("about:blank")
        tab.open(link)
        tab.says("This link was used already", "Sign in")
        tab.type(".signin input", key)
        tab.press("Sign in")
        tab.says("Who is this?")
        # Nobody is enrolled at first, and the ticket was used.
        tab.clean("401", "404")
        tab.stop()
    finally:
        process.terminate()
        process.wait()
        os.close(terminal)


def signing_in(service, tab, keys):
    tab.open(service.url)
    tab.says("Sign in", "The key stays in the memory of this tab")
    tab.judge("sign-in")
    for wrong in ("nonsense", "vk_" + "0" * 49, keys["all"][:-1] + ("a" if keys["all"][-1] != "a" else "b")):
        tab.type(".signin input", wrong, is_new=True)
        tab.press("Sign in")
        tab.says("This key is wrong, or was revoked.")
    tab.judge("sign-in-wrong")
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?", "Nothing was asked yet.")
    tab.judge("identify-empty")
    kept = tab.js("return [localStorage.length, sessionStorage.length, document.cookie, location.href].join()")
    check(kept == f"0,0,,{service.url}", f"something is kept: {kept}")
    tab.clean("401")


def limited(service, tab, keys):
    """What a key may not do is not offered."""
    tab.sign_in(service.url, keys["identify"])
    tab.says("Who is this?")
    check(tab.js("return [...document.querySelectorAll('nav a')].map((one) => one.dataset.part).join()") == "identify,watch", "parts for a key that may identify")
    tab.type("#identify-file", str(FACES / "biden-portrait.jpg"))
    tab.says("Unknown", "Nobody who is enrolled looks like this.")
    check("Name this person" not in tab.text(), "a key that may not enrol is offered to")
    tab.part("watch")
    tab.says("Rates, queues and storage are shown to keys for everything", "people.1")
    tab.judge("watch-limited")
    tab.sign_in(service.url, keys["read"])
    tab.says("1 person")
    check("Add a person" not in tab.text(), "a key that may not enrol is offered to")
    tab.find(".person")
    tab.person("Barack Obama")
    tab.says("Number ")
    check(not re.search(r"Save|Delete|Merge|Add pictures", tab.js("return document.querySelector('dialog').innerText")), "changes are offered to a key that may only read")
    # Revoked while the page is open.
    service.run("key", "revoke", keys["read-id"])
    tab.open(service.url)
    tab.sign_in(service.url, keys["read"])
    tab.says("This key is wrong, or was revoked.")


def revoked(service, tab):
    identity, key = service.key("identify,read")
    tab.sign_in(service.url, key)
    tab.says("Who is this?")
    service.run("key", "revoke", identity)
    tab.part("people")
    tab.says("Sign in", "This key is wrong, or was revoked.")
    tab.clean("401")


DROP = """
const [name, url, kind] = arguments;
const bytes = Uint8Array.from(atob(url.split(',')[1]), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
const event = kind === 'drop' ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
  : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true });
(kind === 'drop' ? document.querySelector('.stage') : document).dispatchEvent(event);
"""


def identifying(service, tab, keys, pictures):
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.type("#identify-file", str(FACES / "obama-white-house.jpg"))
    tab.says("Barack Obama", "A clear match", "Likeness 0.", "0.41 is needed")
    tab.judge("identify-known")
    for kind in ("drop", "paste"):
        tab.js("document.querySelector('.results').replaceChildren()")
        tab.js(DROP, "face.jpg", data_url(FACES / "obama-speech.jpg"), kind)
        tab.says("Barack Obama", "A clear match")
    # Everybody in the picture; the second one is named in it.
    tab.type("#identify-file", str(pictures["two"]))
    tab.says("1. ", "2. ", "Unknown")
    names = tab.js("return [...document.querySelectorAll('.stage .label')].map((one) => one.textContent).sort().join()")
    check(re.fullmatch(r"\dBarack Obama,\dUnknown|\dUnknown,\dBarack Obama", names), f"names on the picture: {names}")
    tab.judge("identify-two")
    tab.press("Name this person")
    tab.type("dialog input[type=text]", "Joe Biden")
    tab.judge("identify-name")
    tab.press("Enrol")
    tab.wait("[...document.querySelectorAll('.stage .label')].map((one) => one.textContent.slice(1)).sort().join() === 'Barack Obama,Joe Biden'", what="both names")
    tab.judge("identify-two-known")
    tab.type("#identify-file", str(pictures["wall"]))
    tab.says("No face was found in this picture.")
    tab.type("#identify-file", str(pictures["text"]))
    tab.says("is not a picture")
    tab.type("#identify-file", str(pictures["broken"]))
    tab.says("This file cannot be read as a picture")
    tab.type("#identify-file", str(pictures["heic"]))
    tab.says("is a HEIC or AVIF picture")
    tab.clean("422")


def camera(service, tab, keys):
    """A portrait that somebody moves in front of the camera."""
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.press("Use the camera")
    tab.says("The camera is on.")
    tab.press("Who is this?")
    tab.says("Barack Obama", "A clear match")
    tab.press("Use the camera")
    tab.says("The camera is on.")
    tab.tick("Keep looking")
    tab.says("Barack Obama", "A clear match")
    # Boxes follow what the camera shows.
    first = tab.wait("document.querySelector('.boxes .box')?.style.left")
    tab.wait("document.querySelector('.boxes .box') && document.querySelector('.boxes .box').style.left !== arguments[0]", first, what="a box that moves")
    tab.judge("camera-watching")
    # Flat, however it is moved.
    tab.tick("Demand a live person who turns the head (camera only)")
    tab.press("Start, and turn the head")
    tab.says("This does not look like a live person.")
    tab.judge("camera-not-live")
    # It stops by itself.
    tab.js("const { video } = { video: document.querySelector('video') }; video.srcObject.getTracks().forEach((track) => track.dispatchEvent(new Event('ended')))")
    tab.says("The camera has stopped.")
    tab.judge("camera-stopped")
    # It belongs to another program.
    tab.js("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotReadableError'))")
    tab.press("Use the camera")
    tab.says("another program may be using it")
    tab.clean("422")


def live_head(service, tab, keys):
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.press("Use the camera")
    tab.says("The camera is on.")
    tab.tick("Demand a live person who turns the head (camera only)")
    tab.press("Start, and turn the head")
    tab.says("This is a live person.", "Unknown")
    tab.judge("camera-live")
    tab.clean()


def no_camera(service, tabs, keys):
    for name, how, words in (("denied", "denied", "The browser may not use the camera here."), ("missing", None, "No camera was found.")):
        tab = tabs(name, how)
        tab.sign_in(service.url, keys["all"])
        tab.press("Use the camera")
        tab.says(words)
        tab.judge(f"camera-{name}")
        tab.clean()
        tab.stop()
    tab = tabs("insecure", None, "--host-resolver-rules=MAP faces.test 127.0.0.1")
    tab.sign_in(f"http://faces.test:{service.port}/", keys["all"])
    tab.press("Use the camera")
    tab.says("Browsers give a camera to secure pages only", f"faces.test:{service.port}")
    tab.judge("camera-insecure")
    tab.type("#identify-file", str(FACES / "obama-speech.jpg"))
    tab.says("Barack Obama")
    tab.stop()


def crowd(service, key):
    """A thousand people with made-up embeddings."""
    chance = random.Random(7)
    first = "Ada Grace Alan Barbara Edsger Margaret Katherine Annie Radia Frances Zoë José Ingrid Søren Çağla".split()
    last = "Lovelace Hopper Turing Liskov Dijkstra Hamilton Johnson Easley Perlman Allen Müller Nguyễn García Yılmaz".split()
    for number in range(CROWD):
        name = f"{chance.choice(first)} {chance.choice(last)}"
        record = {"name": NASTY if number == 3 else name, "external_id": f"P-{number}", "labels": {"site": "berlin"}}
        values = [chance.gauss(0, 1) for _ in range(128)]
        status, answer = service.ask("POST", "partitions/town.1/enroll", key, {"encoder": ENCODER, "embeddings": [values], **record})
        check(status == 200, f"enrolling {number}: {answer}")


def people(service, tab, keys):
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.js("const select = document.querySelector('.gallery'); select.value = 'town.1'; select.dispatchEvent(new Event('change'))")
    tab.part("people")
    tab.says("The first 60. There are more.")
    tab.judge("people-many")
    pages = 1
    while tab.js("return [...document.querySelectorAll('.foot button')].length"):
        before = tab.js("return document.querySelectorAll('.person').length")
        tab.press("Show more")
        tab.wait("document.querySelectorAll('.person').length > arguments[0]", before, what="more people")
        pages += 1
    tab.says("1,000 people")
    check(tab.js("return document.querySelectorAll('.person').length") == CROWD, f"{pages} pages do not have all")
    check(not tab.js("return document.querySelector('main img')"), "a name became an element")
    tab.says(NASTY)

    def search(text, words):
        tab.type(".search", text, is_new=True)
        tab.says(words)

    search("radia per", "Radia Perlman")
    search("P-3", "1 person")
    tab.says(NASTY)
    tab.js("document.querySelector('.person').click()")
    tab.says(NASTY, "Number ", "site: berlin")
    tab.judge("person")
    tab.type("dialog form input[type=text]", "Ada Lovelace-Byron", is_new=True)
    tab.press("Save")
    tab.says("Ada Lovelace-Byron")
    tab.press("Close")
    search("ada lovelace-b", "1 person")
    search("nobody at all", "Nobody has a name that begins with")
    tab.judge("people-none")
    # Deleted, with a receipt, and gone.
    search("ada lovelace-b", "1 person")
    tab.js("document.querySelector('.person').click()")
    number = tab.wait("/Number (-?\\d+)/.exec(root.innerText)?.[1]", what="a number")
    tab.press("Delete …")
    tab.says("This cannot be undone.")
    tab.judge("person-delete")
    tab.press("Delete")
    tab.says("No search finds this person any more.", number)
    tab.judge("person-receipt")
    tab.press("Done")
    status, _ = service.ask("GET", f"partitions/town.1/classes/{number}", keys["all"])
    check(status == 404, f"deleted, and {status}")
    tab.says("Nobody has a name that begins with")
    # Three are one person.
    search("P-10", "1 person")
    tab.js("document.querySelector('.person').click()")
    tab.press("Merge …")
    for other in ("P-11", "P-12"):
        tab.type("dialog:last-of-type input[type=search]", other, is_new=True)
        # The choice before is still there for a moment, and picked.
        tab.wait("root.querySelectorAll('.option input').length === 1 && !root.querySelector('.option input').checked", what="one choice")
        tab.js("[...document.querySelectorAll('dialog')].at(-1).querySelector('.option input').click()")
    tab.wait("root.querySelectorAll('.plan p').length === 2", what="two who go")
    tab.judge("person-merge-several")
    tab.press("Merge")
    tab.says("3 enrolled pictures")
    tab.press("Close")
    tab.clean("404")


def adding(service, tab, keys, pictures):
    """Pictures with what is to be said of them, by file and by camera; two of one name; merged."""
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.part("people")
    tab.press("Add a person")
    tab.type("dialog input[type=text]", "Barack Obama")
    tab.type("dialog input[type=file]", f"{FACES / 'obama-speech.jpg'}\n{pictures['wall']}\n{pictures['text']}")
    tab.says("Quality ", "No face was found.", "is not a picture")
    tab.press("Use the camera")
    tab.press("Take a picture")
    tab.wait("root.querySelectorAll('.tray li:not(.bad) .quality').length === 2", what="two good pictures")
    tab.judge("person-add")
    tab.press("Enrol")
    is_german = tab.js("return document.documentElement.lang") == "de"
    tab.says("Jemand" if is_german else "Somebody of this name is enrolled already")
    tab.says("sieht gleich aus" if is_german else "looks the same. If it is the same person, merge them.")
    tab.judge("person-same-name")
    tab.press("Show this person")
    tab.says("Barack Obama", "2 enrolled pictures")
    tab.press("Merge …")
    tab.says("Merge with")
    tab.type("dialog:last-of-type input[type=search]", "Barack")
    tab.wait("[...root.querySelectorAll('.option')].length === 1", what="one choice")
    tab.js("[...document.querySelectorAll('dialog')].at(-1).querySelector('.option input').click()")
    tab.says("go to Barack Obama")
    tab.judge("person-merge")
    tab.press("Merge")
    tab.says("3 enrolled pictures")
    # One of the pictures is somebody else's, and comes back.
    tab.press("3 enrolled pictures", "summary")
    tab.js("[...document.querySelectorAll('dialog')].at(-1).querySelector('.kept input').click()")
    tab.press("Move to somebody else …")
    tab.says("1 picture of Barack Obama goes to somebody else.")
    tab.wait("[...root.querySelectorAll('.option')].length === 1", what="one choice")
    tab.js("[...document.querySelectorAll('dialog')].at(-1).querySelector('.option input').click()")
    tab.judge("person-move")
    tab.press("Move")
    tab.says("2 enrolled pictures")
    tab.press("Close")
    tab.says("2 people")
    # Somebody else's picture is added, and noticed.
    tab.person("Barack Obama")
    tab.press("Add pictures")
    tab.type("dialog:last-of-type input[type=file]", str(FACES / "biden-portrait.jpg"))
    tab.says("Quality ")
    tab.press("Enrol")
    tab.says("hardly look like those from before")
    tab.press("Done")
    tab.press("Close")
    tab.clean()


def watching(service, tab, keys):
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.part("watch")
    tab.says("All is well", "Galleries", "Enrolled pictures", "Requests", "Liveness")
    for _ in range(2):
        service.ask("GET", "partitions/people.1/classes", keys["all"])
        time.sleep(2.2)
    tab.wait("/answered\\s*[0-9.]+ \\/ s/.test(document.querySelector('.legend').innerText)", what="a rate")
    tab.wait("document.querySelector('.line').getAttribute('d').split('L').length > 2", what="a line that grows")
    tab.judge("watch")
    check(service.url in tab.js("return document.baseURI"), "elsewhere")
    foreign = tab.js("return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith(location.origin) && !name.startsWith('blob:'))")
    check(foreign == [], f"the page asks elsewhere: {foreign}")
    tab.clean()


def deciding(service, tab, keys, pictures):
    """Two people confirm who somebody is, each with a key of their own; a third sees and says nothing."""
    tab.sign_in(service.url, keys["auditor"])
    tab.says("Identifications to confirm", "No identification waits for two people", "This key may see identifications, but not confirm them.")
    tab.judge("decisions-none")
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.js("const select = document.querySelector('.gallery'); select.value = 'vault.1'; select.dispatchEvent(new Event('change'))")
    names = []
    for _ in range(2):
        tab.type("#identify-file", str(FACES / "obama-speech.jpg"))
        tab.says("Two people decide", "Who it is is told when two people have confirmed it")
        check("Barack" not in tab.text(), "a name before two have confirmed it")
        names.append(tab.js("return document.querySelector('.results code').textContent"))
        tab.js("document.querySelector('.results').replaceChildren()")
    tab.judge("identify-pending")
    tab.sign_in(service.url, keys["auditor"])
    tab.says("Barack Obama", "Waits for two people", "nobody yet", "vault.1")
    check("It is this person" not in tab.text(), "a key that may not confirm is offered to")
    tab.sign_in(service.url, keys["first"])
    tab.says("Barack Obama", "It is this person")
    tab.judge("decisions")
    # The newest is the first.
    tab.js("document.querySelector('.decisions .primary').click()")
    tab.says("You say that it is Barack Obama.")
    tab.judge("decisions-ask")
    tab.js("document.querySelector('dialog .primary').click()")
    tab.says("This key has spoken. A second person is missing.")
    # The second knows the name of the decision alone, and not what the first said.
    tab.sign_in(service.url, keys["second"])
    tab.says("Name of the identification")
    tab.type(".decision-name", "nonsense")
    tab.press("Show")
    tab.says("There is no identification of this name")
    tab.type(".decision-name", names[1], is_new=True)
    tab.press("Show")
    tab.says("Barack Obama", "not told yet")
    tab.judge("decisions-second")
    tab.js("document.querySelector('.decisions .primary').click()")
    tab.says("You say that it is Barack Obama.")
    tab.js("document.querySelector('dialog .primary').click()")
    tab.says("Confirmed by both")
    # Of the other one the first says no, in German.
    tab.sign_in(service.url, keys["first"])
    tab.says("Confirmed by both", "Waits for two people")
    tab.js("const select = document.querySelector('.language'); select.value = 'de'; select.dispatchEvent(new Event('change'))")
    tab.says("Erkennungen bestätigen", "Von beiden bestätigt", "Wartet auf zwei Personen")
    tab.judge("german-decisions")
    tab.press("Sie ist es nicht")
    tab.says("Sie sagen, dass es nicht Barack Obama ist.")
    tab.js("document.querySelector('dialog .primary').click()")
    tab.says("Dieser Schlüssel hat gesprochen. Eine zweite Person fehlt.")
    tab.js("const select = document.querySelector('.language'); select.value = 'en'; select.dispatchEvent(new Event('change'))")
    tab.clean("404")


def lost_server(service, tab, keys):
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    service.stop()
    tab.type("#identify-file", str(FACES / "obama-speech.jpg"))
    tab.says("The server does not answer. This page tries again by itself.")
    tab.judge("server-lost")
    service.start()
    tab.wait("document.querySelector('.banner').hidden", what="the server is back")
    tab.type("#identify-file", str(FACES / "obama-speech.jpg"))
    tab.says("Barack Obama")
    # Another program at the same place.
    tab.js("""const asked = window.fetch;
        window.fetch = (path, how) => path === './' ? Promise.resolve(new Response('{"page":"another"}')) : asked(path, how);""")
    tab.says("The server runs another version now.")
    tab.judge("server-replaced")
    tab.clean("ERR_CONNECTION", "ERR_EMPTY", "Failed to load")


def languages(service, tab, keys):
    tab.open(service.url)
    tab.find(".language")
    tab.js("const select = document.querySelector('.language'); select.value = 'de'; select.dispatchEvent(new Event('change'))")
    tab.says("Anmelden", "Der Schlüssel bleibt im Speicher dieses Tabs.")
    check(tab.js("return document.documentElement.lang") == "de", "the language is not said")
    tab.type(".signin input", keys["all"])
    tab.press("Anmelden")
    tab.says("Wer ist das?")
    tab.type("#identify-file", str(FACES / "obama-white-house.jpg"))
    tab.says("Eindeutig erkannt", "gespeicherten Bild")
    tab.judge("german-identify")
    tab.part("people")
    tab.says("Personen", "Person hinzufügen")
    tab.judge("german-people")
    tab.part("watch")
    tab.says("Alles in Ordnung")
    tab.judge("german-watch")
    tab.clean()


def keyboard(service, tab, keys):
    """From the top of the page to an answer without a pointer."""
    tab.sign_in(service.url, keys["all"])
    tab.says("Who is this?")
    tab.js("document.body.focus(); document.activeElement.blur()")
    reached = []
    for _ in range(14):
        tab.cdp("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        tab.cdp("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(tab.js("const one = document.activeElement; return (one.getAttribute('aria-label') ?? one.textContent.trim()).slice(0, 40) || one.tagName"))
    for wanted in ("Go to the content", "Identify", "People", "Watch", "Gallery", "Sign out", "Use the camera", "Choose a picture"):
        check(wanted in reached, f"the keyboard does not reach {wanted!r}: {reached}")


def films(tab, directory, heads):
    """What the camera shows: a portrait that is moved, and a head that turns."""
    tab.open("about:blank")
    portrait = FACES / "obama-portrait.jpg"
    # Its face is in the upper third, and about a sixth of its height.
    places = [-240 + 8 * step for step in [*range(0, 26), *range(26, 0, -1)]]
    moved = draw(tab, [portrait], [[{"picture": 0, "left": left, "top": -60, "height": 1000}] for left in places])
    turned = [heads / "franck_02159.jpg", heads / "franck_02888.jpg"]
    head = draw(tab, turned, [[{"picture": at, "left": 0, "top": 0, "height": 480}] for at in (0, 1)])
    two = draw(tab, [portrait, FACES / "biden-portrait.jpg"], [[{"picture": 0, "left": 0, "top": 0, "height": 480}, {"picture": 1, "left": 330, "top": -20, "height": 700}]])
    wall = draw(tab, [portrait], [[]])
    pictures = {"two": directory / "two.jpg", "wall": directory / "wall.jpg", "text": directory / "text.txt", "broken": directory / "broken.jpg", "heic": directory / "IMG_1.HEIC"}
    pictures["two"].write_bytes(two[0])
    pictures["wall"].write_bytes(wall[0])
    pictures["text"].write_text("no picture")
    pictures["broken"].write_bytes(b"\xff\xd8\xff\xe0 no picture")
    pictures["heic"].write_bytes(b"\0\0\0\x18ftypheic")
    return film(directory / "moved.mjpeg", moved, 2), film(directory / "head.mjpeg", head, 60), pictures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vultus", required=True, type=lambda text: str(pathlib.Path(text).resolve()))
    parser.add_argument("--axe", required=True, type=pathlib.Path)
    parser.add_argument("--heads", required=True, type=pathlib.Path)
    parser.add_argument("--screenshots", type=lambda text: pathlib.Path(text) if text else None)
    arguments = parser.parse_args()
    started = time.monotonic()
    axe = arguments.axe.read_text()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def tabs(name, camera, *more):
            tab = Tab(directory / name, axe, arguments.screenshots, camera, "--lang=en-US", "--accept-lang=en-US", *more)
            stack.callback(tab.stop)
            return tab

        service = Service(arguments.vultus, directory / "data", directory / "log")
        _, everything = service.key("enroll,identify,verify,read,delete")
        read_id, read = service.key("read")
        keys = {"all": everything, "read": read, "read-id": read_id, "identify": service.key("identify", "--storage", "people", "--partition", "1")[1]}
        keys |= {name: service.key(scopes)[1] for name, scopes in (("auditor", "audit"), ("first", "audit,confirm"), ("second", "confirm"))}
        service.start("--enroll-duplicates", "warn", "--confirm-partitions", "vault.1")
        stack.callback(service.stop)

        begin(arguments, directory, tabs)
        tab = tabs("plain", None)
        moved, head, pictures = films(tab, directory, arguments.heads)
        signing_in(service, tab, keys)
        keyboard(service, tab, keys)
        tab.type("#identify-file", str(FACES / "obama-portrait.jpg"))
        tab.press("Name this person")
        tab.type("dialog input[type=text]", "Barack Obama")
        tab.press("Enrol")
        tab.says("A clear match")
        tab.clean("404")
        limited(service, tab, keys)
        revoked(service, tab)
        identifying(service, tab, keys, pictures)
        crowd(service, keys["all"])
        people(service, tab, keys)
        watching(service, tab, keys)
        service.run_enroll("vault.1", FACES / "obama-portrait.jpg", keys["all"])
        deciding(service, tab, keys, pictures)
        languages(service, tab, keys)
        tab.stop()
        tab = tabs("moved", moved)
        camera(service, tab, keys)
        adding(service, tab, keys, pictures)
        tab.stop()
        tab = tabs("head", head)
        live_head(service, tab, keys)
        tab.stop()
        no_camera(service, tabs, keys)
        tab = tabs("lost", None)
        lost_server(service, tab, keys)
        tab.stop()

        log = (directory / "log").read_text()
        for secret in (everything, read, "Barack", "Lovelace"):
            check(secret not in log, "the log holds a secret or a name")
        print(f"the page: all as expected, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
