"""Archive: `python -m app archive` of one day out of a week of ten million trades."""

import resource
import time
from pathlib import Path
from typing import Final

from cases._market import START_NS, SYMBOLS
from cases._week import HOUR_NS, STEP_NS, archive, week
from harness.case import CPU, Case, Contender, Figure, Setting, expect

DAY_NS: Final = 24 * HOUR_NS
ROWS: Final = -(-DAY_NS // STEP_NS) * len(SYMBOLS)


def ours(setting: Setting) -> dict[str, float]:
    import pyarrow.parquet as pq  # an extra: absent where it is not installed

    folder = f"{setting['folder']}/archive"
    began = time.perf_counter()
    archive(setting, folder, START_NS, START_NS + DAY_NS)
    wall_s, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    expect("rows archived", sum(pq.read_metadata(file).num_rows for file in Path(folder).rglob("*.parquet")), ROWS)
    return {CPU: (used.ru_utime + used.ru_stime) / ROWS * 1e6, "per_s": ROWS / wall_s}


CASE: Final = Case(
    f"`python -m app archive` of a day of {ROWS:,} trades: written, read back, compared",
    (Contender("ours: archive", ours),),
    (Figure(CPU, "us/row"), Figure("per_s", "rows/s")),
    week,
)
