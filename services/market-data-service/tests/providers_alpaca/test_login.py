"""Logging in, and being turned away."""

import itertools
from typing import Any

from app.providers.alpaca.login import TRANSITIONS, LoginState, Sign


def test_it_logs_in_when_greeted_and_subscribes_when_let_in(dial: Any, alpaca: Any) -> None:
    line = dial("crypto", ["BTC/USD", "ETH/USD"])
    line.open()
    assert line.sent == []
    line.hear(alpaca.connected)
    assert line.asked() == [{"action": "auth", "key": alpaca.key, "secret": alpaca.secret}]
    line.hear(alpaca.authenticated)
    pairs = ["BTC/USD", "ETH/USD"]
    assert line.asked() == [{"action": "subscribe", "trades": pairs, "quotes": pairs, "orderbooks": pairs}]
    assert not line.conversation.subscribed()


def test_it_logs_in_without_a_greeting_after_a_second(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.pass_time(0.9)
    assert line.sent == []
    line.pass_time(0.2)
    assert [message["action"] for message in line.asked()] == ["auth"]
    line.hear(alpaca.connected)
    assert line.asked() == []


def test_no_answer_to_the_login_ends_the_connection(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.pass_time(9.9)
    assert line.hang_ups == []
    line.pass_time(60)
    assert [hang_up.reason for hang_up in line.hang_ups] == ["no answer to the login within 10 s"]


def test_while_another_session_is_open_it_tries_again_on_the_same_socket(dial: Any, alpaca: Any) -> None:
    """406 after an abrupt drop: the venue takes up to half a minute to notice that our last connection is gone."""
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.asked()
    for tries in range(1, 11):
        line.fail(406, "connection limit exceeded")
        line.pass_time(0.5 * tries - 0.1)
        assert line.asked() == []
        line.pass_time(0.2)
        assert [message["action"] for message in line.asked()] == ["auth"]
    assert line.hang_ups == []
    line.hear(alpaca.authenticated)
    assert [message["action"] for message in line.asked()] == ["subscribe"]
    assert len([notice for notice in line.notices if notice.event == "login refused"]) == 1
    assert line.provider.counters.turned_away == 10


def test_after_fifteen_logins_it_leaves_the_socket_for_a_while(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    for _ in range(15):
        assert line.hang_ups == []
        line.fail(406, "connection limit exceeded")
        line.pass_time(8)
    assert len(line.sent) == 15
    (hang_up,) = line.hang_ups
    assert "connection limit exceeded" in hang_up.reason
    assert 5 <= hang_up.wait_s <= 60
    line.fail(406)
    line.pass_time(100)
    assert len(line.sent) == 15


def test_a_session_that_is_taken_over_by_another_connects_anew(dial: Any) -> None:
    line = dial()
    line.log_in()
    line.fail(406, "connection limit exceeded")
    assert [hang_up.wait_s for hang_up in line.hang_ups] == [0.0]


def test_already_authenticated_is_as_good_as_authenticated(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.asked()
    line.fail(403, "already authenticated")
    assert [message["action"] for message in line.asked()] == ["subscribe"]
    line.fail(403, "already authenticated")
    assert line.asked() == []
    assert line.hang_ups == []


def test_the_table_leads_nowhere_unknown_and_out_of_every_state() -> None:
    for state, sign in itertools.product(LoginState, Sign):
        assert TRANSITIONS.get((state, sign), state) in LoginState
    for state in set(LoginState) - {LoginState.IN, LoginState.OVER}:
        assert {after for (before, _), after in TRANSITIONS.items() if before is state} - {state}
