"""Deleting what is kept elsewhere, the same way on both engines."""

from sqlalchemy import Table, delete
from sqlalchemy.ext.asyncio import AsyncConnection


async def delete_exactly(
    connection: AsyncConnection, table: Table, symbol: str, since_ns: int, until_ns: int, expected: int
) -> int:
    """See `Store.delete_exactly`: deletes, counts, and takes it back when the count is another one."""
    time = table.primary_key.columns.values()[1]
    statement = delete(table).where(table.c.symbol == symbol, time >= since_ns, time < until_ns)
    gone = (await connection.execute(statement)).rowcount
    if gone != expected:
        await connection.rollback()
        return 0
    await connection.commit()
    return gone
