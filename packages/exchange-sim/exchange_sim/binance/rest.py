"""Binance's REST calls for market data, answered from the records. Errors have the venue's shape and status 400."""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from exchange_sim.binance import text
from exchange_sim.binance.record import AggregateRow, Record, TradeRow
from exchange_sim.fixed import SCALE, format_fixed, parse_fixed
from exchange_sim.market import Instrument
from exchange_sim.venue import HttpReply

WEIGHT_LIMIT: Final = 6_000  # a minute
_NS_PER_MS: Final = 1_000_000
_NS_PER_MINUTE: Final = 60_000_000_000
_JSON: Final = {"Content-Type": "application/json;charset=UTF-8"}
_encode: Final = msgspec.json.Encoder().encode
_Row = TypeVar("_Row")
Query: TypeAlias = Mapping[str, str]


class RestError(ValueError):
    """A call that the venue refuses, with the venue's code."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class Rest:
    """The calls, and the weight that they use up."""

    def __init__(self, records: Mapping[str, Record], instruments: Mapping[str, Instrument]) -> None:
        self._records = records
        self._instruments = instruments
        self._minute = 0
        self._weight = 0
        self._failures: deque[HttpReply] = deque()  # what the next calls get instead of an answer
        self.stale_depths = 0  # how many of the next depth answers are too old to be of use
        self.depths: dict[str, bytes] = {}  # fixed depth answers, by symbol

    def fail(self, status: int, count: int, retry_after_s: int | None) -> None:
        """Answer the next `count` calls with this status."""
        headers = _JSON if retry_after_s is None else {**_JSON, "Retry-After": str(retry_after_s)}
        self._failures.extend([_refusal(status, RestError(-1003, "a fault asked for by a test"), headers)] * count)

    def get(self, target: str, now_ns: int) -> HttpReply:
        """Answer a GET; `target` is path and query."""
        url = urlsplit(target)
        call = _CALLS.get(url.path)
        if call is not None and self._failures:
            return self._failures.popleft()
        if call is None:
            return HttpReply(404, b'{"code":-1000,"msg":"no such path in this simulation"}', _JSON)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        weigh, answer = call
        if now_ns // _NS_PER_MINUTE != self._minute:
            self._minute, self._weight = now_ns // _NS_PER_MINUTE, 0
        self._weight += weigh(query)
        headers = {**_JSON, "X-MBX-USED-WEIGHT-1M": str(self._weight)}
        if self._weight > WEIGHT_LIMIT:
            wait_s = (_NS_PER_MINUTE - now_ns % _NS_PER_MINUTE) // 1_000_000_000 + 1
            return _refusal(
                429, RestError(-1003, "Too much request weight used."), {**headers, "Retry-After": str(wait_s)}
            )
        try:
            return HttpReply(200, answer(self, query, now_ns), headers)
        except RestError as error:
            return _refusal(400, error, headers)

    def _time(self, _query: Query, now_ns: int) -> bytes:
        return b'{"serverTime":%d}' % (now_ns // _NS_PER_MS)

    def _depth(self, query: Query, _now_ns: int) -> bytes:
        record = self._record(query)
        if record.symbol in self.depths:
            return self.depths[record.symbol]
        answer = text.snapshot(record.book, _limit(query, default=100, most=5_000))
        if self.stale_depths:
            self.stale_depths -= 1
            current = b'"lastUpdateId":%d,' % record.book.update_id
            return answer.replace(current, b'"lastUpdateId":%d,' % max(1, record.book.update_id - 1_000_000), 1)
        return answer

    def _exchange_info(self, query: Query, now_ns: int) -> bytes:
        if "symbol" in query:
            wanted = [self._record(query).symbol]
        elif "symbols" in query:
            wanted = [self._record({"symbol": symbol}).symbol for symbol in _symbol_list(query["symbols"])]
        else:
            wanted = list(self._records)
        return _encode(
            {
                "timezone": "UTC",
                "serverTime": now_ns // _NS_PER_MS,
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": WEIGHT_LIMIT,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [_symbol_info(self._instruments[symbol]) for symbol in wanted],
            }
        )

    def _trades(self, query: Query, _now_ns: int) -> bytes:
        rows = self._record(query).trades
        limit = _limit(query, default=500, most=1_000)
        if "fromId" not in query:
            return _encode([_trade(row) for row in _last(rows, limit)])
        first = _whole(query, "fromId")
        return _encode([_trade(row) for row in islice((row for row in rows if row.trade_id >= first), limit)])

    def _latest_trades(self, query: Query, now_ns: int) -> bytes:
        return self._trades({name: value for name, value in query.items() if name != "fromId"}, now_ns)

    def _aggregate_trades(self, query: Query, _now_ns: int) -> bytes:
        rows = self._record(query).aggregates
        limit = _limit(query, default=500, most=1_000)
        bounds = {name: _whole(query, name) for name in ("fromId", "startTime", "endTime") if name in query}
        if not bounds:
            return _encode([_aggregate(row) for row in _last(rows, limit)])
        found = (
            row
            for row in rows
            if row.aggregate_id >= bounds.get("fromId", 0)
            and bounds.get("startTime", 0) <= row.time_ms <= bounds.get("endTime", row.time_ms)
        )
        return _encode([_aggregate(row) for row in islice(found, limit)])

    def _record(self, query: Query) -> Record:
        symbol = query.get("symbol", "")
        if not symbol:
            raise RestError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if symbol not in self._records:
            raise RestError(-1121, "Invalid symbol.")
        return self._records[symbol]


def _depth_weight(query: Query) -> int:
    try:
        limit = _limit(query, default=100, most=5_000)
    except RestError:
        return 5
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most)


_Call = tuple[Callable[[Query], int], Callable[[Rest, Query, int], bytes]]
_CALLS: Final[dict[str, _Call]] = {
    "/api/v3/ping": (lambda _: 1, lambda *_: b"{}"),
    "/api/v3/time": (lambda _: 1, Rest._time),
    "/api/v3/depth": (_depth_weight, Rest._depth),
    "/api/v3/exchangeInfo": (lambda _: 20, Rest._exchange_info),
    "/api/v3/trades": (lambda _: 25, Rest._latest_trades),
    "/api/v3/historicalTrades": (lambda _: 25, Rest._trades),
    "/api/v3/aggTrades": (lambda _: 4, Rest._aggregate_trades),
}


def _refusal(status: int, error: RestError, headers: Mapping[str, str]) -> HttpReply:
    return HttpReply(status, _encode({"code": error.code, "msg": error.message}), headers)


def _whole(query: Query, name: str) -> int:
    value = query[name]
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise RestError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(value)


def _limit(query: Query, *, default: int, most: int) -> int:
    if "limit" not in query:
        return default
    limit = _whole(query, "limit")
    if not limit:
        raise RestError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, most)


def _symbol_list(value: str) -> list[str]:
    try:
        return msgspec.json.decode(value, type=list[str])
    except msgspec.DecodeError:
        raise RestError(-1100, "Illegal characters found in parameter 'symbols'.") from None


def _last(rows: deque[_Row], count: int) -> list[_Row]:
    return list(islice(rows, max(0, len(rows) - count), None))


def _trade(row: TradeRow) -> dict[str, Any]:
    return {
        "id": row.trade_id,
        "price": row.price,
        "qty": row.size,
        "quoteQty": format_fixed(parse_fixed(row.price) * parse_fixed(row.size) // SCALE),
        "time": row.time_ms,
        "isBuyerMaker": row.buyer_is_maker,
        "isBestMatch": True,
    }


def _aggregate(row: AggregateRow) -> dict[str, Any]:
    return {
        "a": row.aggregate_id,
        "p": row.price,
        "q": row.size,
        "f": row.first_id,
        "l": row.last_id,
        "T": row.time_ms,
        "m": row.buyer_is_maker,
        "M": True,
    }


def _symbol_info(what: Instrument) -> dict[str, Any]:
    tick, lot = format_fixed(what.tick), format_fixed(what.lot)
    return {
        "symbol": what.symbol,
        "status": "TRADING",
        "baseAsset": what.base,
        "baseAssetPrecision": 8,
        "quoteAsset": what.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000.00000000", "stepSize": lot},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }
