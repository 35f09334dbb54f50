"""Control requests: paced, answered, overdue."""

from app.books.pace import NEVER
from app.providers.requests import Request, Requests

INTERVAL, TIMEOUT = 300, 10_000


def request(number: int) -> Request:
    return Request(number, b"%d" % number, (f"topic {number}",))


def test_requests_leave_one_interval_apart() -> None:
    requests = Requests(interval_ns=INTERVAL, timeout_ns=TIMEOUT)
    assert requests.due == NEVER
    for number in range(3):
        requests.ask(request(number))
    sent: list[tuple[int, int]] = []
    now = 5_000
    while requests.due < NEVER and len(sent) < 3:
        now = max(now, requests.due)
        released = requests.release(now)
        assert released is not None
        assert requests.release(now) is None
        sent.append((now, released.id))
    assert sent == [(5_000, 0), (5_300, 1), (5_600, 2)]


def test_everything_is_settled_once_it_is_sent_and_answered() -> None:
    requests = Requests(interval_ns=INTERVAL, timeout_ns=TIMEOUT)
    assert requests.settled()
    requests.ask(request(1))
    assert not requests.settled()
    requests.release(0)
    assert not requests.settled()
    assert requests.answered(2) is None
    assert requests.answered("1") is None
    assert requests.answered(None) is None
    assert requests.answered(1) == request(1)
    assert requests.answered(1) is None
    assert requests.settled()
    assert requests.due == NEVER


def test_a_request_without_an_answer_is_told_once_when_its_time_is_over() -> None:
    requests = Requests(interval_ns=INTERVAL, timeout_ns=TIMEOUT)
    requests.ask(request(1))
    requests.release(50)
    assert requests.due == 50 + TIMEOUT
    assert requests.overdue(49 + TIMEOUT) is None
    assert requests.overdue(50 + TIMEOUT) == request(1)
    assert requests.overdue(50 + TIMEOUT) is None
    assert requests.due == NEVER
