"""What a user can mend."""


class Problem(Exception):
    """One sentence: where, what was expected, what was found, what to do."""
