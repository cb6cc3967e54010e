"""`python -m nas_attn` and the `nas-attn` script."""

from __future__ import annotations

import sys

from nas_attn.stopping import INTERRUPTED, say_stopped, stopping


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    try:
        with stopping():  # a signal may come while this loads; afterwards `run` handles it
            from nas_attn.cli.app import run
            from nas_attn.cli.signs import print_any_sign

            print_any_sign()
    except KeyboardInterrupt as stop:
        say_stopped(str(stop))
        sys.exit(INTERRUPTED)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
