#!/usr/bin/env python3
"""Follows pages as a new user does: in an empty folder, line by line, and compares what comes with what they promise.

In a page, fences of `sh` are pasted into one shell after the other; a fence of `json`, `text` or nothing behind one is
what it prints, all of it. What must differ from run to run (ids, secrets, times, last digits of similarities) is not
compared, nor is what `…` stands for. Behind `sh` may stand

    background    it goes on in a terminal of its own until the page ends; the page goes on when it listens
    exit=N        a command ends with that code
    not run       it is shown only: it is done before (the build), or elsewhere

Only addresses are put in the place of those in a page, so that it can run beside others. Standard library only, but
for what the pages themselves need. See ../quickstarts.sh.
"""

import argparse
import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS_MAX = 120
SAME_WITHIN = 0.002
# What pages listen at; another one is taken for each, so that nobody is in the way.
PORTS = (8040, 8050, 8443, 9040)
# The line of a page that names the service of the vendor.
OLD = "OLD=https://bws.bioid.com"
END = "\x01end\x01"
# What is another one in every run.
VOLATILE = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"vk_[0-9a-f]{16}_[A-Za-z0-9_-]+", "KEY"),
    (r"(Id|App-Secret)( +)\S+", r"\1\2SECRET"),
    (r"\b1[0-9]{12}\b", "MILLISECONDS"),
    (r"\b20\d\d-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r'("bytes": ?)\d+', r"\1BYTES"),
    (r"[─═]{2,}", "─"),
    (r"[ \t]+", " "),
]
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


class Fence:
    """A fence of commands, and what it promises."""

    def __init__(self, page, line, flags, text):
        self.page, self.line, self.flags, self.text, self.promised = page, line, flags, text, None

    def __str__(self):
        return f"{self.page}:{self.line}"


def fences(page):
    """The fences of commands in a page, in their order."""
    found, kind, lines, began = [], None, [], 0
    for at, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if kind is None and line.startswith("```"):
            kind, lines, began = line[3:].strip(), [], at
        elif kind is not None and line == "```":
            text = "".join(f"{line}\n" for line in lines)
            language, _, flags = kind.partition(" ")
            if language == "sh":
                found.append(Fence(page.name, began, flags, text))
            elif language in ("", "json", "text"):
                if not found or found[-1].promised is not None:
                    sys.exit(f"{page}:{began}: nothing stands before it that could print this")
                found[-1].promised = text
            else:
                sys.exit(f"{page}:{began}: a fence of `{language}` is neither run nor compared")
            kind = None
        elif kind is not None:
            lines.append(line)
    return found


def plain(line):
    """The line without what differs from run to run."""
    for pattern, name in VOLATILE:
        line = re.sub(pattern, name, line)
    return line.strip()


def is_same(promised, found):
    """Whether it is the line that was promised: numbers are nearly the same, and `…` is anything."""
    promised = plain(promised)
    parts = [".*".join(map(re.escape, text.split("…"))) for text in NUMBER.split(promised)]
    match = re.fullmatch(f"({NUMBER.pattern})".join(parts), plain(found))
    pairs = zip(NUMBER.findall(promised), match.groups()) if match else ()
    return bool(match) and all(abs(float(one) - float(other)) <= SAME_WITHIN for one, other in pairs)


def difference(promised, found):
    """What of the promise is not kept; nothing if all is. A line of `…` stands for any number of lines."""
    promised = [line for line in promised.splitlines() if line.strip()]
    found = [line for line in found.splitlines() if line.strip()]
    at = 0
    for place, line in enumerate(promised):
        if line.strip() == "…":
            following = promised[place + 1] if place + 1 < len(promised) else None
            while at < len(found) and (following is None or not is_same(following, found[at])):
                at += 1
        elif at == len(found):
            return f"nothing comes where this is promised: {line}"
        elif not is_same(line, found[at]):
            return f"promised: {line}\n   found: {found[at]}"
        else:
            at += 1
    return f"not promised: {found[at]}" if at < len(found) else None


