"""The store: every event a row in SQLite or PostgreSQL, or accounted for by name."""
