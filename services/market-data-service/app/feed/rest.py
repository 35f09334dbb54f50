"""REST: one polite client for all connections of a feed.

One request at a time, inside the venue's weight budget; a topic asked for again and again is slowed down; 429 and 418
close the client for as long as the venue says.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import aiohttp
import structlog

from app.feed.clock import Clock
from app.liveness.backoff import BASE_S, CAP_S, TokenBucket
from app.providers.provider import Fetch
from md_contract.units import NS_PER_S

TIMEOUT_S: Final = 20.0
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
RECENT_S: Final = 60.0
MAX_DIGITS: Final = 12
# When the venue does not say how long: Bybit's 403 asks for ten minutes, and nothing cures a 401 but people.
REFUSED_WAIT_S: Final = {429: 60.0, 418: 300.0, 401: 300.0, 403: 600.0, 451: 300.0}

_log = structlog.get_logger()


class RestError(Exception):
    """One request failed; `wait_s` is how long the venue wants to be left alone, `status` its answer if it gave one."""

    def __init__(self, why: str, wait_s: float = 0.0, status: int | None = None) -> None:
        self.wait_s = wait_s
        self.status = status
        super().__init__(why)


def retry_after_s(status: int, header: str | None) -> float:
    """How long to stay away after this HTTP status; 0 when it does not ask for it."""
    if status not in REFUSED_WAIT_S:
        return 0.0
    if header is not None and header.strip().isdecimal():
        return min(float(header), 3 * 86_400.0)
    return REFUSED_WAIT_S[status]


class Rest:
    """GETs what conversations want. Use as an async context manager."""

    def __init__(
        self, base_url: str, *, weight_per_min: int, clock: Clock, used_weight: tuple[str, int] | None = None
    ) -> None:
        """Prepare a client.

        Args:
            base_url: of every request.
            weight_per_min: our own budget.
            clock: for every wait.
            used_weight: the header in which the venue tells what is used up in the present minute, by everybody at
                this address, and the value from which on nothing is asked until the minute is over.
        """
        self.requests = 0
        self.errors = 0
        self._failing = False  # the last request failed
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._budget = TokenBucket(weight_per_min, 60.0)
        self._turn = asyncio.Lock()
        self._closed_until = 0.0
        self._used_weight = used_weight
        self.used_weight = 0  # as the venue last said it
        self._recent: dict[str, deque[float]] = {}  # topic -> when it was asked for lately
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, fetch: Fetch) -> tuple[bytes, int]:
        """Return the body and when it was received (wall-clock ns), however often that takes."""
        while True:
            with suppress(RestError):
                return await self.get_once(fetch)

    async def get_once(self, fetch: Fetch) -> tuple[bytes, int]:
        """Try once. The first failure after a success is told, and every one that closes the client for a while.

        Raises:
            RestError: no 2xx answer came.
        """
        if not fetch.paced:
            await self._sleep(self._politeness_s(fetch.topic))
        async with self._turn:
            await self._admission(fetch.weight)
            self.requests += 1
            try:
                answer = await self._request(fetch.path)
            except RestError as error:
                self.errors += 1
                if not (fetch.optional and error.status == HTTPStatus.FORBIDDEN):
                    self._failed(fetch, error)
                raise
            self._failing = False
            return answer

    def _failed(self, fetch: Fetch, error: RestError) -> None:
        if error.wait_s or not self._failing:
            _log.warning("REST request failed", topic=fetch.topic, why=str(error), nothing_asked_for_s=error.wait_s)
        self._failing = True
        self._closed_until = max(self._closed_until, self._now() + error.wait_s)

    async def _request(self, path: str) -> tuple[bytes, int]:
        if self._session is None:
            raise RestError("the client is not open")
        try:
            async with self._session.get(self._base_url + path) as response:
                self._heed(response.headers)
                if not response.ok:
                    wait_s = retry_after_s(response.status, response.headers.get("Retry-After"))
                    raise RestError(f"HTTP {response.status} from {response.url.host}", wait_s, response.status)
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise RestError(f"answer longer than {MAX_BODY_BYTES} bytes")
                return bytes(body), self._clock.wall_ns()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RestError(f"{type(error).__name__}: {error}") from None

    def _heed(self, headers: Mapping[str, str]) -> None:
        """Stop until the minute is over when the venue says that too much of its budget is used up."""
        if self._used_weight is None:
            return
        name, most = self._used_weight
        said = headers.get(name, "")
        if not (said.isascii() and said.isdecimal() and len(said) < MAX_DIGITS):
            return
        self.used_weight = int(said)
        if self.used_weight >= most:
            left_s = 60.0 - self._clock.wall_ns() / NS_PER_S % 60.0
            self._closed_until = max(self._closed_until, self._now() + left_s)

    async def _admission(self, weight: int) -> None:
        """Wait for the end of a ban, and for the budget."""
        while (wait_s := self._closed_until - self._now()) > 0.0:
            await self._sleep(wait_s)
        while wait_s := self._budget.wait_s(self._now(), weight):
            await self._sleep(wait_s)

    def _politeness_s(self, topic: str) -> float:
        """A wait that grows with how often this topic was asked for within the last minute."""
        now = self._now()
        recent = self._recent.setdefault(topic, deque(maxlen=16))
        while recent and recent[0] < now - RECENT_S:
            recent.popleft()
        ceiling = min(CAP_S, BASE_S * 2.0 ** (len(recent) - 1)) if recent else 0.0
        recent.append(now)
        return self._clock.uniform() * ceiling

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0.0:
            await self._clock.sleep(seconds)

    def _now(self) -> float:
        return self._clock.monotonic_ns() / 1e9
