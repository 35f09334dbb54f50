"""The key and its secret are sent, and never shown."""

import json
import traceback
from typing import Any

import pytest

from app.providers.alpaca import Alpaca, Credentials


def shown(line: Any) -> str:
    """Everything that people get to see of a connection."""
    wants = [*line.notices, *line.hang_ups]
    return "\n".join([repr(wants), str(line.frames[:1]), repr(line.provider.quarantine.samples), repr(line.events)])


def hides(alpaca: Any, text: str) -> bool:
    plain = text.replace("\\", "")
    return alpaca.secret not in plain and alpaca.key not in plain


def test_credentials_show_as_stars() -> None:
    credentials = Credentials("the-key", "the-secret")
    assert f"{credentials} {credentials!r} {credentials.login()} {credentials.login()!r}" == "*** *** *** ***"
    assert json.loads(credentials.login()) == {"action": "auth", "key": "the-key", "secret": "the-secret"}


@pytest.mark.parametrize(("key", "secret"), [("", "x"), ("x", ""), ("x", "a b"), ("x\n", "y"), ("é", "y")])
def test_unusable_credentials_are_refused_without_showing_them(key: str, secret: str) -> None:
    with pytest.raises(ValueError, match=r"expected an Alpaca (key|secret) of printable characters") as caught:
        Credentials(key, secret)
    assert "a b" not in str(caught.value)


def test_the_frame_that_logs_in_shows_as_stars(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    conversation = line.conversation
    conversation.decode(json.dumps(alpaca.connected).encode(), line.wall)
    conversation.on_time(line.now)
    (want,) = conversation.wants
    assert hides(alpaca, f"{want!r} {want}")
    assert alpaca.secret in bytes(want.frame).decode()


def echoes(alpaca: Any) -> list[str]:
    """What a venue might repeat of us, with slashes as they are and escaped."""
    keys = {"action": "auth", "key": alpaca.key, "secret": alpaca.secret}
    frames = [keys, [keys], [{"T": "t", "S": alpaca.secret}], [{"T": "success", "msg": alpaca.key}], alpaca.secret]
    plain = [*map(json.dumps, frames), "no json: " + alpaca.secret]
    return plain + [frame.replace("/", "\\/") for frame in plain]


@pytest.mark.parametrize("number", range(12))
def test_a_venue_that_repeats_the_secret_is_not_quoted(dial: Any, alpaca: Any, number: int) -> None:
    echo = echoes(alpaca)[number]
    before, after = dial(), dial()
    before.open()
    after.log_in()
    for line in (before, after):
        line.hear(echo, "x" * 230 + echo)
        line.fail(500, "x" * 190 + echo)
        assert line.provider.quarantine.total >= 2
        assert line.hang_ups
        assert line.notices
        assert hides(alpaca, shown(line))
        assert alpaca.secret[:8] not in shown(line)


def test_a_login_error_that_quotes_us_is_not_quoted(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.fail(402, f"auth failed for {alpaca.key}")
    assert [hang_up.reason for hang_up in line.hang_ups] == ["error 402: ***"]


def test_tracebacks_with_locals_hide_them(alpaca: Any) -> None:
    def fails(credentials: Credentials, provider: Alpaca, frame: bytes) -> None:
        raise RuntimeError

    credentials = Credentials(alpaca.key, alpaca.secret)
    with pytest.raises(RuntimeError) as caught:
        fails(credentials, Alpaca(credentials), credentials.login())
    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert {"credentials", "provider", "frame"} <= set(stack[-1].locals or {})
    assert hides(alpaca, str(stack[-1].locals))
