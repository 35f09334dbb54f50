"""How complete an hour is. Pure: the counts come in, the verdict goes out.

Two things can be missing: trades while the service ran, and the service. Where the venue numbers its trades one by one,
what is missing is counted exactly from the ids, whatever anybody reported. Elsewhere it is what the `gap` events say;
one that cannot say how much makes the figure an upper bound. Whether the service ran is told by its heartbeats.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from statistics import median
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from app.history.times import HOUR_NS
from md_contract.units import NS_PER_S

NUMBERED: Final = frozenset({"binance"})  # providers whose trade ids grow by one per symbol
MOST_TOLD: Final = 1 << 53  # trades; who says more has made it up
LEAST_PAUSE_NS: Final = 15 * NS_PER_S
PAUSE_IN_BEATS: Final = 3  # so many heartbeats have to be missing before the service counts as away

Basis: TypeAlias = Literal["ids", "gaps", "none"]


class SourceCount(Struct, frozen=True):
    """The trades of one provider in one hour of one symbol."""

    provider: str
    rows: int
    first_id: int | None = None  # of numbered trades
    last_id: int | None = None
    id_before: int | None = None  # of the last trade before the hour

    @property
    def missing(self) -> int:
        """Ids in the hour, and since the trade before it, that are not stored; for numbered trades."""
        if self.first_id is None or self.last_id is None:
            return 0
        before = self.first_id - 1 if self.id_before is None else self.id_before
        return max(0, self.last_id - before - self.rows)


class HourCount(Struct, frozen=True):
    """What the store holds of one symbol in one hour."""

    symbol: str
    start_ns: int
    sources: list[SourceCount]
    quotes: int
    books: int
    gaps: list[Any]  # `detail` of each gap event


class Report(Struct, frozen=True):
    """One line of the completeness report."""

    hour: str
    symbol: str
    trades: int
    quotes: int
    books: int
    gaps: int
    missing: int  # trades known to be missing
    missing_unknown: int  # gaps of trades that cannot say how many are missing
    sources: list[str]
    basis: Basis
    trades_percent: float | None  # of the trades that there were; an upper bound when `missing_unknown` is above 0
    uptime_percent: float | None  # of the hour that has passed; null when there is no heartbeat in the store at all
    complete_percent: float | None  # the smaller of the two
    at_most: bool  # complete_percent is no more than an upper bound, as one of the two is not known


def assess(count: HourCount, uptime: float | None, hour: str) -> Report:
    """The verdict on one hour of one symbol; `uptime` is a fraction."""
    trades = sum(source.rows for source in count.sources)
    numbered = [source for source in count.sources if source.first_id is not None]
    others = [source for source in count.sources if source.first_id is None]
    amounts = [gap.get("missing") if isinstance(gap, dict) else None for gap in count.gaps if _is_of_trades(gap)]
    known = [amount for amount in amounts if isinstance(amount, int) and amount <= MOST_TOLD]
    told = sum(amount for amount in known if amount > 0)
    only_numbered = bool(numbered) and not others
    missing = sum(source.missing for source in numbered) if only_numbered else told
    unknown = 0 if only_numbered else len(amounts) - len(known)
    there_were = trades + missing
    share = trades / there_were if there_were else None
    shares = [value for value in (share, uptime) if value is not None]
    return Report(
        hour=hour,
        symbol=count.symbol,
        trades=trades,
        quotes=count.quotes,
        books=count.books,
        gaps=len(count.gaps),
        missing=missing,
        missing_unknown=unknown,
        sources=sorted(source.provider for source in count.sources),
        basis="ids" if only_numbered else "gaps" if count.sources else "none",
        trades_percent=_percent(share),
        uptime_percent=_percent(uptime),
        complete_percent=_percent(min(shares)) if shares else None,
        at_most=uptime is None or unknown > 0,
    )


def _is_of_trades(gap: Any) -> bool:  # noqa: ANN401 - whatever the detail is
    """The recorder also tells of quotes, books and features lost on the bus; who says nothing means trades."""
    return not isinstance(gap, dict) or gap.get("type") in (None, "trade")


def uptime(beats: Iterable[int], start_ns: int, stop_ns: int) -> float:
    """The part of [start_ns, stop_ns) in which the service ran with a provider that was live.

    Args:
        beats: times of live heartbeats, of any provider, in order; those of a few minutes around the span as well.
        start_ns: beginning of the span.
        stop_ns: its end, above `start_ns`; the present when the hour is not over.
    """
    times = sorted(set(beats))
    steps = [after - before for before, after in pairwise(times)]
    most = max(LEAST_PAUSE_NS, PAUSE_IN_BEATS * round(median(steps))) if steps else LEAST_PAUSE_NS
    most = min(most, HOUR_NS // 12)
    covered = 0
    for before, after in pairwise(times):
        if after - before <= most:
            covered += max(0, min(after, stop_ns) - max(before, start_ns))
    if times and 0 < stop_ns - times[-1] <= most:  # the next one is only due
        covered += stop_ns - max(times[-1], start_ns)
    return min(1.0, covered / (stop_ns - start_ns))


def _percent(share: float | None) -> float | None:
    """Cut, not rounded: what is not complete never reads 100."""
    return None if share is None else int(share * 100_000) / 1_000


FOLDED: Final = 3  # empty hours and more are one line
HEADINGS: Final[Sequence[str]] = (
    "hour", "symbol", "trades", "quotes", "books", "gaps", "missing", "sources", "trades %", "uptime %", "complete %",
)  # fmt: skip


def lines(reports: Iterable[Report]) -> Iterator[list[str]]:
    """The reports as a table under HEADINGS; consecutive hours in which there is nothing at all are one line."""
    hours = [list(hour) for _, hour in groupby(reports, lambda report: report.hour)]
    for is_empty, run in groupby(hours, lambda hour: all(map(_is_empty, hour))):
        together = list(run)
        if is_empty and len(together) >= FOLDED:
            first, last = together[0][0], together[-1][0]
            shown = _line(last)
            yield [f"{first.hour} to {last.hour}", "all", *shown[2:]]
        else:
            yield from (_line(report) for hour in together for report in hour)


def _is_empty(report: Report) -> bool:
    return not (report.trades or report.quotes or report.books or report.gaps or report.uptime_percent)


def _line(report: Report) -> list[str]:
    missing = f"{report.missing:,}" + ("+?" if report.missing_unknown else "")
    at_most = "<= " if report.missing_unknown else ""
    return [
        report.hour,
        report.symbol,
        f"{report.trades:,}",
        f"{report.quotes:,}",
        f"{report.books:,}",
        f"{report.gaps:,}",
        missing,
        " ".join(report.sources) or "-",
        _shown(report.trades_percent, at_most),
        _shown(report.uptime_percent, ""),
        _shown(report.complete_percent, "<= " if report.at_most else ""),
    ]


def _shown(percent: float | None, at_most: str) -> str:
    return "-" if percent is None else f"{at_most}{percent:.3f}"
