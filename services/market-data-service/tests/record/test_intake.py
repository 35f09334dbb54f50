"""From messages to what is stored of them, with and without room."""

from typing import Any

import pytest

from app.bus import Buffer
from app.record.intake import Intake
from app.record.recorder import RECORD
from app.record.sequence import Sequences
from app.storage.rows import Storable, Unreadable
from md_contract.codec import encode
from md_contract.events import Status, Trade
from md_contract.signals import Alert
from md_contract.subjects import ALERTS, SYSTEM

NOW = 1_790_000_000_000_000_000
CAPACITY = 10


class Desk:
    """An intake before a sink that takes as much as there is room for."""

    def __init__(self, *, follows: bool = True) -> None:
        self.room = 1_000
        self.stored: list[Storable] = []
        self.buffer: Buffer[Storable] = Buffer("storage", self.take, CAPACITY, lambda: None, RECORD)
        self.now_ns = NOW
        self.intake = Intake(
            self.buffer, Sequences(100) if follows else None, wall_ns=lambda: self.now_ns, of_stream=Sequences(100)
        )

    def take(self, message: Storable) -> bool:
        if self.room:
            self.room -= 1
            self.stored.append(message)
            return True
        return False

    def trade(self, seq: int, epoch: int = 7) -> None:
        event = Trade("binance", "BTCUSDT", NOW, "1", "1", str(seq), seq=seq, epoch=epoch)
        self.intake.on_message("md.events.trade.BTCUSDT", encode(event))

    @property
    def trades(self) -> list[int]:
        return [message.seq for message in self.stored if isinstance(message, Trade)]

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [message.detail for message in self.stored if isinstance(message, Status)]

    def closes(self) -> bool:
        accounts = self.buffer.accounts.values()
        received = sum(account.received for account in accounts)
        return received == self.intake.heard + self.intake.notes and not any(each.difference for each in accounts)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_hole_is_named_before_the_message_that_shows_it(desk: Desk) -> None:
    for seq in (3, 4, 8):
        desk.trade(seq)
    assert desk.notes == [
        {"type": "trade", "missing": 3, "from_seq": 5, "to_seq": 7, "epoch": 7, "where": "bus"},
    ]
    gap = desk.stored[2]
    assert isinstance(gap, Status)
    assert (gap.kind, gap.symbol, gap.provider, gap.ts_recv) == ("gap", "BTCUSDT", "recorder", NOW)
    assert (desk.intake.gaps, desk.intake.missing) == (1, 3)
    assert desk.closes()


def test_in_a_queue_group_holes_mean_nothing() -> None:
    desk = Desk(follows=False)
    for seq in (3, 9):
        desk.trade(seq)
    assert desk.notes == []


def test_what_nobody_can_read_is_kept_and_counted(desk: Desk) -> None:
    desk.intake.on_message("md.events.trade.BTCUSDT", b"{")
    assert [type(message) for message in desk.stored] == [Unreadable]
    assert desk.intake.unreadable == 1
    assert desk.intake.last_unreadable is desk.stored[0]


def test_what_there_is_no_room_for_is_counted_and_named_once_there_is(desk: Desk) -> None:
    desk.room = 0
    alert = encode(Alert("id", "latency", "firing", "warning", None, None, 1.0, 0.5, "slow", NOW))
    for seq in range(1, CAPACITY + 1):
        desk.trade(seq)
    assert desk.buffer.saturated
    for seq in (11, 12, 15):  # 13 and 14 were lost on the bus
        desk.trade(seq)
    desk.intake.on_message(ALERTS, alert)
    assert (desk.intake.refused, desk.intake.gaps) == (4, 0)
    assert len(desk.buffer) == CAPACITY, "memory is bounded"
    assert desk.closes()
    desk.room = 1_000
    desk.buffer.drain(1_000)
    desk.trade(16)
    assert desk.trades == [*range(1, 11), 16]
    assert desk.notes == [
        {"type": "trade", "missing": 5, "from_seq": 11, "to_seq": 15, "epoch": 7, "where": "recorder"},
        {"type": "alert", "missing": 1, "from_seq": None, "to_seq": None, "epoch": None, "where": "recorder"},
    ]
    assert desk.closes()


def test_an_absence_is_a_row_of_its_own(desk: Desk) -> None:
    desk.trade(1)
    desk.intake.was_away(1.23456, "it was gone")
    desk.trade(1, epoch=8)
    about, gap = [message for message in desk.stored if isinstance(message, Status)]
    assert (about.symbol, about.kind, about.detail["away_s"]) == (SYSTEM, "reconnect", 1.235)
    assert (gap.kind, gap.detail["missing"], gap.detail["from_seq"], gap.detail["epoch"]) == ("gap", None, 2, 7)
    assert desk.closes()


def test_what_is_read_from_the_stream_is_kept_whatever_room_there_is(desk: Desk) -> None:
    desk.room = 0
    for seq in range(1, CAPACITY + 1):
        desk.trade(seq)
    assert desk.buffer.saturated
    event = Trade("binance", "BTCUSDT", NOW, "1", "1", "11", seq=1, epoch=9)
    desk.intake.on_stored("md.events.trade.BTCUSDT", encode(event), NOW)
    assert (desk.intake.refused, desk.intake.put) == (0, CAPACITY + 1)
    desk.room = 1_000
    desk.buffer.drain(1_000)
    assert desk.stored[-1] == event
    assert desk.closes()


