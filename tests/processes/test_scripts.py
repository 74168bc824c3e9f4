"""Programs of every kind use worker processes: scripts, modules, text from a pipe, notebooks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

STARTS = ["forkserver", "spawn"]


def run(
    tmp_path: Path, *arguments: str, text: str | None = None, hide: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder.

    Args:
        tmp_path: The folder.
        arguments: Of the interpreter.
        text: What it gets on standard input.
        hide: Whether cloudpickle is not to be found.
    """
    path = ""
    if hide:
        hidden = tmp_path / "hidden"
        hidden.mkdir(exist_ok=True)
        (hidden / "cloudpickle.py").write_text("raise ImportError('hidden')\n")
        path = str(hidden)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def script(tmp_path: Path, text: str, start: str = "forkserver", name: str = "program.py") -> str:
    """Write a script; return its path."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(dedent(text).replace("BACKEND", f"ProcessBackend(1, start={start!r})"))
    return str(path)


GUARDLESS = """
    import os
    from gofer import JobManager, job
    from gofer.backends.processes import ProcessBackend

    print("top", __name__)

    class Number:
        def __init__(self, value):
            self.value = value

    def number(ctx, param):
        return Number(param.value + 1)

    def double(*, number):
        return Number(2 * number.value), os.getpid()

    class Odd(Exception):
        pass

    def fails():
        raise Odd("seven")

    backend = BACKEND
    try:
        run = JobManager([job(number), job(double)]).execute(None, Number(20), backend=backend)
        value, pid = run["double"]
        print(value.value, type(value) is Number, pid != os.getpid())
        try:
            JobManager([job(fails)]).execute(backend=backend)
        except Odd as error:
            print("odd", error)
        def later():
            return 1
        print(JobManager([job(later)]).execute(backend=backend)["later"])
    except Exception as error:
        print(type(error).__name__, error)
    finally:
        print("finally", __name__)
"""


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("hide", [False, True])
def test_a_script_without_a_main_guard_works(tmp_path: Path, start: str, hide: bool) -> None:
    """Functions, params, results and errors of its own travel; it is not run to its end again."""
    done = run(tmp_path, script(tmp_path, GUARDLESS, start), hide=hide)

    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines.count("top __main__") == 1
    assert "42 True True" in lines
    assert "odd seven" in lines
    assert lines.count("finally __main__") == 1
    assert not any(line.startswith("finally __mp") for line in lines)


@pytest.mark.parametrize("start", STARTS)
def test_a_function_that_is_defined_too_late_says_what_to_do(tmp_path: Path, start: str) -> None:
    """After the first use of processes, in a script without a guard."""
    done = run(tmp_path, script(tmp_path, GUARDLESS, start), hide=True)
    (line,) = [each for each in done.stdout.splitlines() if "later" in each]
    assert line.startswith("WorkerFailed")
    assert "if __name__ == '__main__':" in line


AGAIN = """
    from gofer import JobManager, job
    from gofer.backends.processes import ProcessBackend

    backend = BACKEND

    def told(fn):
        return JobManager([job(fn, name="told")]).execute(backend=backend)

    def same():
        return "same"

    def word():
        return "first"

    @job
    def made():
        return "first"

    print(told(word)["told"], JobManager([made]).execute(backend=backend)["made"])

    def word():
        return "second"

    @job
    def made():
        return "second"

    try:
        print(told(word)["told"], JobManager([made]).execute(backend=backend)["made"])
        print(told(same)["told"])
    except Exception as error:
        print(type(error).__name__, error)
    backend.close()
"""


@pytest.mark.parametrize("start", STARTS)
def test_a_function_that_a_script_defined_again_was_the_first_in_workers(
    tmp_path: Path, start: str
) -> None:
    """Silently: its name is the same. It travels by value now; what has not changed, by name."""
    done = run(tmp_path, script(tmp_path, AGAIN, start))
    assert (done.stdout, done.stderr) == ("first first\nsecond second\nsame\n", "")


def test_a_function_that_is_defined_again_says_what_to_do_without_cloudpickle(
    tmp_path: Path,
) -> None:
    """The worker would take the first."""
    done = run(tmp_path, script(tmp_path, AGAIN), hide=True)
    first, line = done.stdout.splitlines()
    assert first == "first first"
    assert line.startswith("NotPicklable job 'told'")
    assert "give it another name" in line


GUARDED = """
    import os
    from gofer import JobManager, job
    from gofer.backends.processes import ProcessBackend

    def pid():
        return os.getpid()

    if __name__ == "__main__":
        backend = BACKEND
        run = JobManager([job(pid)]).execute(backend=backend)
        print(run["pid"] != os.getpid())
