"""A tab of Chromium, used as a person uses it, and films for its camera. Standard library only."""

import base64
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "browser"))
import drive  # noqa: E402

WAIT_SECONDS = 60
DESKTOP, PHONE = (1280, 860), (390, 844)

# Finds something in the dialog that is on top, or else in the page.
ROOT = "const open = [...document.querySelectorAll('dialog[open]')]; const root = open.length ? open[open.length - 1] : document; "


def fail(why):
    sys.exit(f"FAILED: {why}")


class Tab(drive.Browser):
    """One browser with one tab. `camera` is a film, `None` for no camera, or `denied`."""

    def __init__(self, directory, axe, screenshots, camera=None, *more):
        flags = list(more)
        if camera == "denied":
            flags += ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
        elif camera:
            flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
        else:
            flags += ["--use-fake-ui-for-media-stream"]
        directory.mkdir()
        super().__init__(directory, *flags)
        self.axe_source, self.screenshots, self.shots, self.faults = axe, screenshots, 0, []
        self.show(DESKTOP)

    def cdp(self, command, **parameters):
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def show(self, size, is_dark=False):
        """As wide as a screen, by light or by dark."""
        width, height = size
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=size == PHONE)
        scheme = "dark" if is_dark else "light"
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        self.send("POST", "/url", {"url": url})

    def js(self, code, *arguments):
        return self.send("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def wait(self, code, *arguments, what=None):
        """Waits until an expression is true, and returns it."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            found = self.js(f"{ROOT} return {code};", *arguments)
            if found:
                return found
            time.sleep(0.05)
        self.picture("failed")
        fail(f"{what or code} {arguments} did not come; the page says: {self.text()[:1500]!r}; {self.logged()}")

    def text(self):
        return self.js("return document.body.innerText")

    def says(self, *parts):
        """Waits until the page, or the dialog on top of it, says all of this."""
        for part in parts:
            self.wait("(root.innerText ?? root.body.innerText).includes(arguments[0])", part, what=f"the text {part!r}")

    def find(self, css):
        found = self.wait("root.querySelector(arguments[0])", css, what=css)
        return next(iter(found.values()))

    def type(self, css, text, is_new=False):
        """Types into a field; a file field gets paths."""
        element = self.find(css)
        if is_new:
            self.send("POST", f"/element/{element}/clear", {})
        self.send("POST", f"/element/{element}/value", {"text": text})

    def press(self, label, css="button"):
        """Presses a button by its words, or by its label if it has none."""
        code = """[...root.querySelectorAll(arguments[1])].filter((one) => !one.disabled && one.getAttribute('aria-busy') !== 'true')
            .some((one) => (one.textContent.trim() === arguments[0] || one.getAttribute('aria-label') === arguments[0]) && (one.click(), true))"""
        self.wait(code, label, css, what=f"the button {label!r}")

    def person(self, name):
        """Opens a person of the list."""
        code = "[...document.querySelectorAll('.person')].some((one) => one.querySelector('strong').textContent === arguments[0] && (one.click(), true))"
        self.wait(code, name, what=f"the person {name!r}")

    def tick(self, label):
        self.press(label, "label")

    def part(self, name):
        self.js("location.hash = arguments[0]", name)

    def sign_in(self, url, key):
        self.open(url)
        self.type(".signin input", key)
        self.press("Sign in")

    def logged(self):
        return [line["message"] for line in self.send("POST", "/se/log", {"type": "browser"})]

    def clean(self, *expected):
        """Nothing was complained of in the console but failed requests that were meant to fail."""
        wrong = [line for line in self.logged() if not any(word in line for word in expected)]
        if wrong:
            fail(f"the console says {wrong}")

    def picture(self, name):
        if self.screenshots:
            self.shots += 1
            self.screenshots.mkdir(parents=True, exist_ok=True)
            data = self.cdp("Page.captureScreenshot", captureBeyondViewport=False)["data"]
            (self.screenshots / f"{name}.png").write_bytes(base64.b64decode(data))

    def judge(self, name):
        """Asks axe-core, and takes pictures, in every size and by light and dark."""
        for size, kind in ((DESKTOP, "desktop"), (PHONE, "phone")):
            for is_dark in (False, True):
                self.show(size, is_dark)
                # By way of the debugger: the policy of the page lets no other script in.
                self.cdp("Runtime.evaluate", expression="window.axe ? 0 : " + "(() => {" + self.axe_source + "})()")
                found = self.cdp("Runtime.evaluate", awaitPromise=True, returnByValue=True, expression="""axe.run(document, { resultTypes: ['violations'] })
                    .then((all) => JSON.stringify(all.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html.slice(0, 200))])))""")
                violations = json.loads(found["result"]["value"])
                if violations:
                    fail(f"axe on {name}, {kind}, dark {is_dark}: {json.dumps(violations, indent=1)}")
                if self.js("return document.documentElement.scrollWidth > innerWidth + 1"):
                    self.picture("failed")
                    fail(f"{name} is wider than the screen of a {kind}")
                time.sleep(0.1)
                self.picture(f"{name}-{kind}-{'dark' if is_dark else 'light'}")
        self.show(DESKTOP)


def data_url(path):
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


DRAW = """
const [pictures, frames, done] = arguments;
const load = (url) => new Promise((good, bad) => { const image = new Image(); image.onload = () => good(image); image.onerror = bad; image.src = url; });
Promise.all(pictures.map(load)).then((images) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 480];
  const context = canvas.getContext('2d');
  done(frames.map((parts) => {
    context.fillStyle = '#8a97a8';
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const { picture, left, top, height } of parts) {
      const image = images[picture];
      context.drawImage(image, left, top, height * image.naturalWidth / image.naturalHeight, height);
    }
    return canvas.toDataURL('image/jpeg', 0.9).split(',')[1];
  }));
}, (error) => done(String(error)));
"""


def draw(tab, pictures, frames):
    """JPEGs of 640 x 480, each made of pictures at places."""
    urls = [data_url(path) for path in pictures]
    made = tab.send("POST", "/execute/async", {"script": DRAW, "args": [urls, frames]})
    return [base64.b64decode(frame) for frame in made]


def film(path, frames, each=1):
    """A motion JPEG that shows every frame so many times."""
    path.write_bytes(b"".join(frame * each for frame in frames))
    return path
