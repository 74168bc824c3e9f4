"""The command `gofer`: runs a manager from a module or a file, or looks at it without running it.

Exit codes: 0 all went well; 1 a job failed or the run was cancelled; 2 the command line, the
target, or the manager itself is wrong; 130 interrupted by Ctrl-C.

What only some calls need is imported by them, so that ``gofer --help`` starts fast.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FINE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        argv: The arguments; None means those of the program.
    """
    try:
        return _main(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:
        from gofer.cli._say import say

        say("gofer: interrupted")
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    if argv[:1] == ["--complete"]:  # what the shell's script asks; see _completion
        return _complete(argv[1:])
    from gofer.cli._parser import parser

    made = parser()
    try:
        args = made.parse_args(argv)
        if args.version:
            print(f"gofer {_version()}")
            return FINE
        if args.command is None:
            made.error("say what to do: gofer run TARGET")
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else WRONG
    from gofer.cli._commands import perform

    return perform(args)


def _complete(words: list[str]) -> int:
    from gofer.cli._completion import candidates

    try:
        text = "\n".join(candidates(words)) + "\n"
        sys.stdout.buffer.write(os.fsencode(text))  # names of files need not be text
        sys.stdout.flush()
    except (OSError, SyntaxError, ValueError):  # a file that cannot be read has no managers
        return WRONG
    return FINE


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gofer")
    except PackageNotFoundError:
        return "(not installed)"
