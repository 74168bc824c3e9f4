"""The command `gofer`: runs a manager from a module or a file, and shows how it went, or its graph.

Exit codes: 0 all went well; 1 a job failed or the run was cancelled; 2 the command line, the
target, or the manager itself is wrong; 130 interrupted by Ctrl-C.

What only some calls need is imported by them, so that ``gofer --help`` starts fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from gofer.errors import PlanError, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence
    from traceback import TracebackException
    from types import ModuleType
    from typing import Any, NoReturn

    from gofer import JobManager

FINE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130

_OWN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_MOST = 10  # names in one message
_TARGET = "module:manager or path/file.py:manager"
_PICTURES = {".svg": "to_svg", ".mmd": "to_mermaid", ".dot": "to_dot"}


class _WrongTargetError(Exception):
    """The target cannot be run; the text says why, in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        argv: The arguments; None means those of the program.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt:
        _say("gofer: interrupted")
        return INTERRUPTED


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        args = parser.parse_args(argv)
        if args.version:
            print(f"gofer {_version()}")
            return FINE
        if args.command is None:
            parser.error("say what to do: gofer run TARGET")
    except SystemExit as stop:  # argparse has said why
        return stop.code if isinstance(stop.code, int) else WRONG
    try:
        return _graph(args) if args.command == "graph" else _run(args)
    except _WrongTargetError as error:
        _say(f"gofer: {error}")
    except PlanError as error:
        text = "; ".join(str(error).splitlines())
        _say(f"gofer: {args.target} is refused: {_where(error)}{text}")
    return WRONG


def _parser() -> argparse.ArgumentParser:
    import argparse

    parser = argparse.ArgumentParser(
        prog="gofer", description="Run named jobs concurrently; see where the time went."
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="execute a manager and print a waterfall of its jobs",
        description="Execute a manager and print a waterfall of its jobs.",
        epilog="exit codes: 0 all went well; 1 a job failed or the run was cancelled; "
        "2 the command line, the target or the manager is wrong; 130 Ctrl-C",
    )
    run.add_argument("target", metavar="TARGET", help=f"{_TARGET}; also module:app.manager")
    run.add_argument("--param", metavar="JSON", type=_json, help="what the jobs get as their param")
    run.add_argument(
        "--html", metavar="FILE", type=_file, help="write a page: waterfall, table and graph"
    )
    run.add_argument("--trace", metavar="FILE", type=_file, help="write a trace for Perfetto")
    graph = commands.add_parser(
        "graph",
        help="draw the graph of a manager's jobs, without running them",
        description="Draw the graph of a manager's jobs, without running them.",
    )
    graph.add_argument("target", metavar="TARGET", help=_TARGET)
    graph.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=_picture,
        help="a .svg, .mmd (Mermaid) or .dot (Graphviz) file; without it, Mermaid is printed",
    )
    return parser


def _file(path: str) -> str:
    """Refuse a file that cannot be written before anything has run."""
    import argparse

    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"there is no folder {folder!r}")
    return path


def _picture(path: str) -> str:
    import argparse

    if not path.endswith(tuple(_PICTURES)):
        raise argparse.ArgumentTypeError(f"its name must end in {', '.join(_PICTURES)}: {path!r}")
    return _file(path)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gofer")
    except PackageNotFoundError:
        return "(not installed)"


def _json(text: str) -> Any:
    """Parse a param. Errors say where it is wrong and never what it holds: it may be secret."""
    import argparse
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


def _graph(args: argparse.Namespace) -> int:
    from gofer._run import write_text

    manager = _load(args.target)
    if args.output is None:
        return FINE if _print(manager.to_mermaid().rstrip()) else FAILED
    text = getattr(manager, _PICTURES[os.path.splitext(args.output)[1]])()
    return FINE if _written(lambda path: write_text(path, text), args.output) else FAILED


def _run(args: argparse.Namespace) -> int:
    manager = _load(args.target)
    with _announcing():
        run = manager.execute(param=args.param, check=False)
    written = _print(str(run))
    for write, path in ((run.to_html, args.html), (run.to_trace, args.trace)):
        written &= path is None or _written(write, path)
    try:
        run.check()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # recover=False lets anything through
        if run.state == "cancelled":
            _say(f"gofer: the run was cancelled: {describe(error)}")
        else:
            _say(_traceback(error), keep="\n\t")
        return FAILED
    return FINE if written else FAILED


def _written(write: Callable[[str], None], path: str) -> bool:
    """Write a file; say so if that fails."""
    try:
        write(path)
    except OSError as error:
        _say(f"gofer: {path}: {error.strerror}")
        return False
    return True


@contextmanager
def _announcing() -> Iterator[None]:
    """Say what Gofer logs when it happens, unless the user's module has set up logging."""
    import logging

    import gofer.views.text  # noqa: F401  before the run: what it takes must not count as a job's

    class Announcer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _say(f"gofer: {record.getMessage()}")

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


# Finding the manager


