"""Finding the manager that a target names: in a module, or in a file."""

from __future__ import annotations

import os
import sys

from gofer._core.plan import did_you_mean
from gofer.cli._say import say, traceback_of_user, user_frames
from gofer.errors import PlanError, describe, hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

    from gofer import JobManager

TARGET = "module:manager or path/file.py:manager"

_MOST = 10  # names in one message


class WrongTargetError(Exception):
    """The target cannot be run; the text says why, in one line."""


def load(target: str) -> JobManager:
    """Return the manager that a target names.

    Raises:
        PlanError: The user's module makes a manager that cannot be.
        WrongTargetError: There is none, or its module cannot be imported.
    """
    from gofer import JobManager

    source, _, attribute = target.rpartition(":")
    steps = attribute.split(".")
    if not source or not all(step.isidentifier() for step in steps):
        raise WrongTargetError(f"the target must be {TARGET}, got {target!r}{_whole(target)}")
    module = _module(source)
    found: Any = module
    for i, step in enumerate(steps):
        try:
            found = getattr(found, step)
        except AttributeError:
            owner = ":".join([source, *filter(None, [".".join(steps[:i])])])
            near = did_you_mean(step, dir(found)) or ";"
            managers = _managers(module, source)
            raise WrongTargetError(f"{owner} has no {step!r}{near} {managers}") from None
    if not isinstance(found, JobManager):
        what = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
        raise WrongTargetError(f"{target} is {what}, not a JobManager; {_managers(module, source)}")
    return found


def _whole(target: str) -> str:
    """Return the hint for whoever names a file or a module alone."""
    try:
        name = next(managers_in(target), None)
    except (OSError, SyntaxError, ValueError):  # there is no such file, or it is not Python
        name = None
    return hint(name and f"{target}:{name}")


def _last_name(called: object) -> str:
    """Return the name that is called: of ``JobManager`` and ``gofer.JobManager`` the same."""
    return str(getattr(called, "attr", getattr(called, "id", "")))


def managers_in(path: str) -> Iterator[str]:
    """Find the names to which a file binds a ``JobManager(...)``, without running it."""
    import ast
    import warnings

    if not path.endswith(".py"):
        path = path.replace(".", "/") + ".py"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what looks odd in it: nobody has asked
        try:
            tree = ast.parse(text)
        except (RecursionError, MemoryError):
            raise ValueError("it is nested too deeply") from None
    for line in tree.body:
        if isinstance(line, ast.Assign):
            targets = line.targets
        elif isinstance(line, ast.AnnAssign):
            targets = [line.target]
        else:
            continue
        call = line.value
        if isinstance(call, ast.Call) and _last_name(call.func).endswith("JobManager"):
            yield from (each.id for each in targets if isinstance(each, ast.Name))


def _managers(module: ModuleType, source: str) -> str:
    from gofer import JobManager

    names = [name for name, value in vars(module).items() if isinstance(value, JobManager)]
    if not names:
        return f"{source} has no managers"
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{source} has these managers: {', '.join(names[:_MOST])}{more}"


def _module(source: str) -> ModuleType:
    """Import the user's module; whatever it raises on the way is shown as it is."""
    is_path = source.endswith(".py") or os.sep in source or "/" in source
    if is_path and not os.path.isfile(source):
        raise WrongTargetError(f"there is no file {source!r}{_file_hint(source)}")
    try:
        return _from_path(source) if is_path else _from_name(source)
    except (KeyboardInterrupt, PlanError, WrongTargetError):
        raise
    except BaseException as error:  # SystemExit too: a script without a __main__ guard
        say(traceback_of_user(error), keep="\n\t")
        raise WrongTargetError(f"{source} cannot be imported: {describe(error)}") from None


def _file_hint(path: str) -> str:
    folder = os.path.dirname(path)
    try:
        names = os.listdir(folder or ".")
    except (OSError, ValueError):  # a folder that is not there, or a path that cannot be one
        return ""
    files = [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return did_you_mean(path, files)


def _from_path(path: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    path = os.path.abspath(path)
    _look_first_in(os.path.dirname(path))
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:  # a script may be called json.py, but must not replace json
        name = f"__gofer_{name}__"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise WrongTargetError(f"{path!r} is no Python file: its name must end in .py")
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
        raise WrongTargetError(f"the target must be {TARGET}, got the module {name!r}")
    folder = os.getcwd()
    _look_first_in(folder)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        its_own = missing and (name == missing or name.startswith(f"{missing}."))
        if not its_own or user_frames(error):  # the module is there; its import fails
            raise
        near = _module_hint(missing, folder)
        raise WrongTargetError(f"there is no module {missing!r}{near}") from None


def _module_hint(missing: str, folder: str) -> str:
    from pkgutil import iter_modules

    package = missing.rpartition(".")[0]
    places = getattr(sys.modules.get(package), "__path__", ()) if package else (folder,)
    prefix = f"{package}." if package else ""
    return did_you_mean(missing, [each.name for each in iter_modules(places, prefix)])


def _look_first_in(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
