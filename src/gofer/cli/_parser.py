"""The command line itself: commands, options, and what their values may be."""

from __future__ import annotations

import argparse
import os

from gofer._core.plan import did_you_mean
from gofer.cli._load import TARGET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PICTURES = {".svg": "to_svg", ".mmd": "to_mermaid", ".dot": "to_dot"}

SHELLS = ("bash", "fish", "zsh")

_EXIT_CODES = (
    "exit codes: 0 all went well; 1 a job failed, the run was cancelled, or there are races; "
    "2 the command line, the target or the manager is wrong; 130 Ctrl-C"
)


class _Parser(argparse.ArgumentParser):
    """A parser that names the nearest command when there is no such one.

    What it says is one line, whatever it was given.
    """

    def error(self, message: str) -> NoReturn:
        from gofer.views.text import printable

        super().error(printable(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is not None and value not in choices:
            names = [str(each) for each in choices]
            hint = did_you_mean(str(value), names) or f"; there are {', '.join(names)}"
            raise argparse.ArgumentError(action, f"there is no {value!r}{hint}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    made = _Parser(
        prog="gofer", description="Run named jobs concurrently; see where the time went."
    )
    made.add_argument("--version", action="store_true", help="show the version and exit")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sentence = f"{text[0].upper()}{text[1:]}."
        return commands.add_parser(name, help=text, description=sentence, epilog=_EXIT_CODES)

    _run(command("run", "execute a manager and print a waterfall of its jobs"))
    check = command("check", "check a manager without running it, and list its jobs")
    check.add_argument("target", metavar="TARGET", help=TARGET)
    graph = command("graph", "draw the graph of a manager's jobs, without running them")
    graph.add_argument("target", metavar="TARGET", help=TARGET)
    graph.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=_picture,
        help="a .svg, .mmd (Mermaid) or .dot (Graphviz) file; without it, Mermaid is printed",
    )
    completion = command("completion", "print a script that makes a shell complete this command")
    completion.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    return made


def _run(run: argparse.ArgumentParser) -> None:
    run.add_argument("target", metavar="TARGET", help=f"{TARGET}; also module:app.manager")
    run.add_argument("--param", metavar="JSON", type=_json, help="what the jobs get as their param")
    run.add_argument(
        "--only", metavar="JOB", action="append", help="run this job and what it needs; repeatable"
    )
    run.add_argument(
        "--limit", metavar="N", type=_limit, help="run at most N jobs at once, whatever it says"
    )
    run.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="cancel the run after this time"
    )
    run.add_argument(
        "--backend", choices=("threads", "processes"), help="where jobs run that do not say it"
    )
    run.add_argument(
        "--races",
        action="store_true",
        help="find jobs that use the same part of the param in no order; exit 1 if there are any",
    )
    run.add_argument(
        "--unordered",
        metavar="PATH",
        action="append",
        help="what --races lets be used in any order, such as cart.hits; repeatable",
    )
    run.add_argument(
        "--html", metavar="FILE", type=_file, help="write a page: waterfall, table and graph"
    )
    run.add_argument("--trace", metavar="FILE", type=_file, help="write a trace for Perfetto")
    run.add_argument(
        "--json",
        metavar="FILE",
        type=_file,
        help="write the report as JSON; - prints it in place of the waterfall",
    )
    run.add_argument("-q", "--quiet", action="store_true", help="print nothing but what went wrong")


def _limit(text: str) -> int:
    try:
        limit = int(text) if text.isdecimal() else 0
    except ValueError:  # thousands of digits, which is more than Python reads
        raise argparse.ArgumentTypeError("it has too many digits") from None
    if limit < 1:
        raise argparse.ArgumentTypeError(f"it must be a whole number of at least 1: {text!r}")
    return limit


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"it must be a number of seconds above 0: {text!r}")
    return seconds


def _file(path: str) -> str:
    """Refuse a file that cannot be written before anything has run."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"there is no folder {folder!r}")
    return path


def _picture(path: str) -> str:
    if not path.endswith(tuple(PICTURES)):
        raise argparse.ArgumentTypeError(f"its name must end in {', '.join(PICTURES)}: {path!r}")
    return _file(path)


def _json(text: str) -> Any:
    """Parse a param. Errors say where it is wrong and never what it holds: it may be secret."""
    import json

    def refuse(constant: str) -> NoReturn:
        raise argparse.ArgumentTypeError(f"not JSON: JSON has no {constant}")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise argparse.ArgumentTypeError(f"not JSON: {error.msg}: {where}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("nested too deeply") from None
    except ValueError:
        raise argparse.ArgumentTypeError("it has a number with too many digits") from None
