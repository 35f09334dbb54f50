"""Build both container images and run them, on a Linux machine without a Docker engine.

    python tools/images.py            (make images-test; as root, a few minutes)

The base image that the Dockerfiles name is replaced by a minimal Debian of the same release and Python, made by
debootstrap and kept in /var/tmp for the next time. Then, against a real NATS and the simulated exchange: each image
is built, each container becomes healthy by the image's own health check, rows are stored, features come out, and
SIGTERM ends each with exit code 0. Exit codes: 0 all of that is true, 1 something is not, 2 this machine cannot do it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import http_json
import stack
from runner import Runner

KEPT = Path("/var/tmp/senpai-images-test")  # noqa: S108 - only root writes there, and only root runs this
BASE = KEPT / "base"
BASE_NAME = "docker.io/library/python:3.11-slim-bookworm"
CERTIFICATES = Path("/etc/ssl/certs")
NEEDED = ("buildah", "debootstrap")
USER = "10001"
HEALTHY_WITHIN_S = 60.0


class FailedError(Exception):
    """Something about an image is not as it should be."""


def say(text: str) -> None:
    print(f"images-test: {text}", flush=True)


def why_not_here() -> str | None:
    if sys.platform != "linux":
        return f"needs Linux, this is {sys.platform}"
    if os.geteuid() != 0:
        return "needs root (debootstrap and buildah's chroot isolation do): sudo make images-test"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"needs {' and '.join(missing)}: apt-get install {' '.join(missing)}" if missing else None


class Buildah:
    """buildah with a storage of its own, thrown away at the end."""

    def __init__(self, storage: Path) -> None:
        self._start = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._start += ["--storage-driver", "vfs"]
        os.environ["TMPDIR"] = str(storage)  # for what buildah leaves behind when it is killed

    def command(self, *words: str) -> list[str]:
        return [*self._start, *words]

    def __call__(self, *words: str) -> str:
        """Last line of the output. Raises FailedError after printing everything."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, cwd=stack.ROOT)
        if done.returncode != 0:
            print(done.stdout, done.stderr, sep="\n")
            raise FailedError(f"buildah {words[0]} ended with exit code {done.returncode}, see above")
        return (done.stdout.strip().splitlines() or [""])[-1]

    def image_config(self, image: str) -> dict[str, Any]:
        done = subprocess.run(self.command("inspect", "--type", "image", image), capture_output=True, check=True)
        config: dict[str, Any] = json.loads(done.stdout)["Docker"]["config"]
        return config


def make_base(buildah: Buildah) -> None:
    if not (BASE / "usr/bin/python").exists():
        say(f"making a minimal Debian in {BASE} (about a minute, once)")
        shutil.rmtree(BASE, ignore_errors=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        packages = "--include=python3,python3-venv,ca-certificates"
        log = KEPT / "debootstrap.log"
        with log.open("wb") as file:
            command = ["debootstrap", "--variant=minbase", packages, "bookworm", str(BASE)]
            if subprocess.run(command, stdout=file, stderr=file, check=False).returncode != 0:
                raise FailedError(f"debootstrap failed: see {log}")
        (BASE / "usr/bin/python").symlink_to("python3")
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(BASE), "/")
    buildah("commit", "--quiet", "--rm", container, BASE_NAME)


def build(buildah: Buildah, service: str) -> None:
    started = time.monotonic()
    options = ["--quiet", "--format", "docker", "--pull-never", "--isolation", "chroot", "--network", "host"]
    if CERTIFICATES.is_dir():
        options += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    buildah("bud", *options, "--file", f"services/{service}/Dockerfile", "--tag", service, ".")
    say(f"{service} is built after {time.monotonic() - started:.0f} s")


