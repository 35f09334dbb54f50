"""Binance spot: `@trade`, `@bookTicker` and `@depth@100ms` on combined streams.

    {"stream":"btcusdt@trade","data":{"e":"trade","E":1795350000123,"s":"BTCUSDT","t":5123456789,"p":"98765.43000000",
     "q":"0.01250000","T":1795350000121,"m":false,"M":true}}
    {"stream":"btcusdt@bookTicker","data":{"u":71234567890,"s":"BTCUSDT","b":"98765.42000000","B":"3.10000000",
     "a":"98765.43000000","A":"0.52000000"}}
    {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1795350000200,"s":"BTCUSDT","U":71234567902,
     "u":71234567930,"b":[["98765.42000000","0.00000000"]],"a":[["98766.00000000","1.25000000"]]}}

A bookTicker names neither its type nor a time, so a frame is understood by its stream: the decoder is a union tagged by
the name of the stream, one member for each that was subscribed, and reads a frame in a single pass.
"""

from app.providers.binance.provider import Binance

__all__ = ["Binance"]