def fill(desk: Desk) -> None:
    desk.room = 0
    for seq in range(1, CAPACITY + 1):
        desk.trade(seq)
    assert desk.buffer.saturated


def make_room(desk: Desk) -> None:
    desk.room = 1_000
    desk.buffer.drain(1_000)


def test_what_was_lost_is_named_only_once_there_is_room_whatever_the_stream_brings_meanwhile(desk: Desk) -> None:
    fill(desk)
    desk.trade(11)
    event = Trade("binance", "BTCUSDT", NOW, "1", "1", "12", seq=1, epoch=9)
    desk.intake.on_stored("md.events.trade.BTCUSDT", encode(event), NOW)
    assert (desk.intake.refused, desk.intake.notes) == (1, 0)
    make_room(desk)
    desk.trade(12)
    assert [note["missing"] for note in desk.notes] == [1]
    assert desk.closes()


def test_the_end_of_an_epoch_that_may_have_passed_unheard_is_named_though_there_was_no_room_for_what_showed_it(
    desk: Desk,
) -> None:
    fill(desk)
    desk.intake.was_away(1, "it was gone")
    for seq in (2, 3):
        desk.trade(seq, epoch=8)
    make_room(desk)
    desk.trade(4, epoch=8)
    about, *gaps = desk.notes
    assert about["away_s"] == 1
    assert gaps == [
        {"type": "trade", "missing": None, "from_seq": 11, "to_seq": None, "epoch": 7, "where": "bus"},
        {"type": "trade", "missing": 3, "from_seq": 1, "to_seq": 3, "epoch": 8, "where": "recorder"},
    ]
    assert desk.closes()


def test_a_hole_before_what_there_was_no_room_for_is_in_the_numbers_that_are_named(desk: Desk) -> None:
    fill(desk)
    for seq in (13, 14):  # 11 and 12 were lost on the bus
        desk.trade(seq)
    make_room(desk)
    desk.trade(15)
    assert desk.notes == [
        {"type": "trade", "missing": 4, "from_seq": 11, "to_seq": 14, "epoch": 7, "where": "recorder"},
    ]


@pytest.mark.parametrize(("seq", "named"), [(0, None), (1, 1)])
def test_numbers_that_say_nothing_name_nothing(desk: Desk, seq: int, named: int | None) -> None:
    fill(desk)
    event = Trade("binance", "ETHUSDT", NOW, "1", "1", "1", seq=seq, epoch=7)
    desk.intake.on_message("md.events.trade.ETHUSDT", encode(event))
    make_room(desk)
    desk.trade(11)
    assert [(note["missing"], note["from_seq"], note["to_seq"]) for note in desk.notes] == [(1, named, named)]


def test_a_message_of_the_stream_makes_the_same_rows_whenever_it_is_read() -> None:
    rows = []
    for now_ns in (NOW, NOW + 10**12):
        desk = Desk()
        desk.now_ns = now_ns
        for seq in (1, 4):  # a hole
            foreign = b'{"symbol": "BTCUSDT", "price": "1.5", "qty": "2", "seq": %d, "epoch": 7}' % seq
            desk.intake.on_stored("md.events.trade.BTCUSDT", foreign, NOW + seq)
        desk.intake.was_discarded(7, 9, NOW + 10)
        desk.intake.on_stored("md.events.trade.BTCUSDT", b"{", NOW + 10)
        rows.append(desk.stored)
        assert desk.closes()
    assert rows[0] == rows[1]
    assert {type(row) for row in rows[0]} >= {Status, Unreadable}


def test_what_the_stream_deleted_is_named_and_ends_of_epochs_are_doubted(desk: Desk) -> None:
    def stored(epoch: int) -> None:
        event = Trade("binance", "BTCUSDT", NOW, "1", "1", str(epoch), seq=1, epoch=epoch)
        desk.intake.on_stored("md.events.trade.BTCUSDT", encode(event), NOW)

    stored(7)
    stored(8)
    assert desk.notes == [], "the end of epoch 7 was in the stream"
    desk.intake.was_discarded(3, 5, NOW + 1)
    stored(9)
    about, *ends = [message for message in desk.stored if isinstance(message, Status)]
    assert (about.symbol, about.kind, about.provider, about.ts_recv) == (SYSTEM, "gap", "recorder", NOW + 1)
    assert about.detail == {
        "type": None, "missing": 3, "from_seq": 3, "to_seq": 5, "epoch": None, "where": "stream",
    }  # fmt: skip
    assert [end.detail["epoch"] for end in ends] == [7, 8]
    assert (desk.intake.discarded, desk.intake.missing, desk.intake.gaps) == (3, 0, 3)
    assert desk.closes()


def test_what_went_with_a_deleted_stream_is_named_and_ends_of_epochs_are_doubted(desk: Desk) -> None:
    for epoch in (7, 8):
        if epoch == 8:
            desk.intake.was_deleted(2, at_least=40)
        event = Trade("binance", "BTCUSDT", NOW, "1", "1", str(epoch), seq=1, epoch=epoch)
        desk.intake.on_stored("md.events.trade.BTCUSDT", encode(event), NOW)
    about, end = desk.notes
    assert about == {
        "type": None, "missing": None, "from_seq": 2, "to_seq": None, "epoch": None, "where": "stream",
    }  # fmt: skip
    assert (end["missing"], end["from_seq"], end["epoch"]) == (None, 2, 7)
    assert (desk.intake.discarded, desk.intake.gaps, desk.intake.missing) == (40, 2, 0)
    assert desk.closes()
