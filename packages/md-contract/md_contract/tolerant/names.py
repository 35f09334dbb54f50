"""The other names by which fields are known, in any case and with or without `_` and `-`. Shown in docs/input.md.

A name is here if it means the same wherever it is used for an event of this kind. `volume` is not: it may be the day's
total, or the notional.
"""

from typing import Final

OTHER_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "provider": ("exchange", "venue"),
    "ts_event": (
        "timestamp", "time", "eventtime", "eventtimestamp", "exchangetime", "exchangetimestamp", "exchangets",
        "timeexchange", "tsexchange", "tradetime",
    ),
    "ts_recv": (
        "localtimestamp", "receipttimestamp", "receivetime", "receivedat", "timereceived", "tsreceived", "recvts",
    ),
    "price": ("px", "tradeprice"),
    "size": ("qty", "quantity", "amount", "sz", "tradesize", "tradeqty"),
    "trade_id": ("id", "tid"),
    "side": ("takerside", "aggressor", "aggressorside"),
    "bid": ("bidprice", "bidpx", "bestbid", "bestbidprice"),
    "bid_size": ("bidqty", "bidquantity", "bidamount", "bidsz", "bestbidsize", "bestbidqty"),
    "ask": ("askprice", "askpx", "bestask", "bestaskprice"),
    "ask_size": ("askqty", "askquantity", "askamount", "asksz", "bestasksize", "bestaskqty"),
}  # fmt: skip
BUYER_MAKER: Final = ("isbuyermaker", "buyerismaker", "buyermaker")  # true: the seller was the aggressor
