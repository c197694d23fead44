"""The ``w2v`` command, also as ``python -m w2v``."""

import sys


def main() -> int:
    """Run it.  Ctrl-C is one line from here on."""
    try:
        from corpora.command.entry import command
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return command("w2v.cli")


if __name__ == "__main__":
    sys.exit(main())