def _load(target: str) -> JobManager:
    from gofer import JobManager

    source, _, attribute = target.rpartition(":")
    steps = attribute.split(".")
    if not source or not all(step.isidentifier() for step in steps):
        raise _WrongTargetError(f"the target must be {_TARGET}, got {target!r}")
    module = _module(source)
    found: Any = module
    for i, step in enumerate(steps):
        try:
            found = getattr(found, step)
        except AttributeError:
            owner = ":".join([source, *filter(None, [".".join(steps[:i])])])
            hint = _did_you_mean(step, dir(found))
            managers = _managers(module, source)
            raise _WrongTargetError(f"{owner} has no {step!r}{hint}{managers}") from None
    if not isinstance(found, JobManager):
        what = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
        raise _WrongTargetError(f"{target} is {what}, not a JobManager{_managers(module, source)}")
    return found


def _managers(module: ModuleType, source: str) -> str:
    from gofer import JobManager

    names = [name for name, value in vars(module).items() if isinstance(value, JobManager)]
    if not names:
        return f"; {source} has no managers"
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"; {source} has these managers: {', '.join(names[:_MOST])}{more}"


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    from gofer._core.plan import nearest

    near = nearest(name, names)
    return f"; did you mean {near!r}?" if near else ""


def _module(source: str) -> ModuleType:
    """Import the user's module; whatever it raises on the way is shown as it is."""
    is_path = source.endswith(".py") or os.sep in source or "/" in source
    if is_path and not os.path.isfile(source):
        raise _WrongTargetError(f"there is no file {source!r}")
    try:
        return _from_path(source) if is_path else _from_name(source)
    except (KeyboardInterrupt, PlanError, _WrongTargetError):
        raise
    except BaseException as error:  # SystemExit too: a script without a __main__ guard
        _say(_traceback(error), keep="\n\t")
        raise _WrongTargetError(f"{source} cannot be imported: {describe(error)}") from None


def _from_path(path: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    path = os.path.abspath(path)
    _look_first_in(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:  # a script may be called json.py, but must not replace json
        name = f"__gofer_{name}__"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _WrongTargetError(f"{path!r} is no Python file: its name must end in .py")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _from_name(name: str) -> ModuleType:
    from importlib import import_module

    if not all(name.split(".")):
        raise _WrongTargetError(f"the target must be {_TARGET}, got the module {name!r}")
    folder = os.getcwd()
    _look_first_in(folder)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        its_own = missing and (name == missing or name.startswith(f"{missing}."))
        if not its_own or _user_frames(error):  # the module is there; its import fails
            raise
        hint = _module_hint(missing, folder)
        raise _WrongTargetError(f"there is no module {missing!r}{hint}") from None


def _module_hint(missing: str, folder: str) -> str:
    from pkgutil import iter_modules

    package = missing.rpartition(".")[0]
    places = getattr(sys.modules.get(package), "__path__", ()) if package else (folder,)
    prefix = f"{package}." if package else ""
    return _did_you_mean(missing, [each.name for each in iter_modules(places, prefix)])


def _look_first_in(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)


# Saying what happened


def _print(text: str) -> bool:
    """Print to standard output; return whether nobody lost anything that they wanted."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What is still buffered would fail again at exit, so it goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # `gofer run ... | head -1` has enough
            _say(f"gofer: standard output: {error}")
            return False
    return True


def _say(text: str, keep: str = "") -> None:
    """Print to standard error what may hold names and texts from outside."""
    from gofer.views.text import printable

    with suppress(OSError):  # nobody is left to be told
        print(printable(text, keep), file=sys.stderr, flush=True)


def _traceback(error: BaseException) -> str:
    """Return the traceback with its notes and causes, without the frames of Gofer itself."""
    from traceback import TracebackException

    try:
        shown = TracebackException.from_exception(error, compact=True)
        _leave_out_own_frames(shown)
        return "".join(shown.format()).rstrip("\n")
    except Exception:  # an exception may have hostile attributes; its name is still worth saying
        return describe(error)


def _leave_out_own_frames(shown: TracebackException) -> None:
    left = [shown]
    while left:
        each = left.pop()
        each.stack[:] = [frame for frame in each.stack if _is_of_the_user(frame.filename)]
        left += [other for other in (each.__cause__, each.__context__) if other is not None]
        left += each.exceptions or ()


def _is_of_the_user(filename: str) -> bool:
    import importlib

    machinery = filename.startswith("<frozen importlib") or filename == importlib.__file__
    return not machinery and not filename.startswith(_OWN_FOLDER)


def _user_frames(error: BaseException) -> list[tuple[str, int]]:
    """Return file and line of each of the user's frames, the innermost last."""
    frames = []
    at = error.__traceback__
    while at is not None:
        filename = at.tb_frame.f_code.co_filename
        if _is_of_the_user(filename):
            frames.append((filename, at.tb_lineno))
        at = at.tb_next
    return frames


def _where(error: BaseException) -> str:
    frames = _user_frames(error)
    return f"{frames[-1][0]}, line {frames[-1][1]}: " if frames else ""
