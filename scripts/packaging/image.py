#!/usr/bin/env python3
"""Carries the last stage of a Dockerfile out in a root, and runs what it describes as a platform would: read-only, as
its user, with a volume; asks its health check; stops it. In namespaces of its own. See ../packaging.sh."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time


def stage(path):
    """The instructions of the last stage: name and text."""
    text = re.sub(r"\\\n", " ", path.read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    instructions = [tuple(line.split(None, 1)) for line in lines]
    begins = max(at for at, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[begins + 1:]


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def main():
    path, root, program = (pathlib.Path(argument) for argument in sys.argv[1:])
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up") if shutil.which("ip") else None
    made = {"env": {"PATH": "/usr/local/bin:/usr/bin:/bin"}}
    for name, text in stage(path):
        carry_out(name, text, made, root, program)
    work = root.parent
    (work / "volume").mkdir()
    shutil.chown(work / "volume", *[int(part) for part in made["user"].split(":")])
    os.chmod(work / "volume", 0o700)
    run("mount", "--bind", str(root), str(root))
    run("mount", "--bind", str(work / "volume"), str(root) + made["volume"])
    run("mount", "-t", "tmpfs", "none", f"{root}/tmp")
    run("mount", "-t", "proc", "none", f"{root}/proc")
    run("mount", "--bind", "/dev", f"{root}/dev")
    run("mount", "-o", "remount,ro,bind", str(root))
    inside = ["chroot", f"--userspec={made['user']}", str(root), "env", "-i",
              *[f"{name}={value}" for name, value in made["env"].items()]]
    serve(inside, made)


def carry_out(name, text, made, root, program):
    if name == "COPY":
        source, target = text.split()[-2:]
        target = root / target.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program if "--from=build" in text else source, target)
    elif name == "RUN":
        run("chroot", str(root), "bash", "-c", text)
    elif name == "ENV":
        made["env"].update(part.split("=", 1) for part in text.split())
    elif name in ("ENTRYPOINT", "CMD"):
        made[name.lower()] = json.loads(text)
    elif name == "HEALTHCHECK":
        made["health"] = json.loads(text.split("CMD", 1)[1])
    elif name in ("USER", "VOLUME", "STOPSIGNAL"):
        made[name.lower()] = text
    elif name not in ("WORKDIR", "EXPOSE"):
        sys.exit(f"nobody has written what `{name}` does")


def serve(inside, made):
    assert not re.match(r"0\b|[a-z]", made["user"]), "the user is a number, and not root"
    # `chroot` and `env` become what they start, so that this is the program.
    service = subprocess.Popen(inside + made["entrypoint"] + made["cmd"], stdout=subprocess.PIPE)
    line = json.loads(service.stdout.readline())
    assert line["listening"].endswith(":8040"), line
    health = run(*inside, *made["health"], stdout=subprocess.DEVNULL)
    assert health.returncode == 0
    # What it says of itself: nothing is wrong, beside a service that runs.
    doctor = subprocess.run(inside + made["entrypoint"] + ["doctor", "--json"], stdout=subprocess.PIPE, text=True)
    findings = [json.loads(line) for line in doctor.stdout.splitlines()]
    wrong = [finding for finding in findings if finding["verdict"] == "wrong"]
    assert doctor.returncode == 0 and not wrong and len(findings) > 10, wrong or doctor
    written = subprocess.run(inside + ["bash", "-c", "echo x > /usr/local/x"], stderr=subprocess.DEVNULL)
    assert written.returncode != 0, "the root can be written"
    # A service that is gone is not healthy.
    began = time.monotonic()
    service.send_signal(signal.Signals[made["stopsignal"]])
    assert service.wait(60) == 0
    sick = subprocess.run(inside + made["health"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert sick.returncode != 0, "the health check does not notice"
    print(f"as user {made['user']} on a read-only root: it serves, is healthy, finds nothing wrong, and stops "
          f"in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
