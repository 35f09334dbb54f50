"""The wire contract between market-data-service and its readers, version 1.

Everything the services know of each other is in this package: what a message holds (`events`, `signals`), where it
travels (`subjects`) and how it becomes bytes and back (`codec`; `tolerant` for what other producers write). The JSON
Schemas and the AsyncAPI document in `schema/` are generated from the types (`python -m md_contract`). Pure: nothing
here opens a file or a socket, or reads a clock.
"""
