"""What each type of event holds beside its head."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from md_contract.codec import UnreadableError
from md_contract.tolerant.fields import Fields, Number, Value
from md_contract.tolerant.head import read_head
from md_contract.tolerant.names import BUYER_MAKER, OTHER_NAMES
from md_contract.tolerant.values import LARGEST, decimal, flag, identifier, text, whole, wrong

MAX_LEVELS: Final = 2_500  # of one side
SIDES: Final = {"buy": "buy", "b": "buy", "sell": "sell", "s": "sell"}
SIDE_UNKNOWN: Final = "unknown"  # said in words: as null


def translate(fields: Fields) -> dict[str, Any]:
    """The contract's form of the message, before the strict decoder has looked at it. Raises `UnreadableError`."""
    head = read_head(fields)
    return head | _SHAPES[head["type"]](fields)


def _decimal(fields: Fields, name: str) -> str:
    return fields.need(name, OTHER_NAMES[name], decimal(fields, name))


def _trade(fields: Fields) -> dict[str, Any]:
    trade_id = fields.find("trade_id", OTHER_NAMES["trade_id"], identifier(fields, "trade_id"))
    if trade_id is None:
        fields.tolerate("no_trade_id")
    return {
        "price": _decimal(fields, "price"),
        "size": _decimal(fields, "size"),
        "trade_id": trade_id or "",
        "side": _side(fields),
        "backfill": fields.find("backfill", (), flag("backfill")) or False,
    }


def _side(fields: Fields) -> str | None:
    """The aggressor's side, or None; said in words, by who was the maker, or both."""

    def read(value: Value) -> str | None:
        said = text("side")(value)
        side = SIDES.get(said.lower())
        if side is None and said.lower() != SIDE_UNKNOWN:
            raise wrong("side", "buy, sell, b, s or unknown", said)
        if side != said:
            fields.tolerate("other_spelling")
        return side

    side = fields.find("side", OTHER_NAMES["side"], read)
    maker = fields.find(BUYER_MAKER[0], BUYER_MAKER, flag("is_buyer_maker"))
    if maker is None:
        return side
    of_flag = "sell" if maker else "buy"
    if side not in (None, of_flag):
        raise UnreadableError("ambiguous", f"the side is {side}, but the buyer was{'' if maker else ' not'} the maker")
    fields.tolerate("buyer_maker")
    return of_flag


def _quote(fields: Fields) -> dict[str, Any]:
    return {name: _decimal(fields, name) for name in ("bid", "bid_size", "ask", "ask_size")}


def _book(fields: Fields) -> dict[str, Any]:
    return {
        "bids": fields.need("bids", (), _levels(fields, "bids", falling=True)),
        "asks": fields.need("asks", (), _levels(fields, "asks", falling=False)),
    }


def _levels(fields: Fields, name: str, *, falling: bool) -> Callable[[Value], list[tuple[str, str]]]:
    """A reader of one side of a book. Where it is not best first, or a size is 0, it may be a change and no book."""
    read_price, read_size = decimal(fields, name), decimal(fields, name)

    def level(value: Value) -> tuple[str, str]:
        if isinstance(value, dict):
            fields.tolerate("level_object")
            inner = Fields(value, fields.subject, fields.now_ns, fields.tolerances)
            price = inner.need("price", OTHER_NAMES["price"], read_price)
            return price, inner.need("size", OTHER_NAMES["size"], read_size)
        if not isinstance(value, list) or len(value) != 2:
            raise wrong(name, "levels of [price, size]", value)
        return read_price(value[0]), read_size(value[1])

    def read(value: Value) -> list[tuple[str, str]]:
        if not isinstance(value, list) or len(value) > MAX_LEVELS:
            raise wrong(name, f"a list of at most {MAX_LEVELS} levels", value)
        levels = [level(each) for each in value]
        prices = [Decimal(price) for price, _ in levels]
        in_order = all(a > b if falling else a < b for a, b in pairwise(prices))
        if not in_order or not all(Decimal(size) for _, size in levels):
            raise UnreadableError("ambiguous", f"{name!r} are not best first with sizes above 0: a change, not a book?")
        return levels

    return read


def _heartbeat(fields: Fields) -> dict[str, Any]:
    said = fields.need("status", (), text("status"))
    if said != said.lower():
        fields.tolerate("other_spelling")
    return {
        "status": said.lower(),
        "silent_for_ms": fields.need("silent_for_ms", (), whole(fields, "silent_for_ms")),
        "synthetic": fields.need("synthetic", (), flag("synthetic")),
    }


def _status(fields: Fields) -> dict[str, Any]:
    def read(value: Value) -> Any:  # noqa: ANN401 - whatever JSON can hold
        if not isinstance(value, dict):
            raise wrong("detail", "an object", value)
        return _json(value)

    detail = fields.find("detail", (), read)
    if detail is None:
        fields.tolerate("no_detail")
    return {"kind": fields.need("kind", (), text("kind")), "detail": detail or {}}


def _json(value: Value) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The value with its numbers as numbers."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    if not isinstance(value, Number):
        return value
    number = float(value)
    if not abs(number) < LARGEST:
        raise wrong("detail", "numbers of 64 bits", value)
    return int(value) if value.lstrip("-").isdecimal() else number


_SHAPES: Final[dict[str, Callable[[Fields], dict[str, Any]]]] = {
    "trade": _trade,
    "quote": _quote,
    "book_l2": _book,
    "heartbeat": _heartbeat,
    "status": _status,
}
