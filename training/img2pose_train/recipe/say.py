"""How a script talks: messages go to stderr, so that its stdout is its result."""

import sys


def say(text):
    print(text, file=sys.stderr, flush=True)


def step(text):
    say(f"==> {text}")


class Refused(Exception):
    """The script ends with this message and status 1."""
