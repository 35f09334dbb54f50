"""Local order books: pure rules, no clock and no socket."""
