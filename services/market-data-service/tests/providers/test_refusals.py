"""What a venue refuses, in words."""

from app.providers.refusals import MOST_CHARACTERS, Refusals


def test_streams_with_the_same_answer_are_said_together_and_vanish_when_they_are_given() -> None:
    refusals = Refusals()
    refusals.refused("A", "trades", "limit")
    refusals.refused("A", "quotes", "limit")
    refusals.refused("A", "books", "unknown")
    assert refusals.by_symbol == {"A": "trades, quotes: limit; books: unknown"}
    refusals.joined("B", "trades")
    refusals.joined("A", "quotes")
    assert refusals.by_symbol == {"A": "trades: limit; books: unknown"}
    refusals.joined("A", "trades")
    refusals.joined("A", "books")
    assert refusals.by_symbol == {}


def test_what_the_venue_says_is_cut_to_a_bound() -> None:
    refusals = Refusals()
    refusals.refused("A", "trades", "x" * 10_000)
    assert refusals.by_symbol == {"A": "trades: " + "x" * MOST_CHARACTERS}
