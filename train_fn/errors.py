"""The one error that a user can mend; the command lines print it and exit with code 2."""


class InputError(Exception):
    """A bad input: the message says what must hold, what was found, and what to do."""
