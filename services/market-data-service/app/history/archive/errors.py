"""What can be wrong with an archive; the text is one line for people."""


class ArchiveError(RuntimeError):
    """The archive cannot be gone on with."""


class VerificationError(ArchiveError):
    """What was read back is not what was written: trust this disk no more."""


class DamagedArchiveError(ArchiveError):
    """A file that was verified once is not what it was."""
