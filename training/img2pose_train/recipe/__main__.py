"""`python -m img2pose_train.recipe [--check] OPTION... PACK OUT`: the options of scripts/train.sh, which sets up what this needs.
With --check they are checked, and nothing else happens."""

import sys

from .options import checked, hold_to, read
from .say import Refused, say
from .steps import Recipe, Stopped


def main(arguments):
    """Exit status."""
    only_check = arguments[:1] == ["--check"]
    try:
        given = read(arguments[only_check:])
        options = checked(given)
        hold_to(given, options)
        if not only_check:
            Recipe(options).make()
    except Refused as refused:
        say(f"error: {refused}")
        return 1
    except Stopped as stopped:
        return stopped.args[0]
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
