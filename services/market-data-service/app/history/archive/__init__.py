"""The archive: one folder of Parquet files an hour and type, which any tool reads without this service.

    archive/type=trade/date=2026-01-31/13-0.parquet     rows of one hour (UTC), by symbol, then time
    archive/type=trade/date=2026-01-31/13.verified      JSON: what was read back and compared, file by file
    archive/type=trade/date=2026-01-31/13.pruned        empty: rows may have been deleted from the store since then

A file appears under its name only when it is complete and on disk. The second file is written last, after everything
has been read back and compared with the store: rows are deleted from the store for what it vouches for, and nothing
else.
"""