"""


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("how", ["script", "-m", "-m package", "-c", "stdin"])
def test_every_way_to_start_a_program(tmp_path: Path, start: str, hide: bool, how: str) -> None:
    """Where there is no file, cloudpickle carries the functions; without it, that is said."""
    if how == "script":
        done = run(tmp_path, script(tmp_path, GUARDED, start), hide=hide)
    elif how == "-m":
        script(tmp_path, GUARDED, start, "program.py")
        done = run(tmp_path, "-m", "program", hide=hide)
    elif how == "-m package":
        script(tmp_path, "", start, "package/__init__.py")
        script(tmp_path, GUARDED, start, "package/__main__.py")
        done = run(tmp_path, "-m", "package", hide=hide)
    else:
        text = Path(script(tmp_path, GUARDED, start)).read_text()
        Path(tmp_path, "program.py").unlink()
        if how == "-c":
            done = run(tmp_path, "-c", text, hide=hide)
        else:
            done = run(tmp_path, "-", text=text, hide=hide)
    if hide and how in {"-c", "stdin"}:
        assert "pip install 'gofer[process]'" in done.stderr
        assert done.returncode == 1
    else:
        assert (done.stdout, done.stderr) == ("True\n", "")


LAMBDAS = """
    from gofer import JobManager, job, Group
    from gofer.backends.processes import ProcessBackend

    def main():
        number = 20
        def inner():
            return number + 1
        backend = BACKEND
        print(JobManager([job(inner), job(lambda *, inner: 2 * inner, name="double")]).execute(
            backend=backend)["double"])

    if __name__ == "__main__":
        main()
"""


def test_lambdas_and_closures_travel_with_cloudpickle(tmp_path: Path) -> None:
    """With what they close over."""
    done = run(tmp_path, script(tmp_path, LAMBDAS))
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_lambdas_and_closures_say_what_to_install_without_cloudpickle(tmp_path: Path) -> None:
    """The message names the job and the extra."""
    done = run(tmp_path, script(tmp_path, LAMBDAS), hide=True)
    last = done.stderr.splitlines()
    assert any(
        "NotPicklable: job 'inner'" in line and "pip install 'gofer[process]'" in line
        for line in last
    )


def test_a_variable_that_a_job_closes_over_is_named(tmp_path: Path) -> None:
    """If it is what does not pickle."""
    text = """
        import threading
        from gofer import JobManager, job
        from gofer.backends.processes import ProcessBackend

        def main():
            client = threading.Lock()
            def uses():
                return client
            JobManager([job(uses)]).execute(backend=BACKEND)

        if __name__ == "__main__":
            main()
    """
    done = run(tmp_path, script(tmp_path, text))
    assert "job 'uses'" in done.stderr
    assert "its variable 'client'" in done.stderr


SESSION = """
    import sys, types
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    def cell(text):
        exec(compile(text, "<cell>", "exec"), main.__dict__)
    cell("from gofer import JobManager, job; import os")
    cell("from gofer.backends.processes import ProcessBackend")
    cell("backend = BACKEND")
    cell("class Page:\\n  def __init__(self): self.n = 20")
    cell("def double(ctx, page):\\n  return helper(page.n)")
    cell("def helper(n):\\n  return 2 * n")
    cell("print(JobManager([job(double)]).execute(None, Page(), backend=backend)['double'])")
    cell("def helper(n):\\n  return 3 * n")
    cell("print(JobManager([job(double)]).execute(None, Page(), backend=backend)['double'])")
    cell("backend.close()")
"""


@pytest.mark.parametrize("start", STARTS)
def test_a_notebooks_functions_are_those_of_now(tmp_path: Path, start: str) -> None:
    """What a cell defines anew counts in the next run, also in a worker that has run before."""
    done = run(tmp_path, script(tmp_path, SESSION, start))
    assert (done.stdout, done.stderr) == ("40\n60\n", "")


def test_context_variables_of_a_script_travel(tmp_path: Path) -> None:
    """Those of the main module too."""
    text = """
        from contextvars import ContextVar
        from gofer import JobManager, job
        from gofer.backends.processes import ProcessBackend

        color = ContextVar("color", default="none")

        def look():
            return color.get()

        if __name__ == "__main__":
            color.set("red")
            print(JobManager([job(look)]).execute(backend=BACKEND)["look"])
    """
    for hide in (False, True):
        done = run(tmp_path, script(tmp_path, text), hide=hide)
        assert (done.stdout, done.stderr) == ("red\n", "")


def test_values_of_a_scripts_own_classes_travel(tmp_path: Path) -> None:
    """In the context and in the param, to a function that is from elsewhere."""
    text = """
        import operator
        from gofer import Context, JobManager, Group, job
        from gofer.backends.processes import ProcessBackend

        class User:
            name = "ada"

        def look(ctx):
            return ctx.value("user").name

        if __name__ == "__main__":
            backend = BACKEND
            with Group(backend=backend) as group:
                first = group.go(operator.attrgetter("name"), User())
            print(first.result())
            with Context(values={"user": User()}) as ctx:
                print(JobManager([job(look)]).execute(ctx, backend=backend)["look"])
    """
    for hide in (False, True):
        done = run(tmp_path, script(tmp_path, text), hide=hide)
        assert (done.stdout, done.stderr) == ("ada\nada\n", "")


@pytest.mark.parametrize("start", STARTS)
def test_a_worker_that_has_imported_multiprocessing_loads_the_script(
    tmp_path: Path, start: str
) -> None:
    """That package puts a module under the script's other name, in every process."""
    text = """
        from gofer import Group, JobManager, job
        from gofer.backends.processes import ProcessBackend

        def number():
            return 42

        backend = BACKEND
        with Group(backend=backend) as group:
            group.go(exec, "import multiprocessing")
        print(JobManager([job(number)]).execute(backend=backend)["number"])
    """
    done = run(tmp_path, script(tmp_path, text, start))

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "42\n")
