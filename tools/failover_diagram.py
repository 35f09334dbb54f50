"""Draw the failover table into docs/failover.md.

    python tools/failover_diagram.py

The page is generated from the table that decides; a test fails when the two differ.
"""

from __future__ import annotations

from pathlib import Path

from app.liveness.failover import ACTIVE, ORDERS, READINGS, TRANSITIONS, Sign, State
from app.liveness.pairing import SAME_INSTRUMENTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "failover.md"

HEAD = """# Failover

Written by `python tools/failover_diagram.py` from the table in `app/liveness/failover.py`; change that, not this.

`python -m app run --provider binance --backup bybit` keeps both connected and publishes the events of one of them, the
active one. Which one that is follows this table. `GET /providers` shows where it stands and why.
"""
TAIL = """
- A provider is *failing* while a connection is missing (at once when the venue puts us off for longer than that may
  last), no market data comes (`FAILOVER_SILENCE_S`), its data comes late (`FAILOVER_LAG_S`), too many frames cannot be
  used, or it reconnects again and again. It is *healthy* again when none of that has been so for a fifth of the silence
  limit.
- The *dwell* is the least time between two switches (`FAILOVER_MIN_DWELL_S`), the *probation* the time the primary has
  to stay healthy before it takes over again (`FAILOVER_PROBATION_S`).
- When neither is healthy nothing is gained by a switch: the active one stays, and `/health` and `/providers` say so.
- On a switch every symbol gets a `status` event of kind `source_switch` (`from`, `to`, `reason`) before the first event
  of the new source; its latest quotes and books follow at once.
- `BACKUP_COLD=true` connects the backup from the first trouble on, until the primary has been well for a probation.
- Time in which we do not listen (sockets paused by backpressure, a process held up) counts as no silence.
"""


def page() -> str:
    return "\n".join([HEAD, *diagram(), "", *signs(), TAIL, *pairs(), ""])


def diagram() -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.PRIMARY.value}"]
    for (state, sign), following in TRANSITIONS.items():
        lines.append(f"    {state.value} --> {following.value}: {sign.value}")
    for state, role in ACTIVE.items():
        lines += [f"    note right of {state.value}: the {role.value} is active"]
    return [*lines, "```"]


def signs() -> list[str]:
    words = {sign: reading.words for sign, reading in READINGS.items()} | ORDERS
    return ["| Sign | Given when |", "|---|---|", *(f"| {sign.value} | {words[sign]} |" for sign in Sign)]


def pairs() -> list[str]:
    return [
        "Only providers of the same instruments may stand in for each other: "
        + "; ".join(" and ".join(f"`{name}`" for name in sorted(group)) for group in SAME_INSTRUMENTS)
        + " (spot). Any other pair is refused at the start."
    ]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
