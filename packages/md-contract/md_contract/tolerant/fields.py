"""The fields of one JSON object, with every number as the text it was sent as, and found by any of their names."""

from collections.abc import Callable, Iterable
from json import JSONDecoder
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from md_contract.codec import UnreadableError

TOLERANCES: Final = (
    "type_from_subject",
    "symbol_from_subject",
    "no_provider",
    "no_ts_recv",
    "no_trade_id",
    "no_detail",
    "other_name",  # `qty` for `size`
    "other_spelling",  # BUY, Trade
    "buyer_maker",  # a flag that tells the side
    "number_for_text",  # 1.5 for "1.5"
    "exponent",  # 1e-7
    "text_for_number",  # "17" for 17
    "time_unit",  # s, ms or us for ns
    "time_float",  # a time with a point or an exponent
    "time_text",  # ISO 8601
    "level_object",  # {"price": .., "size": ..} for [.., ..]
)
MAX_BYTES: Final = 128 * 1024  # what is larger costs too much to look at closely; a book of a thousand levels has less
MAX_FIELDS: Final = 500
MAX_NAME_CHARS: Final = 32  # no name of the tables is longer

Value: TypeAlias = bool | str | list[Any] | dict[str, Any] | None  # numbers are `Number`
T = TypeVar("T")


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableError("not_json", f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise UnreadableError("ambiguous", "a field is there twice")
    return fields


_decoder: Final = JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant
)


def parse(payload: bytes) -> dict[str, Value]:
    """The object that the payload is. Raises `UnreadableError` (`not_json`, `ambiguous`, `wrong_shape`)."""
    if len(payload) > MAX_BYTES:
        raise UnreadableError(
            "wrong_shape", f"{len(payload)} bytes: only the contract's own form may exceed {MAX_BYTES}"
        )
    try:
        value = _decoder.decode(payload.decode())
    except (UnreadableError, UnicodeDecodeError):
        raise
    except ValueError as error:
        raise UnreadableError("not_json", str(error)) from None
    if not isinstance(value, dict):
        raise UnreadableError("not_json", "not one object")
    if len(value) > MAX_FIELDS:
        raise UnreadableError("wrong_shape", f"{len(value)} fields, at most {MAX_FIELDS}")
    return value


def plain(name: str) -> str:
    """A name without what spellings differ in: `bidPrice`, `bid_price` and `BID-PRICE` are one."""
    return name.replace("_", "").replace("-", "").lower()


class Fields:
    """What is known of one message: its fields, its subject, when it came, and what has been tolerated so far."""

    def __init__(
        self, fields: dict[str, Value], subject: str, now_ns: int, tolerances: dict[str, None] | None = None
    ) -> None:
        self.subject = subject
        self.now_ns = now_ns
        self.tolerances = {} if tolerances is None else tolerances  # in order, each once
        self._fields = fields
        self._plain: dict[str, list[Value]] = {}
        for name, value in fields.items():
            if value is not None and len(name) <= MAX_NAME_CHARS:
                self._plain.setdefault(plain(name), []).append(value)

    def tolerate(self, what: str) -> None:
        """Note that `what`, one of TOLERANCES, was needed."""
        self.tolerances[what] = None

    def find(self, name: str, others: Iterable[str], read: Callable[[Value], T]) -> T | None:
        """What `read` makes of the field; None when it is missing or null.

        The contract's own name is believed before any other. `others` (plain) count only without it, and must then all
        say the same.
        """
        value = self._fields.get(name)
        if value is not None:
            return read(value)
        found = [read(value) for other in (plain(name), *others) for value in self._plain.get(other, ())]
        if not found:
            return None
        if any(value != found[0] for value in found):
            raise UnreadableError("ambiguous", f"{name!r} has other names that do not agree")
        self.tolerate("other_name")
        return found[0]

    def need(self, name: str, others: Iterable[str], read: Callable[[Value], T]) -> T:
        """As `find`; raises `UnreadableError` (`wrong_shape`) when the field is missing or null."""
        value = self.find(name, others, read)
        if value is None:
            raise UnreadableError("wrong_shape", f"{name!r} is missing")
        return value
