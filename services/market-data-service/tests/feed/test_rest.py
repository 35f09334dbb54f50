"""REST: polite towards the venue, patient towards its failures. Time is virtual."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from picows import WSUpgradeResponse
from structlog.testing import capture_logs

from app.feed import Clock, rest
from app.feed.rest import Rest, RestError, retry_after_s
from app.providers.provider import Fetch

FETCH = Fetch("/api/v3/depth?symbol=X", "X", 50)


class VirtualTime:
    """A clock that jumps ahead whenever somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.waits: list[float] = []
        self.clock = Clock(monotonic_ns=lambda: int(self.now_s * 1e9), sleep=self.sleep, uniform=lambda: 0.5)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def client(venue: Any, time: VirtualTime) -> AsyncIterator[Rest]:
    async with Rest(venue.rest_url + "/", weight_per_min=3_000, clock=time.clock) as client:
        yield client


async def test_a_body_comes_with_the_time_it_was_received(venue: Any, client: Rest) -> None:
    venue.rest["/api/v3/depth"] = lambda query: {"asked": query["symbol"]}
    body, ts_recv = await client.get(FETCH)
    assert body == b'{"asked": ["X"]}'
    assert ts_recv > 1_700_000_000_000_000_000
    assert (client.requests, client.errors) == (1, 0)


@pytest.mark.parametrize(("status", "header", "wait_s"), [(429, "33", 33.0), (418, None, 300.0), (403, "soon", 600.0)])
async def test_while_the_venue_wants_to_be_left_alone_nothing_is_asked(
    venue: Any, client: Rest, time: VirtualTime, status: int, header: str | None, wait_s: float
) -> None:
    venue.rest["/api/v3/depth"] = venue.refuse(status, **({"Retry_After": header} if header else {}))
    with pytest.raises(RestError, match=f"HTTP {status}"):
        await client.get_once(FETCH)
    venue.rest["/api/v3/depth"] = lambda query: {}
    asked_at = time.now_s
    await client.get(Fetch("/api/v3/depth?symbol=Y", "Y", 50))
    assert time.now_s - asked_at == pytest.approx(wait_s)


async def test_what_is_not_offered_costs_nothing_else(venue: Any, client: Rest, time: VirtualTime) -> None:
    venue.rest["/api/v3/depth"] = venue.refuse(403)
    with pytest.raises(RestError) as refusal, capture_logs() as logs:
        await client.get_once(Fetch("/api/v3/depth?symbol=X", "X", 50, optional=True))
    assert (refusal.value.status, logs) == (403, [])
    venue.rest["/api/v3/depth"] = lambda query: {}
    await client.get(Fetch("/api/v3/depth?symbol=Y", "Y", 50))
    assert time.waits == []


async def test_a_failing_request_is_repeated_ever_more_slowly_until_it_succeeds(
    venue: Any, client: Rest, time: VirtualTime
) -> None:
    tries = 0

    def answer(query: Any) -> Any:
        nonlocal tries
        tries += 1
        return venue.refuse(500)() if tries < 7 else {}

    venue.rest["/api/v3/depth"] = answer
    await client.get(FETCH)
    assert time.waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8])
    assert client.errors == 6


async def test_each_outage_is_told_once_and_each_ban_with_its_length(venue: Any, client: Rest) -> None:
    answers = iter([500, 500, 200, 500, 418, 418, 200])
    venue.rest["/api/v3/depth"] = lambda query: {} if (status := next(answers)) == 200 else venue.refuse(status)()
    with capture_logs() as logs:
        await client.get(FETCH)
        await client.get(FETCH)
    told = [(entry["why"].split(" from")[0], entry["nothing_asked_for_s"]) for entry in logs]
    assert told == [("HTTP 500", 0.0), ("HTTP 500", 0.0), ("HTTP 418", 300.0), ("HTTP 418", 300.0)]
    assert {(entry["event"], entry["topic"]) for entry in logs} == {("REST request failed", "X")}


async def test_one_topics_trouble_does_not_slow_another(venue: Any, client: Rest, time: VirtualTime) -> None:
    venue.rest["/api/v3/depth"] = lambda query: {}
    for _ in range(6):
        await client.get(FETCH)
    time.waits.clear()
    await client.get(Fetch("/api/v3/depth?symbol=Y", "Y", 50))
    assert time.waits == []
    time.now_s += 61.0
    await client.get(FETCH)
    assert time.waits == [], "a minute later all is forgotten"


async def test_the_weight_budget_of_a_minute_is_kept(venue: Any, client: Rest, time: VirtualTime) -> None:
    venue.rest["/api/v3/depth"] = lambda query: {}
    begun = time.now_s
    for number in range(120):
        await client.get(Fetch(f"/api/v3/depth?symbol=S{number}", f"S{number}", 50))
    assert time.now_s - begun == pytest.approx(60.0, rel=0.01), "3000 at once, then 3000 a minute"


async def test_what_is_paced_by_whoever_wants_it_is_not_slowed_down_again(
    venue: Any, client: Rest, time: VirtualTime
) -> None:
    venue.rest["/api/v3/depth"] = lambda query: {}
    for _ in range(6):
        await client.get(Fetch("/api/v3/depth?symbol=X", "X", 25, paced=True))
    assert time.waits == []


@pytest.mark.parametrize(("said", "wait_s"), [("4999", 0.0), ("5000", 45.0), ("6001", 45.0), ("many", 0.0), ("", 0.0)])
async def test_when_the_venue_says_that_its_budget_is_used_up_nothing_is_asked_until_the_minute_is_over(
    venue: Any, time: VirtualTime, said: str, wait_s: float
) -> None:
    header = {"X-MBX-USED-WEIGHT-1M": said}
    venue.rest["/api/v3/depth"] = lambda query: WSUpgradeResponse.create_ok_response(b"{}", header)
    clock = replace(time.clock, wall_ns=lambda: 1_795_350_015 * 10**9)  # 15 s into a minute
    limit = ("X-MBX-USED-WEIGHT-1M", 5_000)
    async with Rest(venue.rest_url, weight_per_min=3_000, clock=clock, used_weight=limit) as client:
        await client.get(FETCH)
        assert client.used_weight == (int(said) if said.isdecimal() else 0)
        await client.get(Fetch("/api/v3/depth?symbol=Y", "Y", 50))
    assert sum(time.waits) == pytest.approx(wait_s)


async def test_an_answer_longer_than_any_should_be_is_refused(
    venue: Any, client: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "MAX_BODY_BYTES", 1_000)
    venue.rest["/api/v3/depth"] = lambda query: b"x" * 100_000
    with pytest.raises(RestError, match="longer than 1000 bytes"):
        await client.get_once(FETCH)


async def test_a_venue_that_is_not_there_is_an_ordinary_failure(venue: Any, client: Rest) -> None:
    await venue.stop()
    with pytest.raises(RestError, match="Connect"):
        await client.get_once(FETCH)


SAID: list[tuple[int, str | None, float]] = [
    (429, "5", 5.0),
    (418, "999999999", 259_200.0),
    (500, "5", 0.0),
    (200, "5", 0.0),
]
NOT_SAID = [
    (429, None, 60.0),
    (418, "-1", 300.0),
    (401, None, 300.0),
    (403, None, 600.0),
    (451, "", 300.0),
    (429, "Fri, 31 Dec 2027 23:59:59 GMT", 60.0),
]


@pytest.mark.parametrize(("status", "header", "expected"), SAID + NOT_SAID)
def test_retry_after_is_honoured_within_reason(status: int, header: str | None, expected: float) -> None:
    assert retry_after_s(status, header) == expected
