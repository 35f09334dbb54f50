"""From the figures of all rounds to what can be said about them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeAlias

from harness.case import Case, Figure

MAX_SPREAD: Final = 0.5

Runs: TypeAlias = Mapping[str, Sequence[Mapping[str, float] | None]]
"""By contender, its figures in each round; None in a round in which it could not run."""


@dataclass(frozen=True)
class Line:
    """One figure of one contender over all rounds; `ratio` is the median of its ratios to ours inside the rounds."""

    contender: str
    figure: str
    unit: str
    median: float
    least: float
    most: float
    spread: float
    ratio: float | None
    values: list[float]


def summarise(case: Case, runs: Runs) -> list[Line]:
    """A line for each figure and contender that ran in some round."""
    ours = case.contenders[0].name
    lines: list[Line] = []
    for figure in case.figures:
        for contender in case.contenders:
            values = [found[figure.name] for found in runs[contender.name] if found is not None]
            if values:
                pairs = zip(runs[contender.name], runs[ours], strict=True)
                ratios = [_ratio(one, other, figure.name) for one, other in pairs]
                known = [ratio for ratio in ratios if ratio is not None]
                lines.append(
                    Line(
                        contender.name,
                        figure.name,
                        figure.unit,
                        median(values),
                        min(values),
                        max(values),
                        spread(values),
                        median(known) if known else None,
                        values,
                    )
                )
    return lines


def spread(values: Sequence[float]) -> float:
    """(max - min) / median; 0 for figures that are all the same."""
    width = max(values) - min(values)
    return width / abs(median(values)) if width and median(values) else float(width > 0)


def complaints(lines: Sequence[Line]) -> list[str]:
    """Why this run does not pass: figures that cannot be trusted. A missed target is no reason, see `misses`."""
    return [
        f"{line.contender}: {line.figure} spreads by {line.spread:.2f} of its median (at most {MAX_SPREAD})"
        for line in lines
        if line.spread > MAX_SPREAD
    ]


def misses(case: Case, lines: Sequence[Line]) -> list[str]:
    """The targets that ours does not reach."""
    figures: dict[str, Figure] = {figure.name: figure for figure in case.figures}
    missed: list[str] = []
    for line in lines:
        figure = figures[line.figure]
        if line.contender.startswith("ours") and not figure.is_met(line.median):
            assert figure.target is not None  # noqa: S101 - one without a target is met
            sign, bound = figure.target
            missed.append(
                f"{line.contender}: {line.figure} is {shown(line.median)} {line.unit}, target {sign} {bound:g}"
            )
    return missed


def shown(value: float) -> str:
    """A figure for people: three digits, or whole thousands."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _ratio(one: Mapping[str, float] | None, other: Mapping[str, float] | None, name: str) -> float | None:
    return one[name] / other[name] if one is not None and other is not None and other[name] else None
