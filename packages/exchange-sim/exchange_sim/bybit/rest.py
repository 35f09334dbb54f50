"""Bybit's REST calls for market data. A refused call has status 200 and the venue's `retCode` and `retMsg`."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from exchange_sim.bybit.text import TradeRow
from exchange_sim.bybit.topics import CATEGORIES, BookTopic
from exchange_sim.bybit.view import View
from exchange_sim.fixed import decimals_of, format_fixed, format_trimmed
from exchange_sim.market import Instrument
from exchange_sim.venue import HttpReply

CALLS: Final = 600  # per WINDOW_NS; one more, and nothing is answered for BAN_NS
WINDOW_NS: Final = 5_000_000_000
BAN_NS: Final = 600_000_000_000
BAD_PARAMETERS: Final = 10001
TOO_MANY: Final = 10006
SERVER_ERROR: Final = 10016
DEEPEST: Final = 1000  # the depth whose update numbers `orderbook` shares

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
_BANNED: Final = HttpReply(403, b"access too frequent", {"Content-Type": "text/plain"})
_MOST_TRADES: Final = {"spot": 60, "linear": 1000}
_USUAL_TRADES: Final = {"spot": 60, "linear": 500}
_USUAL_LEVELS: Final = {"spot": 1, "linear": 25}
_encode: Final = msgspec.json.Encoder().encode
Query: TypeAlias = Mapping[str, str]
Instruments: TypeAlias = Mapping[str, Mapping[str, Instrument]]  # by category and symbol


class RestError(ValueError):
    """A call that the venue refuses, with the venue's code."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Rest:
    """The calls, and the limit on how many there may be."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._recent: deque[int] = deque(maxlen=CALLS)
        self._banned_until_ns = 0
        self._failures: deque[HttpReply] = deque()  # what the next calls get instead of an answer

    def fail(self, status: int, count: int, retry_after_s: int | None) -> None:
        """Answer the next `count` calls with this status."""
        if status == _BANNED.status:
            failure = _BANNED
        else:
            code = TOO_MANY if status == 429 else SERVER_ERROR
            failure = HttpReply(status, _body(code, "a fault asked for by a test", {}, 0), _JSON)
        if retry_after_s is not None:
            failure = HttpReply(failure.status, failure.body, {**failure.headers, "Retry-After": str(retry_after_s)})
        self._failures.extend([failure] * count)

    def get(self, target: str, now_ns: int, view: View) -> HttpReply:
        """Answer a GET; `target` is path and query."""
        url = urlsplit(target)
        answer = _ANSWERS.get(url.path)
        if answer is None:
            return HttpReply(404, b"no such path in this simulation")
        if self._failures:
            return self._failures.popleft()
        if not self._admit(now_ns):
            return _BANNED
        now_ms = now_ns // _NS_PER_MS
        try:
            result = answer(self, dict(parse_qsl(url.query)), now_ns, view)
        except RestError as error:
            return HttpReply(200, _body(error.code, error.message, {}, now_ms), _JSON)
        return HttpReply(200, _body(0, "OK", result, now_ms), _JSON)

    def _admit(self, now_ns: int) -> bool:
        if now_ns < self._banned_until_ns:
            return False
        if len(self._recent) == CALLS and now_ns - self._recent[0] < WINDOW_NS:
            self._banned_until_ns = now_ns + BAN_NS
            return False
        self._recent.append(now_ns)
        return True

    def _time(self, _query: Query, now_ns: int, _view: View) -> dict[str, Any]:
        return {"timeSecond": str(now_ns // _NS_PER_S), "timeNano": str(now_ns)}

    def _trades(self, query: Query, _now_ns: int, view: View) -> dict[str, Any]:
        category, symbol = self._named(query)
        limit = _limit(query, _USUAL_TRADES[category], _MOST_TRADES[category])
        rows = view.trades(category, symbol, limit)
        return {"category": category, "list": [_trade(symbol, row) for row in rows]}

    def _book(self, query: Query, now_ns: int, view: View) -> dict[str, Any]:
        category, symbol = self._named(query)
        limit = _limit(query, _USUAL_LEVELS[category], DEEPEST)
        book = view.book(BookTopic(category, DEEPEST, symbol))
        if book is None:
            return {"s": symbol, "b": [], "a": [], "ts": now_ns // _NS_PER_MS, "u": 0, "seq": 0, "cts": 0}
        return {
            "s": symbol,
            "b": book.bids[:limit],
            "a": book.asks[:limit],
            "ts": book.sent_ms,
            "u": book.update_id,
            "seq": book.seq,
            "cts": book.made_ms,
        }

    def _instruments_info(self, query: Query, _now_ns: int, _view: View) -> dict[str, Any]:
        category = self._category(query)
        rows = list(self._instruments[category].values())
        if "symbol" in query:
            rows = [self._instruments[category][self._named(query)[1]]]
        if category == "spot":  # is not paged
            return {"category": category, "list": [_spot_info(what) for what in rows]}
        cursor, limit = query.get("cursor", "0"), _limit(query, 500, 1000)
        start = int(cursor) if cursor.isascii() and cursor.isdigit() else 0
        page, rest = rows[start : start + limit], rows[start + limit :]
        return {
            "category": category,
            "list": [_linear_info(what) for what in page],
            "nextPageCursor": str(start + limit) if rest else "",
        }

    def _category(self, query: Query) -> str:
        category = query.get("category", "")
        if category not in CATEGORIES:
            raise RestError(BAD_PARAMETERS, "Illegal category")
        return category

    def _named(self, query: Query) -> tuple[str, str]:
        category, symbol = self._category(query), query.get("symbol", "")
        if symbol not in self._instruments[category]:
            raise RestError(BAD_PARAMETERS, "Not supported symbols" if symbol else "params error: symbol invalid")
        return category, symbol


_Answer: TypeAlias = Callable[[Rest, Query, int, View], dict[str, Any]]
_ANSWERS: Final[dict[str, _Answer]] = {
    "/v5/market/time": Rest._time,
    "/v5/market/recent-trade": Rest._trades,
    "/v5/market/orderbook": Rest._book,
    "/v5/market/instruments-info": Rest._instruments_info,
}


def _body(code: int, message: str, result: dict[str, Any], now_ms: int) -> bytes:
    return _encode({"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms})


def _limit(query: Query, usual: int, most: int) -> int:
    value = query.get("limit")
    if value is None:
        return usual
    if not (value.isascii() and value.isdigit() and 0 < len(value) < 10):
        raise RestError(BAD_PARAMETERS, "params error: limit invalid")
    return max(1, min(int(value), most))


def _trade(symbol: str, row: TradeRow) -> dict[str, Any]:
    return {
        "execId": row.trade_id,
        "symbol": symbol,
        "price": row.price,
        "size": row.size,
        "side": row.side,
        "time": str(row.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(row.seq),
    }


def _spot_info(what: Instrument) -> dict[str, Any]:
    lot = format_trimmed(what.lot)
    return {
        "symbol": what.symbol,
        "baseCoin": what.base,
        "quoteCoin": what.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {"basePrecision": lot, "quotePrecision": "0.00000001", "minOrderQty": lot},
        "priceFilter": {"tickSize": format_trimmed(what.tick)},
        "symbolType": "",
    }


def _linear_info(what: Instrument) -> dict[str, Any]:
    tick, lot = format_trimmed(what.tick), format_trimmed(what.lot)
    return {
        "symbol": what.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": what.base,
        "quoteCoin": what.quote,
        "launchTime": "1584230400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(decimals_of(format_fixed(what.tick))),
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {"minOrderQty": lot, "qtyStep": lot},
        "settleCoin": what.quote,
        "isPreListing": False,
    }
