"""Alpaca: US shares (`v2/iex`, `v2/sip`), its always-on test feed (`v2/test`), and crypto-currencies (`v1beta3`).

    [{"T":"t","S":"AAPL","i":71234,"x":"K","p":241.37,"s":25,"c":["@","I"],"z":"C","t":"2026-11-20T15:51:44.208123456Z"},
     {"T":"q","S":"AAPL","bx":"Q","bp":241.36,"bs":300,"ax":"P","ap":241.38,"as":200,"t":"2026-11-20T15:51:44.41002Z"}]
    [{"T":"o","S":"BTC/USD","t":"2026-11-20T10:27:50.55566677Z","b":[{"p":98760.1,"s":0.5}],"a":[],"r":true}]

Every frame is an array of messages of mixed types, told apart by `T`; the same letter means another thing in another
type. Prices and sizes are JSON numbers and keep their digits. The connection is opened by a login, and there is only
one of it: a second one with the same key is turned away.
"""

from app.providers.alpaca.credentials import Credentials
from app.providers.alpaca.feeds import FeedName
from app.providers.alpaca.provider import Alpaca

__all__ = ["Alpaca", "Credentials", "FeedName"]
