"""A Spark master and two workers as processes of their own on this machine, with authentication and
encryption as docs/jobs.md has them."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyspark

HOME = Path(pyspark.__file__).parent
#: How long anything may take that is waited for.
PATIENCE = 180.0

SETTINGS = """\
spark.authenticate                      true
spark.authenticate.secret               {secret}
spark.network.crypto.enabled            true
spark.network.crypto.cipher             AES/GCM/NoPadding
spark.network.crypto.saslFallback       false
spark.io.encryption.enabled             true
spark.io.encryption.keySizeBits         256
spark.ui.enabled                        false
spark.master.rest.enabled               false
spark.driver.memory                     512m
spark.executor.memory                   512m
"""


def until(what: str, is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Waits for something."""
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"waited {patience:.0f} s, and not so: {what}")
        time.sleep(0.005)


def settings(folder: Path, secret: str) -> Path:
    """A folder with Spark's settings, which nobody else reads."""
    folder.mkdir(parents=True)
    file = folder / "spark-defaults.conf"
    file.touch(mode=0o600)
    file.write_text(SETTINGS.format(secret=secret))
    # What is said of each task would hide what this script says.
    (folder / "log4j2.properties").write_text(
        "rootLogger.level = warn\nrootLogger.appenderRef.stdout.ref = console\n"
        "appender.console.type = Console\nappender.console.name = console\n"
        "appender.console.target = SYSTEM_ERR\nappender.console.layout.type = PatternLayout\n"
        "appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex\n"
        "logger.worker.name = org.apache.spark.deploy.worker.Worker\nlogger.worker.level = info\n"
        # Who is refused.
        "logger.auth.name = org.apache.spark.network.crypto.AuthRpcHandler\n"
        "logger.auth.level = debug\n"
    )
    return folder


class Cluster:
    """The processes, which end with the `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.secret = folder, secrets.token_hex(32)
        self.conf = settings(folder / "conf", self.secret)
        self.port, self.running = _free_port(), []
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        """Starts all, and waits until both workers are known."""
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--webui-port", "0"]
        self._start("master", "org.apache.spark.deploy.master.Master", place)
        until("the master listens", lambda: _listens(self.port))
        for number in range(2):
            self.add_worker(f"worker{number}")

    def __exit__(self, *_: object) -> None:
        """Ends what runs, executors too."""
        for process in self.running:
            kill_tree(process.pid)
            process.wait()

    @property
    def url(self) -> str:
        """Where drivers go."""
        return f"spark://127.0.0.1:{self.port}"

    def add_worker(self, name: str) -> None:
        """Starts a worker of one core."""
        what = ["--host", "127.0.0.1", "--cores", "1", "--memory", "600m", "--webui-port", "0"]
        what += ["--work-dir", str(self.folder / name), self.url]
        self.workers.append(self._start(name, "org.apache.spark.deploy.worker.Worker", what))
        until(f"{name} is known", lambda: "registered with master" in self.log(name))

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _start(self, name: str, kind: str, what: list[str]) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [HOME / "bin" / "spark-class", kind, *what],
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.running.append(process)
        return process

    def environment(self, conf: Path | None = None) -> dict[str, str]:
        """Of every process of the cluster and of its drivers."""
        return os.environ | {
            "SPARK_HOME": str(HOME),
            "SPARK_CONF_DIR": str(conf or self.conf),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_WORKER_OPTS": "-Dspark.worker.ui.port=0",
            "SPARK_NO_DAEMONIZE": "1",
            "PYSPARK_PYTHON": sys.executable,
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def children(of: int) -> list[int]:
    """Processes below one, the nearest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, at = [of], 0
    while at < len(found):
        found += parents.get(found[at], [])
        at += 1
    return found[1:]


def kill_tree(pid: int) -> list[int]:
    """Kills a process and all below it, as a machine that is gone. Returns who was killed."""
    family = [pid, *children(pid)]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    return family
