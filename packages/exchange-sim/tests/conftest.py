"""What the tests of the simulator share: a client, and a book rebuilt by the venue's published procedure."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from exchange_sim import ExchangeSim

Json = Any


class RebuiltBook:
    """A book as a client keeps it: strings to floats in two dicts, by PROTOCOLS 2.5."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[float, float]] = {"b": {}, "a": {}}
        self.update_id: int | None = None
        self.buffer: list[Json] = []
        self.gaps = 0

    def load(self, snapshot: Json) -> bool:
        """Take a snapshot; False when it is older than what is buffered, so that another is needed."""
        if self.buffer and snapshot["lastUpdateId"] < self.buffer[0]["U"]:
            return False
        for side, name in (("b", "bids"), ("a", "asks")):
            self.sides[side] = {float(price): float(size) for price, size in snapshot[name]}
        self.update_id = snapshot["lastUpdateId"]
        buffered, self.buffer = self.buffer, []
        for diff in buffered:
            self.apply(diff)
        return True

    def apply(self, diff: Json) -> None:
        if self.update_id is None:
            self.buffer.append(diff)
            return
        if diff["u"] <= self.update_id:
            return
        if diff["U"] > self.update_id + 1:
            self.gaps += 1
        for side in ("b", "a"):
            for price, size in diff[side]:
                self.sides[side][float(price)] = float(size)
                if float(size) == 0:
                    del self.sides[side][float(price)]
        self.update_id = diff["u"]

    def top(self) -> tuple[float, float, float, float]:
        bid, ask = max(self.sides["b"]), min(self.sides["a"])
        return bid, self.sides["b"][bid], ask, self.sides["a"][ask]

    def levels(self, count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids = sorted(self.sides["b"].items(), reverse=True)[:count]
        return bids, sorted(self.sides["a"].items())[:count]


class BybitBook:
    """An `orderbook` topic as a client keeps it, by PROTOCOLS 3.5: floats in two dicts, no more than `depth` levels."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[float, float]] = {"b": {}, "a": {}}
        self.update_id: int | None = None
        self.gaps = 0
        self.absent = 0  # deletions of levels that were not there

    def apply(self, message: Json) -> None:
        data = message["data"]
        if message["type"] == "snapshot" or data["u"] == 1:
            self.sides = {"b": {}, "a": {}}
        elif self.update_id is None or data["u"] != self.update_id + 1:
            self.gaps += 1
        self.update_id = data["u"]
        for name, side in self.sides.items():
            for price, size in data[name]:
                if float(size):
                    side[float(price)] = float(size)
                elif side.pop(float(price), None) is None:
                    self.absent += 1

    def levels(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        return sorted(self.sides["b"].items(), reverse=True), sorted(self.sides["a"].items())


@pytest.fixture
def bybit_book() -> type[BybitBook]:
    return BybitBook


@pytest.fixture
def rebuilt_book() -> type[RebuiltBook]:
    return RebuiltBook


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
def get(http: aiohttp.ClientSession) -> Callable[..., Awaitable[tuple[int, Json]]]:
    """Return a function that GETs a path of a simulator: (status, JSON)."""

    async def fetch(sim: ExchangeSim, path: str, **query: object) -> tuple[int, Json]:
        async with http.get(sim.rest_url + path, params={name: str(value) for name, value in query.items()}) as reply:
            return reply.status, json.loads(await reply.read())

    return fetch


@pytest.fixture
def collect() -> Callable[..., Awaitable[list[Json]]]:
    """Return a function that reads JSON messages from a socket until `enough` says so."""

    async def read(socket: aiohttp.ClientWebSocketResponse, enough: Callable[[list[Json]], bool]) -> list[Json]:
        messages: list[Json] = []
        while not enough(messages):
            messages.append(json.loads(await socket.receive_str(timeout=20)))
        return messages

    return read
