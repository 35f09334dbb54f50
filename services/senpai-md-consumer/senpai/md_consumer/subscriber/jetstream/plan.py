"""From where to read the stream, and from where on what is found there is news. Pure.

    ......[ read again, in silence ][ news, read again ][ from the durable consumer, as it comes
          start                     position            until

`position` is the last message that was worked off. What lies between it and `until` was given out and perhaps not
worked off, so it is news. Before `position` lies what fills the windows. When news is older than the windows, what is
too old to be news is passed over: `live_ns`.
"""

from dataclasses import dataclass
from typing import Final

from md_contract.units import NS_PER_S

MARGIN_S: Final = 15.0  # what a return over 10 s needs before a window, and what comes out of order
SHORTEST_S: Final = 10.0  # windows that no setting shortens


@dataclass(frozen=True, slots=True)
class Spans:
    """How long the past is that counts."""

    warm_ns: int  # read before the first news, so that every window is as it would be
    news_ns: int  # what has waited longer is no news


def spans(window_s: float) -> Spans:
    """For windows of this length."""
    return Spans(round((max(window_s, SHORTEST_S) + MARGIN_S) * NS_PER_S), round(max(window_s, SHORTEST_S) * NS_PER_S))


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read before the durable consumer goes on."""

    position: int  # the last message worked off; 0: nobody knows
    until: int  # the last one to read again
    start_seq: int = 0  # read from this message on,
    start_ns: int = 0  # or from this time on
    live_ns: int = 0  # messages stored before are no news
    seeded: bool = False  # the last message of every subject before `start_ns` is wanted, too
    move: bool = False  # the durable consumer is too far behind: it has to begin anew after `until`

    @property
    def reads(self) -> bool:
        return self.start_ns > 0 or self.start_seq <= self.until


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known when a connection stands. Times are the server's."""

    position: int
    delivered: int  # the last message the durable consumer gave out
    last_seq: int  # of the stream
    news_ns: int | None  # when the first message after `position` was stored; None: there is none
    now_ns: int


def plan_start(standing: Standing, spans: Spans) -> Plan:
    """For a run that begins, or one that was away for longer than its windows."""
    news_ns = standing.now_ns if standing.news_ns is None else standing.news_ns
    live_ns = max(news_ns, standing.now_ns - spans.news_ns)
    too_old = live_ns > news_ns
    return Plan(
        position=standing.position,
        until=standing.last_seq if too_old else max(standing.delivered, standing.position),
        start_ns=live_ns - spans.warm_ns,
        live_ns=live_ns if too_old else 0,
        seeded=True,
        move=too_old,
    )


def plan_resume(standing: Standing, spans: Spans) -> Plan:
    """For a run that goes on after a disturbance: what was given out and has not come."""
    if standing.news_ns is not None and standing.now_ns - standing.news_ns > spans.news_ns:
        return plan_start(standing, spans)
    return Plan(position=standing.position, until=standing.delivered, start_seq=standing.position + 1)


def plan_rewound(taken_ns: int, standing: Standing) -> Plan:
    """For a stream that is not the one we were reading: what was stored since then; repeats are known by `seq`."""
    return Plan(position=0, until=standing.last_seq, start_ns=taken_ns + 1, move=True)
