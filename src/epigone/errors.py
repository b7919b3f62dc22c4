"""What can go wrong, as a tree. Every message says what, where, what was allowed and the way out.

EpigoneError            exit code 1: the work failed
|- SpecError            exit code 2: the specification is wrong; nothing was run
|- DataError            an input file cannot be read as what it was said to be
|- ArtifactError        an artifact is missing, half-written, or not what its checksums say
|- HandedOn             exit code 0: nothing failed, but others go on with it (a batch system)
|- WorkError            a stage failed while it ran (worker died, too little was covered)
   |- DiskFullError     there is no room for an artifact: nothing else need be tried
"""


class EpigoneError(Exception):
    """Base of all errors that a user should read without a traceback."""

    exit_code = 1


class SpecError(EpigoneError):
    """A specification names something that does not exist or breaks a rule."""

    exit_code = 2


class DataError(EpigoneError):
    """An input file does not hold what it was said to hold: names file, row and value."""


class ArtifactError(EpigoneError):
    """An artifact is missing, incomplete or corrupt."""


class WorkError(EpigoneError):
    """A stage could not finish its work."""


class DiskFullError(WorkError):
    """There is no room left: the other stages would fail too, so a study stops."""


class HandedOn(EpigoneError):  # noqa: N818 - no error: it ends a command whose work goes on elsewhere
    """The work was handed on: the message says to whom, and how it goes on."""

    exit_code = 0
