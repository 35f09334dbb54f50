"""Tries plug-ins on a made-up market: what a user wants to know before they meet a real one."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from md_contract.events import BookL2, Event, Quote, Status, Trade
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.features import Feature
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.plugins.loaded import Plugins
from senpai.md_consumer.rules import RULES

SECONDS: Final = 180
PER_SECOND: Final = 20
_START: Final = 1_700_000_000 * NS_PER_S
_SILENCE: Final = range(100, 110)  # seconds in which nothing comes
_SIDES: Final[tuple[Literal["buy", "sell"] | None, ...]] = ("buy", "sell", None)
_PROVIDER: Final = "made-up"
_SYMBOL: Final = "MADEUP"


@dataclass(frozen=True, slots=True)
class Trial:
    """What it came to."""

    lines: list[str]
    is_good: bool  # nothing failed


def try_out(plugins: Plugins, features: Mapping[str, Feature]) -> Trial:
    """Run three minutes of a market with bursts, a silence, a gap and quotes of one side through the heart."""
    options = PipelineOptions(features={**features, **plugins.features})
    pipeline = Pipeline(options, {**RULES, **plugins.rules})
    found: dict[str, int] = {}
    for event in market():
        now = event.ts_recv
        for signal in pipeline.on_event(event, now):
            found[signal.rule] = found.get(signal.rule, 0) + (signal.state == "new")
        pipeline.features(_SYMBOL, now, now)
    last = pipeline.features(_SYMBOL, _START + SECONDS * NS_PER_S, 0)
    lines = [] if plugins.guards else ["no plug-ins: SENPAI_PLUGINS names their modules, see docs/plugins.md"]
    for guard in plugins.guards:
        if guard.kind == "feature" and last is not None:
            result = f"last value {last.features[guard.name]!r}"
        else:
            result = f"{found.get(guard.name, 0)} signals"
        mean = "" if guard.mean_us is None else f", {guard.calls} calls of {guard.mean_us:.1f} us"
        lines.append(f"{guard.kind} {guard.name} ({guard.module}): {result}{mean}, {guard.failures} failures")
        if guard.why_off is not None:
            lines.append(f"  switched off: {guard.why_off}")
        if guard.trace is not None:
            lines += [f"  {line}" for line in guard.trace.splitlines()]
    return Trial(lines, not any(guard.failures or guard.why_off for guard in plugins.guards))


def market() -> Iterator[Event]:
    """The same one each time."""
    draw, price = random.Random(7), 100.0  # noqa: S311  # a market, not a secret
    for number in range(SECONDS * PER_SECOND):
        second = number // PER_SECOND
        ts = _START + number * NS_PER_S // PER_SECOND
        recv = ts + 5 * NS_PER_MS
        if second in _SILENCE:
            continue
        if number == 70 * PER_SECOND:
            yield Status(_PROVIDER, _SYMBOL, recv, "gap", {"type": "trade"})
        price *= 1 + draw.gauss(0, 3e-4)
        bid, ask = f"{price * 0.9999:.4f}", f"{price * 1.0001:.4f}"
        kind, size = draw.random(), f"{draw.expovariate(1) + 0.001:.4f}"
        if kind < 0.5:
            side = draw.choice(_SIDES)
            yield Trade(_PROVIDER, _SYMBOL, recv, f"{price:.4f}", size, str(number), side, ts)
        elif kind < 0.9:
            one_sided = draw.random() < 0.01
            yield Quote(_PROVIDER, _SYMBOL, recv, "0" if one_sided else bid, size, ask, size, ts)
        else:
            yield BookL2(_PROVIDER, _SYMBOL, recv, [(bid, size)], [(ask, size)], ts)
