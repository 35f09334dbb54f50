"""Credentials and TLS: they work, and no secret is ever shown."""

import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from nats_link import BadUrlError, Link, LinkOptions
from nats_link.testing import NatsServer, free_port

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]
Listen: TypeAlias = Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]

USER = 'authorization {{ user: "feed", password: "{}" }}'


@pytest.mark.parametrize(
    ("config", "userinfo"),
    [
        (USER.format("canary-secret"), "feed:canary-secret@"),
        (USER.format("p@ss:w/rd,%"), "feed:p%40ss%3Aw%2Frd%2C%25@"),
        ('authorization { token: "canary-token" }', "canary-token@"),
    ],
)
async def test_credentials_of_the_url_are_used(start_link: Start, until: Until, config: str, userinfo: str) -> None:
    with NatsServer(config) as server:
        link = start_link(f"nats://{userinfo}127.0.0.1:{server.port}")
        await until(lambda: link.connected)
        await link.close(1)


async def test_wrong_credentials_are_named_and_never_shown(
    start_link: Start, until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    with NatsServer(USER.format("right")) as server:
        link = start_link(f"nats://feed:canary-secret@127.0.0.1:{server.port}")
        await until(lambda: link.errors >= 3)
        assert link.last_error == "Authorization Violation"
        said = capsys.readouterr()
        assert said.out.count("refuses the credentials (Authorization Violation)") == 1
        assert "NATS_URL" in said.out
        assert "canary" not in said.out + said.err + repr(link.__dict__.values())
        server.stop()
        with NatsServer(USER.format("canary-secret"), port=server.port):
            await until(lambda: link.connected)
            await link.close(1)


async def test_a_missing_permission_is_reported_and_the_connection_stays(
    start_link: Start, listen: Listen, until: Until
) -> None:
    config = 'authorization { users = [{ user: a, password: b, permissions: { publish: "ok.>" } }] }'
    with NatsServer(config) as server:
        url = f"nats://a:b@127.0.0.1:{server.port}"
        seen = await listen(url, "ok.>")
        link = start_link(url)
        await until(lambda: link.connected)
        assert link.publish("not.ok", b"x")
        assert link.publish("ok.x", b"y")
        await until(lambda: seen)
        assert "permissions violation for publish" in str(link.last_error)
        assert (seen, link.errors, link.reconnects) == ([("ok.x", b"y")], 1, 0)
        await link.close(1)


@pytest.mark.parametrize(
    "url", ["http://canary@h", "nats://", "nats://u:canary@", "nats://u:canary/x@h:4222", "nats://u:canary@h:99999"]
)
def test_a_url_that_is_none_says_so_without_its_secrets(url: str) -> None:
    with pytest.raises(BadUrlError, match="expected a URL like nats://host:port") as caught:
        Link(LinkOptions(url=url, name="test"))
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(LinkOptions(url=url, name="test"))


async def test_a_host_that_does_not_exist_is_named(start_link: Start, until: Until) -> None:
    link = start_link("nats://u:canary@no-such-host.invalid:4222")
    await until(lambda: link.errors >= 1)
    assert link.last_error == "the host name cannot be resolved"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


async def test_messages_go_over_tls(start_link: Start, until: Until, certificate: tuple[Path, Path]) -> None:
    file, key = certificate
    with NatsServer(f'tls {{ cert_file: "{file}", key_file: "{key}" }}') as server:
        seen: list[int] = []
        url = f"tls://127.0.0.1:{server.port}"
        link = start_link(
            url,
            [("t", "", lambda _, payload: seen.append(int(payload)))],
            tls=ssl.create_default_context(cafile=str(file)),
        )
        await until(lambda: link.connected)
        assert all(link.publish("t", b"%d" % number) for number in range(20_000))
        await until(lambda: len(seen) == 20_000)
        assert seen == list(range(20_000))
        untrusting = start_link(url)
        await until(lambda: untrusting.errors >= 1)
        assert "TLS: " in str(untrusting.last_error)
        await link.close(1)
        await untrusting.close(1)


async def test_several_servers_are_tried_in_turn(nats_server: NatsServer, start_link: Start, until: Until) -> None:
    link = start_link(f"nats://127.0.0.1:{free_port()},nats://127.0.0.1:{nats_server.port}")
    await until(lambda: link.connected)
