"""Write the schemas and asyncapi.json: `python -m md_contract [FOLDER]`, by default into the package's `schema/`."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from md_contract.asyncapi import document
from md_contract.schemas import MESSAGES, schema


def main() -> None:
    if "--help" in sys.argv[1:]:
        print("usage: python -m md_contract [FOLDER]\n")
        print("Write the JSON Schema of every message of the contract, and the AsyncAPI document, into FOLDER.")
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MESSAGES:
        _write(folder / f"{name}.json", schema(name))
    _write(folder / "asyncapi.json", document())
    print(f"{len(MESSAGES)} schemas and asyncapi.json written to {folder}")


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


if __name__ == "__main__":
    main()
