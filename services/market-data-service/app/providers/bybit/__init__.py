"""Bybit V5, public market data: `publicTrade`, `orderbook.1` for quotes and a deeper `orderbook` for books.

    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1795350000130,"data":[{"T":1795350000126,"s":"BTCUSDT",
     "S":"Buy","v":"0.004","p":"98765.40","i":"2290000001189048101","seq":98127733012}]}
    {"topic":"orderbook.1.BTCUSDT","ts":1795350000140,"type":"snapshot","data":{"s":"BTCUSDT","b":[["98765.40","1.5"]],
     "a":[["98765.50","0.8"]],"u":40771533,"seq":98127733013},"cts":1795350000137}
    {"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1795350000160,"data":{"s":"BTCUSDT","b":[["98765.40","0"]],
     "a":[],"u":40771534,"seq":98127733020},"cts":1795350000158}

As with Binance, the decoder of a connection is a union tagged by the name of the topic, so that a frame is read in one
pass. Trade ids are opaque: what is missing cannot be seen, only asked for, which `backfill` does after a reconnect.
"""

from app.providers.bybit.provider import Bybit

__all__ = ["Bybit"]
