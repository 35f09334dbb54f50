"""What a test sees of an SQLite store, by the driver alone."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any


class Rows:
    """What is in an SQLite file, seen by another reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite+aiosqlite:///{path}"

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def count(self, table: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM {table}")[0][0])

    def trades(self) -> list[int]:
        return sorted(int(number) for (number,) in self.ask("SELECT trade_id FROM trade"))

    def gaps(self) -> list[Any]:
        return [json.loads(detail) for (detail,) in self.ask("SELECT detail FROM gap WHERE kind = 'gap'")]

    async def until(self, table: str, rows: int) -> None:
        async with asyncio.timeout(30):
            while self.count(table) < rows:  # noqa: ASYNC110 - another process wakes nobody
                await asyncio.sleep(0.02)
