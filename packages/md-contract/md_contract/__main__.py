"""Write the JSON Schemas: `python -m md_contract [FOLDER]`, by default into the package's own `schema/`."""

import sys
from pathlib import Path

import msgspec

from md_contract.schemas import MESSAGES, schema


def main() -> None:
    if "--help" in sys.argv[1:]:
        print("usage: python -m md_contract [FOLDER]\n")
        print("Write the JSON Schema of every message of the contract into FOLDER.")
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    for name in MESSAGES:
        text = msgspec.json.format(msgspec.json.encode(schema(name)), indent=2)
        (folder / f"{name}.json").write_bytes(text + b"\n")
    print(f"{len(MESSAGES)} schemas written to {folder}")


if __name__ == "__main__":
    main()
