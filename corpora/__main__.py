"""The ``corpora`` command, also as ``python -m corpora``."""

import sys


def main() -> int:
    """Run it.  Ctrl-C is one line from here on."""
    try:
        from corpora.command.entry import command
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return command("corpora.cli")


if __name__ == "__main__":
    sys.exit(main())
