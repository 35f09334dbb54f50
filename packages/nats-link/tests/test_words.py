"""What is shown to people: addresses, reasons, delays."""

import errno
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats_link import redact
from nats_link.address import parse
from nats_link.backoff import Backoff
from nats_link.reason import reason_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("nats://u:p@h:4222", "nats://***@h:4222"),
        ("nats://token@h", "nats://***@h"),
        ("u:p@h:4222", "***@h:4222"),
        ("nats://u:p@ss/w@h", "nats://***@h"),
        ("nats://u:p,q@h,nats://v:r@i", "nats://***@h,nats://***@i"),
        ("cannot reach nats://u:p@h: refused", "cannot reach nats://***@h: refused"),
    ],
)
def test_redact_hides_what_is_before_the_host(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters=" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f"), min_size=1),
        min_size=1,
        max_size=3,
    )
)
def test_redact_hides_any_password(passwords: list[str]) -> None:
    marked = [f"canary{password}canary" for password in passwords]
    shown = redact(",".join(f"nats://user:{password}@host" for password in marked))
    assert "canary" not in shown or any("://" in password for password in passwords)
    assert shown.endswith("@host")


@pytest.mark.parametrize(
    ("url", "servers", "user", "password", "token"),
    [
        ("nats://h", ["nats://h:4222"], None, None, None),
        ("h:1", ["nats://h:1"], None, None, None),
        ("tls://u:p@h:1", ["tls://h:1"], "u", "p", None),
        ("nats://u:@h", ["nats://h:4222"], "u", "", None),
        ("nats://t%2F@[::1]:5", ["nats://[::1]:5"], None, None, "t/"),
        ("nats://u:p@h1,nats://u:p@h2:9", ["nats://h1:4222", "nats://h2:9"], "u", "p", None),
    ],
)
def test_a_url_is_read(url: str, servers: list[str], user: str | None, password: str | None, token: str | None) -> None:
    address = parse(url)
    assert (address.servers, address.user, address.password, address.token) == (servers, user, password, token)
    assert "p" not in repr(address).replace("password", "").replace("nats:", "")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 4222)"), "connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] ..."),
            "connection refused",
        ),
        (TimeoutError(), "no answer in time"),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)"),
            "TLS: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)",
        ),
        (ValueError("see nats://u:p@h"), "see nats://***@h"),
        (EOFError(), "EOFError"),
        (None, "no reason given"),
    ],
)
def test_an_error_becomes_a_short_phrase(error: Exception | None, reason: str) -> None:
    assert reason_of(error) == reason


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_delays_grow_within_their_bounds(fractions: list[float]) -> None:
    backoff = Backoff(0.1, 2.0)
    expected = 0.1
    for fraction in fractions:
        assert expected / 2 <= backoff.next_s(fraction) <= expected
        expected = min(2.0, expected * 2)
    backoff.reset()
    assert backoff.next_s(0.5) <= 0.1
