"""Credentials and TLS: they work, and no secret is ever shown."""

import base64
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from nats_link import BadAccessError, BadUrlError, Link, LinkOptions
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
    link = start_link("nats://u:canary@no-such-host.invalid:4222", allow_insecure=True)
    await until(lambda: link.errors >= 1)
    assert link.last_error == "the host name cannot be resolved"


@pytest.mark.parametrize("host", ["10.0.0.1", "nats.example.com", "127.0.0.1.example.com", "[2001:db8::1]", "0.0.0.0"])
@pytest.mark.parametrize("userinfo", ["feed:canary-secret@", "canary-token@"])
def test_a_password_does_not_leave_the_machine_unencrypted(host: str, userinfo: str) -> None:
    with pytest.raises(BadAccessError, match=r"unencrypted: use tls://, or set NATS_ALLOW_INSECURE=true") as caught:
        Link(LinkOptions(url=f"nats://{userinfo}{host}:4222", name="test"))
    assert "canary" not in str(caught.value)
    Link(LinkOptions(url=f"nats://{userinfo}{host}:4222", name="test", allow_insecure=True))
    Link(LinkOptions(url=f"tls://{userinfo}{host}:4222", name="test"))
    Link(LinkOptions(url=f"nats://{host}:4222", name="test"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
def test_a_password_may_go_to_this_machine(host: str) -> None:
    Link(LinkOptions(url=f"nats://u:p@{host}:4222", name="test"))
    with pytest.raises(BadAccessError, match="unencrypted"):
        Link(LinkOptions(url=f"nats://u:p@{host}:4222,nats://u:p@10.0.0.1:4222", name="test"))


async def test_a_server_that_denies_tls_hears_neither_name_nor_password(
    fake_server: Any, start_link: Start, until: Until
) -> None:
    link = start_link(fake_server.url.replace("nats://", "tls://feed:canary-secret@"))
    await until(lambda: link.errors >= 3)
    assert link.last_error == "TLS is wanted (tls://) and the server does not speak it"
    assert not link.connected
    assert fake_server.heard == []


async def test_a_server_without_tls_is_not_spoken_to(start_link: Start, until: Until) -> None:
    with NatsServer() as server:
        link = start_link(f"tls://127.0.0.1:{server.port}")
        await until(lambda: link.errors >= 2)
        assert "does not speak it" in str(link.last_error)
        assert not link.connected
        await link.close(1)


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    certificate, key = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path, "localhost")


async def test_both_sides_show_a_certificate(
    start_link: Start, until: Until, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    file, key = certificate
    ours, our_key = make_certificate(tmp_path, "feed")
    config = f'tls {{ cert_file: "{file}", key_file: "{key}", ca_file: "{ours}", verify: true }}'
    with NatsServer(config) as server:
        url = f"nats://127.0.0.1:{server.port}"
        link = start_link(url, tls_ca_file=file, tls_cert_file=ours, tls_key_file=our_key)
        await until(lambda: link.connected)
        nobody = start_link(url, tls_ca_file=file)
        await until(lambda: nobody.errors >= 1)
        assert not nobody.connected
        await link.close(1)
        await nobody.close(1)


async def test_a_host_of_another_name_is_refused(start_link: Start, until: Until, tmp_path: Path) -> None:
    file, key = make_certificate(tmp_path, "elsewhere")
    with NatsServer(f'tls {{ cert_file: "{file}", key_file: "{key}" }}') as server:
        link = start_link(f"tls://localhost:{server.port}", tls_ca_file=file)
        await until(lambda: link.errors >= 1)
        assert "Hostname mismatch" in str(link.last_error)
        assert not link.connected
        await link.close(1)


@pytest.fixture
def nkeys() -> Any:
    return pytest.importorskip("nkeys", reason="needs the package nkeys: pip install nkeys")


def user_seed(nkeys: Any) -> tuple[bytes, str]:
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed, nkeys.from_seed(bytearray(seed)).public_key.decode()


async def test_a_seed_signs_and_is_never_sent(start_link: Start, until: Until, tmp_path: Path, nkeys: Any) -> None:
    seed, public = user_seed(nkeys)
    file = tmp_path / "user.nk"
    file.write_bytes(seed + b"\n")
    with NatsServer(f"authorization {{ users = [{{ nkey: {public} }}] }}") as server:
        link = start_link(server.url, nkey_file=file)
        await until(lambda: link.connected)
        file.write_bytes(user_seed(nkeys)[0])
        server.restart()
        await until(lambda: link.last_error == "Authorization Violation")
        assert seed.decode() not in repr(link.__dict__.values())
        await link.close(1)


def token(issuer: Any, subject: str, **claims: Any) -> str:
    """A JWT as NATS wants it."""

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = {"iss": issuer.public_key.decode(), "sub": subject, "iat": 1, "name": "x", "nats": {"version": 2, **claims}}
    text = part({"typ": "JWT", "alg": "ed25519-nkey"}) + b"." + part(body)
    return (text + b"." + base64.urlsafe_b64encode(issuer.sign(text)).rstrip(b"=")).decode()


async def test_a_creds_file_is_enough(start_link: Start, until: Until, tmp_path: Path, nkeys: Any) -> None:
    operator, account = [
        nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))
        for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT)
    ]
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    operators = token(operator, operator.public_key.decode(), type="operator")
    accounts = token(operator, account.public_key.decode(), type="account", limits={**unlimited, "wildcards": True})
    seed, public = user_seed(nkeys)
    users = token(account, public, type="user", subs=-1, data=-1, payload=-1)
    file = tmp_path / "user.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{users}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed.decode()}\n------END USER NKEY SEED------\n"
    )
    name = account.public_key.decode()
    config = f"operator: {operators}\nresolver: MEMORY\nresolver_preload: {{ {name}: {accounts} }}"
    with NatsServer(config, jetstream=False) as server:
        link = start_link(server.url, creds_file=file)
        await until(lambda: link.connected)
        stranger = start_link(server.url)
        await until(lambda: stranger.errors >= 1)
        assert not stranger.connected
        await link.close(1)
        await stranger.close(1)


def test_files_that_cannot_be_used_are_named_at_once(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    here, missing = tmp_path / "here", tmp_path / "missing"
    here.write_text("canary")

    def make(**options: Any) -> Link:
        return Link(LinkOptions(url="nats://127.0.0.1:1", name="test", **options))

    for option in ("creds_file", "nkey_file", "tls_ca_file"):
        with pytest.raises(BadAccessError, match=f"^NATS_{option.upper()}: expected a file, found none: '{missing}'"):
            make(**{option: missing})
    with pytest.raises(BadAccessError, match="NATS_NKEY_FILE"):
        make(creds_file=here, nkey_file=here)
    with pytest.raises(BadAccessError, match="NATS_TLS_KEY_FILE"):
        make(tls_cert_file=certificate[0])
    with pytest.raises(BadAccessError, match="expected certificates in PEM") as caught:
        make(tls_ca_file=here)
    assert "canary" not in str(caught.value)


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
