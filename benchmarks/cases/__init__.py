"""The cases: each file that begins with a letter is one, and names it."""
