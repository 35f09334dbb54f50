"""Keeping a connection up, in virtual time."""

import asyncio
from itertools import pairwise

import pytest

from app.feed import Clock, Connection, ConnectionState
from app.feed.connection import TRANSITIONS, Sign
from app.feed.gate import Gate
from app.feed.supervisor import Supervisor
from app.feed.websocket import Ending
from app.liveness.backoff import TokenBucket


class Scene:
    """A supervisor whose connections end as told: (opened?, how long it lasted, least wait) each."""

    def __init__(self, *endings: tuple[bool, float, float] | Exception, uniform: float = 0.999_999) -> None:
        self.endings = list(endings)
        self.now_s = 1_000.0
        self.tried_at: list[float] = []
        self.reasons: list[str | None] = []
        self.connection = Connection(("BTCUSDT",))
        self.clock = Clock(
            wall_ns=lambda: 0, monotonic_ns=lambda: int(self.now_s * 1e9), sleep=self.sleep, uniform=lambda: uniform
        )

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def start(self, reason: str | None, is_successor: bool) -> "Played":
        self.tried_at.append(self.now_s)
        self.reasons.append(reason)
        return Played(self)

    async def play(self) -> list[float]:
        """Return the waits between the end of each try and the next."""
        lasted = [0.0 if isinstance(ending, Exception) else ending[1] for ending in self.endings]
        attempts = TokenBucket(60, 300)
        await Supervisor(self.connection, self.start, attempts=attempts, gate=Gate(), clock=self.clock).run()
        starts = self.tried_at
        return [b - a - time for (a, b), time in zip(pairwise(starts), lasted, strict=True)]


class Played:
    """One connection of a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.ready = asyncio.Event()
        self.replace = asyncio.Event()

    async def run(self) -> Ending:
        scene = self.scene
        if not scene.endings:
            scene.connection.symbols = ()
            return Ending("the end")
        ending = scene.endings.pop(0)
        if isinstance(ending, Exception):
            raise ending
        opened, lasted_s, wait_s = ending
        scene.connection.opens += opened
        scene.now_s += lasted_s
        return Ending(f"end {len(scene.reasons)}", wait_s, lasted_s)

    def take_over(self, reconnect_reason: str | None) -> None:
        raise AssertionError("nothing is replaced in this scene")

    def retire(self) -> None:
        raise AssertionError("nothing is replaced in this scene")


async def test_waits_double_up_to_half_a_minute() -> None:
    waits = await Scene(*[(False, 0.0, 0.0)] * 8).play()
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30], rel=1e-3)


async def test_a_server_that_accepts_and_drops_is_not_tried_in_a_tight_loop() -> None:
    waits = await Scene(*[(True, 5.0, 0.0)] * 4, (True, 60.0, 0.0), (True, 1.0, 0.0)).play()
    assert waits == pytest.approx([0.5, 1, 2, 4, 0.5, 1], rel=1e-3)


async def test_a_venue_that_names_its_wait_gets_it() -> None:
    waits = await Scene((False, 0.0, 120.0), (False, 0.0, 0.0)).play()
    assert waits == pytest.approx([120.0, 1.0], rel=1e-3)


async def test_however_lucky_the_jitter_there_are_at_most_60_tries_in_5_minutes_beyond_the_first_60() -> None:
    scene = Scene(*[(False, 0.0, 0.0)] * 150, uniform=0.0)
    await scene.play()
    for first, start in enumerate(scene.tried_at):
        assert len([at for at in scene.tried_at[first:] if at <= start + 300.0]) <= 121
    assert scene.tried_at[-1] - scene.tried_at[0] == pytest.approx(450.0, rel=0.02)


async def test_the_next_connection_is_told_how_the_last_that_had_opened_ended() -> None:
    scene = Scene((False, 0, 0), (True, 5, 0), (False, 0, 0), (False, 0, 0), (True, 5, 0))
    await scene.play()
    assert scene.reasons == [None, None, "end 2", "end 2", "end 2", "end 5"]


async def test_an_error_of_ours_is_counted_and_tried_again() -> None:
    scene = Scene(ZeroDivisionError("a bug"), (True, 5.0, 0.0))
    waits = await scene.play()
    assert waits[0] == pytest.approx(0.5, rel=1e-3)
    assert scene.connection.failures == 1
    assert scene.connection.attempts == 3, "the one that ends the scene included"


async def test_a_connection_that_has_lost_its_last_symbol_is_not_made_again() -> None:
    scene = Scene((True, 5.0, 0.0))
    scene.connection.symbols = ()
    attempts = TokenBucket(60, 300)
    await Supervisor(scene.connection, scene.start, attempts=attempts, gate=Gate(), clock=scene.clock).run()
    assert scene.tried_at == []
    assert scene.connection.state is ConnectionState.STOPPED


def test_from_every_state_a_connection_can_be_stopped_and_only_an_open_one_goes_live() -> None:
    states = set(ConnectionState)
    assert {state for state, sign in TRANSITIONS if sign is Sign.STOPPED} == states
    assert [way for way, state in TRANSITIONS.items() if state is ConnectionState.LIVE] == [
        (ConnectionState.SUBSCRIBING, Sign.SUBSCRIBED)
    ]


def test_a_sign_without_a_meaning_changes_nothing() -> None:
    connection = Connection(("BTCUSDT",))
    connection.note(Sign.SUBSCRIBED, 5)
    assert (connection.state, connection.state_since_ns) == (ConnectionState.WAITING, 0)
    connection.note(Sign.DIALLED, 6)
    assert (connection.state, connection.state_since_ns) == (ConnectionState.CONNECTING, 6)