class Shell:
    """One shell, into which fences are pasted."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.process = subprocess.Popen(["bash"], cwd=folder, env=environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.lines, self.others, self.fence_at = queue.Queue(), [], 0
        threading.Thread(target=self.read, daemon=True).start()
        # Whatever fails is noticed, also in the middle of a fence and of a pipe.
        self.process.stdin.write(f"set -E -o pipefail; trap 'printf \"{END}%s\\n\" $?' ERR\n")

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def paste(self, text):
        """What it prints, and the exit codes that are not 0."""
        self.fence_at += 1
        file = pathlib.Path(self.environment["FENCES"]) / f"{self.fence_at}.sh"
        file.write_text(text + "\n:\n")
        self.process.stdin.write(f". '{file}' < /dev/null; printf '\\n{END}done\\n'\n")
        self.process.stdin.flush()
        said, codes, until = [], [], time.monotonic() + SECONDS_MAX
        while True:
            try:
                line = self.lines.get(timeout=max(0.1, until - time.monotonic()))
            except queue.Empty:
                return "".join(said) + "\n(it does not end)", [-1]
            before, end, what = line.partition(END)
            said.append(before if end else line)
            if end and what.strip() == "done":
                return "".join(said), codes
            if end:
                codes.append(int(what))

    def start(self, text):
        """In a terminal of its own. Returns when it listens."""
        log = pathlib.Path(self.environment["FENCES"]) / f"terminal-{len(self.others)}.log"
        process = subprocess.Popen(["bash", "-c", text], cwd=self.folder, env=self.environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT)
        self.others.append(process)
        until = time.monotonic() + SECONDS_MAX
        while "listening" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > until:
                return log.read_text(errors="replace") + "\n(it does not listen)", [-1]
            time.sleep(0.05)
        # What comes behind that is the log.
        lines = log.read_text(errors="replace").splitlines(True)
        return "".join(line for line in lines if line.startswith(("{", "listening"))), []

    def end(self):
        for process in [*self.others, self.process]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def old_service(page, options, work):
    """What stands in the place of `OLD` of a page that has one: another Vultus, with the page's app and two people."""
    text = page.read_text(encoding="utf-8")
    if OLD not in text:
        yield {}
        return
    app, secret = (re.search(rf"^{name}=(\S+)", text, re.M)[1] for name in ("ID", "SECRET"))
    vultus, data = str(options.vultus), ["--data-dir", str(work / "old")]
    subprocess.run([vultus, "app", "create", "--name", "old", "--storage", "bws", "--id", app, "--secret-stdin", *data],
                   input=secret, text=True, check=True, capture_output=True)
    for number, face in (("4711", "obama-portrait"), ("4712", "biden-portrait")):
        picture = options.sources / "data" / "faces" / f"{face}.jpg"
        subprocess.run([vultus, "enroll", "--partition", "bws.112", "--class", number, picture, *data],
                       check=True, capture_output=True)
    service = subprocess.Popen([vultus, "serve", "--listen", "127.0.0.1:0", *data], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    try:
        address = json.loads(service.stdout.readline())["listening"]
        yield {OLD: f"OLD={address}"}
    finally:
        service.terminate()
        service.wait(20)


def follow(page, options, work):
    """Follows the page. Returns whether all promises are kept."""
    work.mkdir()
    with old_service(page, options, work) as places:
        return follow_with(page, options, work, places)


def follow_with(page, options, work, others):
    began, shown = time.monotonic(), 0
    places = {f"{host}:{port}": f"{host}:{other}" for port, other in zip(PORTS, free_ports(len(PORTS)))
              for host in ("127.0.0.1", "localhost")}
    places["~/vultus"] = str(options.sources)
    places |= others

    def placed(text):
        for place, other in places.items():
            text = text.replace(place, other)
        return text

    (work / "bin").mkdir()
    (work / "fences").mkdir()
    (work / "empty").mkdir()
    (work / "bin" / "vultus").symlink_to(options.vultus)
    # Nobody looks at a page that is opened here.
    for opener in ("xdg-open", "open"):
        (work / "bin" / opener).write_text("#!/bin/sh\n")
        (work / "bin" / opener).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VULTUS_", "NEW_APP"))}
    environment |= {"PATH": f"{work / 'bin'}:{os.environ['PATH']}", "HOME": str(work), "FENCES": str(work / "fences"),
                    "VULTUS_LISTEN": places["127.0.0.1:8040"], "LC_ALL": "C.UTF-8"}
    shell = Shell(work / "empty", environment)
    try:
        for fence in fences(page):
            if fence.flags == "not run":
                shown += 1
                continue
            text, promised = placed(fence.text), placed(fence.promised or "")
            said, codes = shell.start(text) if fence.flags == "background" else shell.paste(text)
            expected = [int(fence.flags[5:])] if fence.flags.startswith("exit=") else []
            wrong = f"exit codes {codes}, expected {expected}" if codes != expected else None
            if wrong is None and (fence.promised is not None or fence.flags != "background"):
                wrong = difference(promised, said)
            if wrong:
                print(f"{fence}: the page does not say what happens: {wrong}\n== commands\n{text}== output\n{said}")
                return False
    finally:
        shell.end()
    print(f"{page.name}: as promised ({time.monotonic() - began:.1f} s; {shown} fences are shown only)", flush=True)
    return True


def free_ports(count):
    """Ports that nobody has at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vultus", required=True, type=pathlib.Path)
    parser.add_argument("--sources", required=True, type=pathlib.Path)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    options.vultus, options.sources = options.vultus.resolve(), options.sources.resolve()
    kept = True
    for page in options.pages:
        with tempfile.TemporaryDirectory() as folder:
            kept &= follow(page, options, pathlib.Path(folder) / "home")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
