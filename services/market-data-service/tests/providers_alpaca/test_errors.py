"""Every error code of the venue's table, and what follows from it."""

from typing import Any

import pytest

from app.providers.alpaca.errors import RULES, Action


@pytest.mark.parametrize("code", [402, 408, 409, 410, 411])
def test_a_fatal_error_stops_retrying_and_says_what_to_do(dial: Any, alpaca: Any, code: int) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.fail(code, "some words")
    line.pass_time(3600)
    (hang_up,) = line.hang_ups
    assert hang_up.reason == f"error {code}: some words"
    assert 300 <= hang_up.wait_s <= 900
    (notice,) = line.notices
    assert notice.fields["answer"] == f"error {code}: some words"
    assert notice.fields["do"] == RULES[code].advice != ""
    assert notice.fields["next"] == "trying again in 10 min"
    assert len(line.sent) == 1


def test_the_advice_names_what_is_to_be_changed() -> None:
    assert "ALPACA_API_KEY" in RULES[402].advice
    assert "ALPACA_FEED" in RULES[409].advice


@pytest.mark.parametrize("code", [401, 404, 407, 500, 999])
def test_other_errors_connect_anew(dial: Any, alpaca: Any, code: int) -> None:
    line = dial()
    line.log_in()
    line.fail(code, "words")
    line.fail(code, "words")
    assert [(hang_up.reason, hang_up.wait_s) for hang_up in line.hang_ups] == [(f"error {code}: words", 0.0)]
    assert all(notice.fields["do"] for notice in line.notices)
    assert bool(line.notices) is (code in (407, 999))


def test_a_login_that_is_too_late_connects_anew(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.fail(404, "auth timeout")
    assert [hang_up.reason for hang_up in line.hang_ups] == ["error 404: auth timeout"]
    line.pass_time(60)
    assert len(line.hang_ups) == 1


def test_a_malformed_login_is_as_fatal_as_a_wrong_one(dial: Any, alpaca: Any) -> None:
    line = dial()
    line.open()
    line.hear(alpaca.connected)
    line.fail(400, "invalid syntax")
    assert [hang_up.wait_s for hang_up in line.hang_ups] == [600.0]


@pytest.mark.parametrize("code", [400, 405])
def test_an_error_that_answers_nothing_is_set_aside(dial: Any, code: int) -> None:
    line = dial()
    line.log_in()
    line.fail(code)
    assert line.quarantined == {"answer": 1}
    assert line.hang_ups == []


def test_every_code_has_an_action() -> None:
    assert set(RULES) == {400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 500}
    assert {rule.action for rule in RULES.values()} == set(Action)
    assert all(rule.advice for rule in RULES.values() if rule.action is Action.STOP)
