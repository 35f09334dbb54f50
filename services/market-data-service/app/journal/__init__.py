"""The journal: events put aside on disk, first in, first out, bounded. See `journal.journal`."""

from app.journal.folder import JournalError
from app.journal.journal import Journal

__all__ = ["Journal", "JournalError"]