def descendants(pid: int) -> Iterator[int]:
    """Every process that `pid` started and those started in turn; the innermost comes last."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


class Container:
    """A running image."""

    def __init__(self, buildah: Buildah, service: str, environment: dict[str, str]) -> None:
        self.service = service
        self._buildah = buildah
        self._config = buildah.image_config(service)
        self._name = buildah("from", "--pull-never", service)
        self._settings = [f"{key}={value}" for key, value in environment.items()]
        self._popen = subprocess.Popen(self._command(self._config["Cmd"]))

    def _command(self, words: list[str]) -> list[str]:
        return self._buildah.command("run", "--isolation", "chroot", self._name, "--", "env", *self._settings, *words)

    def inside(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(words), capture_output=True, text=True, check=False)

    def check_user(self) -> None:
        user = self.inside(["id", "-u"]).stdout.strip()
        if user != USER:
            raise FailedError(f"{self.service} runs as user {user!r}, not {USER}")

    def wait_for_health(self) -> None:
        """Ask by the image's own health check."""
        kind, *check = self._config["Healthcheck"]["Test"]
        if kind != "CMD":
            raise FailedError(f"{self.service} has a health check of kind {kind!r}, which needs a shell")
        self.wait_for(lambda: self.inside(check).returncode == 0, "healthy")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        started = time.monotonic()
        while not condition():
            if self._popen.poll() is not None:
                raise FailedError(f"{self.service} ended with exit code {self._popen.returncode} before it was {what}")
            if time.monotonic() - started > HEALTHY_WITHIN_S:
                raise FailedError(f"{self.service} was not {what} within {HEALTHY_WITHIN_S:.0f} s")
            time.sleep(0.2)
        say(f"{self.service} is {what} after {time.monotonic() - started:.1f} s")

    def stop(self) -> None:
        """SIGTERM to the process inside, as an engine would; buildah itself would pass it on as SIGKILL."""
        inner = [*descendants(self._popen.pid)][-1]
        os.kill(inner, signal.SIGTERM)
        code = self._popen.wait(timeout=30)
        if code != 0:
            raise FailedError(f"{self.service} ended with exit code {code} on SIGTERM")
        say(f"{self.service} stopped with exit code 0 on SIGTERM")

    def kill(self) -> None:
        """End what is left after a failure."""
        if self._popen.poll() is None:
            for pid in [*descendants(self._popen.pid)][::-1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.wait()  # buildah ends with what it runs, and tidies up


def has_features(port: int) -> bool:
    try:
        return http_json.get_json(port, "/features/latest?symbol=BTCUSDT")["features"]["mid"] is not None
    except http_json.NoAnswerError:
        return False


def has_rows(port: int) -> bool:
    """Whether the store, in the image's own data folder, is written to."""
    try:
        return int(http_json.get_json(port, "/bus-stats")["storage"]["stored"]) > 0
    except http_json.NoAnswerError:
        return False


def run_images(buildah: Buildah, options: argparse.Namespace) -> None:
    environments = {
        stack.PRODUCER: {
            "NATS_URL": f"nats://127.0.0.1:{options.nats_port}",
            "BINANCE_WS_URL": f"ws://127.0.0.1:{options.sim_port}",
            "BINANCE_REST_URL": f"http://127.0.0.1:{options.sim_port}",
            "HTTP_PORT": str(options.producer_port),
        },
        stack.CONSUMER: {
            "NATS_URL": f"nats://127.0.0.1:{options.nats_port}",
            "HTTP_PORT": str(options.consumer_port),
        },
    }
    containers: list[Container] = []
    try:
        for service, environment in environments.items():
            containers.append(Container(buildah, service, environment))
            containers[-1].check_user()
            containers[-1].wait_for_health()
        containers[0].wait_for(lambda: has_rows(options.producer_port), "storing rows")
        containers[-1].wait_for(lambda: has_features(options.consumer_port), "giving features")
        for container in containers:
            container.stop()
    finally:
        for container in containers:
            container.kill()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def prove(scratch: Path) -> None:
    """Do everything the module promises. Raises FailedError."""
    buildah = Buildah(scratch)
    make_base(buildah)
    for service in (stack.PRODUCER, stack.CONSUMER):
        build(buildah, service)
    names = ("nats", "nats-monitor", "sim", "producer", "consumer")
    ports = [f"--{name}-port={port}" for name, port in zip(names, free_ports(len(names)), strict=True)]
    options = stack.parse(["--data", str(scratch), *ports])
    runner = Runner([stack.nats_server(options), stack.simulator(options)], stack.STOP_ORDER)

    def when_up() -> None:
        run_images(buildah, options)
        runner.ask_to_stop()

    if runner.run(when_up) != 0:
        raise FailedError("NATS or the simulator failed, see above")


def main() -> int:
    reason = why_not_here()
    if reason:
        print(f"images-test: {reason}", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="senpai-images-", dir="/var/tmp") as scratch:
            prove(Path(scratch))
    except FailedError as error:
        print(f"images-test: {error}", file=sys.stderr)
        return 1
    say("both images build, become healthy, compute features and stop cleanly")
    return 0


if __name__ == "__main__":
    sys.exit(main())
