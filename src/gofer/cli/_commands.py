"""The commands: run, check, graph and completion."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gofer.cli import FAILED, FINE, WRONG
from gofer.cli._load import WrongTargetError, load
from gofer.cli._parser import PICTURES
from gofer.cli._say import say, show, traceback_of_user, where
from gofer.errors import PlanError, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gofer import JobManager, Run
    from gofer.testing.races import RaceDetector


def perform(args: argparse.Namespace) -> int:
    """Do what the arguments say; return the exit code."""
    commands = {"run": _run, "check": _check, "graph": _graph, "completion": _completion}
    try:
        return commands[args.command](args)
    except WrongTargetError as error:
        say(f"gofer: {error}")
    except PlanError as error:
        text = "; ".join(str(error).splitlines())
        say(f"gofer: {args.target} is refused: {where(error)}{text}")
    return WRONG


def _completion(args: argparse.Namespace) -> int:
    from gofer.cli._completion import SCRIPTS

    return FINE if show(SCRIPTS[args.shell].strip()) else FAILED


def _graph(args: argparse.Namespace) -> int:
    from gofer._run import write_text

    manager = load(args.target)
    if args.output is None:
        return FINE if show(manager.to_mermaid().rstrip()) else FAILED
    text = getattr(manager, PICTURES[os.path.splitext(args.output)[1]])()
    return FINE if _written(lambda path: write_text(path, text), args.output) else FAILED


def _check(args: argparse.Namespace) -> int:
    from gofer.cli._table import table

    manager = load(args.target)
    manager.check()
    return FINE if show(table(manager)) else FAILED


def _run(args: argparse.Namespace) -> int:
    from gofer import Context, UnknownJobError

    manager = load(args.target)
    if args.limit is not None:
        manager = manager._limited(args.limit)
    detector = _detector(manager, args)
    with _announcing():
        try:
            ctx = Context(timeout=args.timeout)
            run = (detector or manager).execute(
                ctx,
                args.param,
                only=args.only,
                check=False,
                progress=not args.quiet,
                backend=args.backend,
            )
        except UnknownJobError as error:
            raise WrongTargetError(f"--only: {error}") from None
    fine = _show(run, args) and not (detector is not None and _has_races(detector, args))
    try:
        run.check()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # recover=False lets anything through
        if run.state == "cancelled":
            say(f"gofer: the run was cancelled: {describe(error)}")
        else:
            say(traceback_of_user(error), keep="\n\t")
        return FAILED
    return FINE if fine else FAILED


def _detector(manager: JobManager, args: argparse.Namespace) -> RaceDetector | None:
    if not args.races:
        return None
    if not isinstance(args.param, (dict, list)):
        raise WrongTargetError(
            "--races is about the param: give one that can be written, --param '{}'"
        )
    from gofer.testing.races import RaceDetector

    return RaceDetector(manager, unordered=args.unordered or ())


def _has_races(detector: RaceDetector, args: argparse.Namespace) -> bool:
    """Tell what was found on standard error; return whether it is a fault."""
    from gofer import RacesFound

    report = detector.report()
    try:
        detector.check()
    except RacesFound:
        say(f"gofer: {report}", keep="\n")
        return True
    if not args.quiet:
        say(f"gofer: {report}", keep="\n")
    return False


def _show(run: Run, args: argparse.Namespace) -> bool:
    """Print and write what was asked for; return whether all of it could be."""
    from gofer._run import write_text
    from gofer.views.data import as_json

    written = True
    if args.json == "-":
        written = show(as_json(run))
    elif args.json is not None:
        written = _written(lambda path: write_text(path, as_json(run) + "\n"), args.json)
    if not args.quiet and args.json != "-":
        written &= show(_waterfall(run))
    for write, path in ((run.to_html, args.html), (run.to_trace, args.trace)):
        written &= path is None or _written(write, path)
    return written


def _waterfall(run: Run) -> str:
    """Return it in colours where they are seen, and ``rich`` is there to make them."""
    if not sys.stdout.isatty():
        return str(run)
    try:
        from rich.console import Console
    except ImportError:
        return str(run)
    console = Console()
    with console.capture() as captured:
        console.print(run, crop=False)
    return str(captured.get()).rstrip("\n")


def _written(write: Callable[[str], None], path: str) -> bool:
    """Write a file; say so if that fails."""
    try:
        write(path)
    except OSError as error:
        say(f"gofer: {path}: {error.strerror}")
        return False
    return True


@contextmanager
def _announcing() -> Iterator[None]:
    """Say what Gofer logs when it happens, unless the user's module has set up logging."""
    import logging

    import gofer.views.text  # noqa: F401  before the run: what it takes must not count as a job's

    class Announcer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"gofer: {record.getMessage()}")

    logger = logging.getLogger("gofer")
    if logger.hasHandlers():
        yield
        return
    announcer = Announcer(logging.WARNING)
    logger.addHandler(announcer)
    try:
        yield
    finally:
        logger.removeHandler(announcer)
