"""The Dockerfiles and compose files, as far as they can be checked without an engine (see make images-test)."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
PORTS = {"nats": {4222, 8222}, "market-data-service": {8891}, "senpai-md-consumer": {8892}}
COMPOSE = {
    "docker-compose.node1.yml": {"nats", "market-data-service", "senpai-md-consumer"},
    "services/senpai-md-consumer/docker-compose.senpai.yml": {"nats", "senpai-md-consumer"},
}
DOCKERFILES = sorted(path.relative_to(ROOT) for path in ROOT.glob("services/*/Dockerfile"))
IN_COMPOSE = [(file, service) for file, services in COMPOSE.items() for service in sorted(services)]


def compose(file: str) -> dict[str, Any]:
    parsed = yaml.safe_load((ROOT / file).read_text())
    assert isinstance(parsed, dict)
    return parsed


def service_of(file: str, service: str) -> dict[str, Any]:
    parsed = compose(file)["services"][service]
    assert isinstance(parsed, dict)
    return parsed


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    said = subprocess.run([SCRIPTS / "hadolint", ROOT / dockerfile], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_an_image_runs_as_nobody_special_and_says_when_it_is_healthy(dockerfile: Path) -> None:
    last = dict(instructions(dockerfile))  # of each kind, the last one counts
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last["USER"])
    assert {int(last["EXPOSE"])} == PORTS[dockerfile.parent.name]
    assert json.loads(last["CMD"])[:2] == ["python", "-m"]
    check = json.loads(last["HEALTHCHECK"].split("CMD", 1)[1])
    assert "/health" in check[-1]
    compile(check[-1], "health check", "exec")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_an_image_installs_only_what_is_pinned_by_hash(dockerfile: Path) -> None:
    steps = [words for kind, words in instructions(dockerfile) if kind == "RUN"]
    installs = [part for step in steps for part in step.split("&&") if re.search(r"pip (install|wheel|download)", part)]
    assert len(installs) == 4
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-" in install, install


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=str)
def test_everything_an_image_copies_is_let_through_to_the_build(dockerfile: Path) -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for kind, words in instructions(dockerfile):
        source = words.split()[0]
        if kind == "COPY" and not source.startswith("--from"):
            assert (ROOT / source).exists(), source
            assert any(Path(each).is_relative_to(source) or Path(source).is_relative_to(each) for each in let_through)


@pytest.mark.parametrize("file", COMPOSE)
def test_a_compose_file_runs_the_services_the_specification_names(file: str) -> None:
    assert set(compose(file)["services"]) == COMPOSE[file]


@pytest.mark.parametrize(("file", "service"), IN_COMPOSE)
def test_ports_are_published_to_this_machine_alone(file: str, service: str) -> None:
    published = [port.split(":") for port in service_of(file, service)["ports"]]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert {int(inner) for _, _, inner in published} == {int(outer) for _, outer, _ in published} == PORTS[service]


@pytest.mark.parametrize(("file", "service"), IN_COMPOSE)
def test_a_container_can_do_no_more_than_it_must(file: str, service: str) -> None:
    settings = service_of(file, service)
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["tmpfs"] == ["/tmp"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(settings)


@pytest.mark.parametrize(("file", "service"), IN_COMPOSE)
def test_services_wait_for_a_healthy_nats(file: str, service: str) -> None:
    settings = service_of(file, service)
    if service == "nats":
        assert settings["healthcheck"]["test"][-1].endswith(":8222/healthz")
    else:  # the health check is the image's own
        assert settings["depends_on"] == {"nats": {"condition": "service_healthy"}}
        assert settings["environment"]["NATS_URL"] == "nats://nats:4222"


@pytest.mark.parametrize(("file", "service"), IN_COMPOSE)
def test_the_files_a_compose_file_points_at_exist(file: str, service: str) -> None:
    here = (ROOT / file).parent
    settings = service_of(file, service)
    if "build" in settings:
        context = here / settings["build"]["context"]
        assert context.resolve() == ROOT
        assert (context / settings["build"]["dockerfile"]).is_file()
    for volume in settings.get("volumes", []):
        if volume.startswith("."):
            assert (here / volume.split(":")[0]).is_file()


@pytest.mark.parametrize("config", ["nats.conf", "container.conf"])
def test_nats_server_accepts_its_configuration(config: str, tmp_path: Path) -> None:
    command = [str(SCRIPTS / "nats-server"), "-t", "-c", str(ROOT / "deploy" / "nats" / config)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
