"""The one error that a user can mend (the command lines print it, exit code 2), and whose fault a failure is."""

OWN_CAUSES = (
    "nan loss",
    "out of memory",
)  # of a run's parameters; whatever else fails may be the machine's fault


class InputError(Exception):
    """A bad input: the message says what must hold, what was found, and what to do."""
