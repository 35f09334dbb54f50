"""Records in bytes: what is damaged or torn is found out, and costs nothing but itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.journal.framing import frame, records, unframe, whole_bytes

PAYLOADS = st.lists(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers(), max_size=4).map(
        lambda fields: json.dumps(fields).encode()
    ),
    max_size=6,
)


def payloads(data: bytes) -> list[bytes | None]:
    return [payload for _, payload in records(data)]


@given(PAYLOADS)
def test_what_was_framed_is_read_back(written: list[bytes]) -> None:
    data = b"".join(map(frame, written))
    assert payloads(data) == written
    assert whole_bytes(data) == len(data)
    assert [end for end, _ in records(data)][-1:] == [len(data)][: len(written)]


def test_a_file_torn_at_any_byte_gives_the_records_before_it_and_nothing_else() -> None:
    written = [b'{"a":1}', b"{}", '{"b":"ü"}'.encode()]
    data = b"".join(map(frame, written))
    ends = [end for end, _ in records(data)]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert payloads(data[:cut]) == written[:whole]
        assert whole_bytes(data[:cut]) == ([0, *ends])[whole]


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_anywhere_costs_that_record_or_those_it_joins_and_is_never_read_as_good(bit: int) -> None:
    written = [b'{"a":1}', b'{"b":22}', b'{"c":333}']
    data = b"".join(map(frame, written))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << bit
        good = [payload for payload in payloads(bytes(damaged)) if payload is not None]
        hit = sum(end <= position for end, _ in records(data))
        joins = data[position : position + 1] == b"\n"
        assert good == [text for i, text in enumerate(written) if i != hit and not (joins and i == hit + 1)]


def test_an_empty_line_is_one_damaged_record_wherever_it_stands() -> None:
    good = frame(b"{}")
    assert payloads(b"\n" + good + b"\n" + good) == [None, b"{}", None, b"{}"]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    for _, payload in records(data):
        assert payload is None or unframe(frame(payload)[:-1]) == payload
