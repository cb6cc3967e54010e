"""`python -m nas_attn` and the `nas-attn` script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit code is the process's."""
    from nas_attn.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
