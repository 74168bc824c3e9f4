"""`python -m gofer` is the command `gofer`."""

from __future__ import annotations

import sys

from gofer.cli import main

if __name__ == "__main__":
    sys.exit(main())
