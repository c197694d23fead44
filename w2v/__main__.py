"""The ``w2v`` command, also as ``python -m w2v``."""

import sys


def main() -> int:
    """Run it.  Ctrl-C while its modules are still being loaded is one line, too."""
    try:
        from w2v.cli import run
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
