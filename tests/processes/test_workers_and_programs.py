"""Workers end with their program, however that ends; and a fork of it leaves them alone."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import process_jobs as jobs
import pytest
from watching import comes, is_alive, start_program

from gofer import JobManager, job

SUPPORT = str(Path(jobs.__file__).parent)
STARTS = ["forkserver", "spawn"]


def pid(backend: Any) -> int:
    """Run a job; return its worker."""
    return int(JobManager([job(jobs.pid)]).execute(backend=backend)["pid"])


def test_a_fork_of_the_parent_leaves_the_pool_to_it(one: Any) -> None:
    """The child has a pool of its own when it needs one; the parent's workers stay the parent's."""
    first = pid(one)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if pid(one) not in {first, os.getpid()} else 2
            one.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pid(one) == first


def test_a_fork_of_the_parent_does_not_keep_its_workers_alive(tmp_path: Path) -> None:
    """The parent is killed, a fork of it lives: server and workers end with the parent."""
    text = """
        import os, signal, sys, time
        sys.path.insert(0, {support!r})
        import process_jobs as jobs
        from gofer import JobManager, job
        from gofer.backends.processes import ProcessBackend

        if __name__ == "__main__":
            backend = ProcessBackend(1)
            worker = JobManager([job(jobs.pid)]).execute(backend=backend)["pid"]
            server = backend._pool._staff._starter._server.pid
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            print(worker, server, child, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "program.py"
    path.write_text(dedent(text).format(support=SUPPORT))
    out = _first_line([sys.executable, str(path)])
    worker, server, child = map(int, out.split())
    assert comes(lambda: not is_alive(worker) and not is_alive(server), 5)
    assert is_alive(child)
    os.kill(child, signal.SIGKILL)


def _first_line(command: list[str]) -> str:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        return process.stdout.readline()


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("fn", ["spin", "hog", "deaf"])
def test_a_worker_does_not_outlive_a_parent_that_is_killed(
    fn: str, start: str, tmp_path: Path
) -> None:
    """Also while its job keeps the GIL, or hears nothing; nor does its server."""
    process = start_program(tmp_path, fn, start)
    worker = int((tmp_path / "began").read_text())
    children = [int(each) for each in _children(process.pid)]
    assert is_alive(worker)
    process.kill()
    process.communicate(timeout=30)

    assert comes(lambda: not any(map(is_alive, [worker, *children])), 5)


def _children(pid: int) -> list[str]:
    return [
        each
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for each in path.read_text().split()
    ]


@pytest.mark.parametrize("start", STARTS)
def test_a_program_ends_at_once_with_workers_alive(start: str, tmp_path: Path) -> None:
    """Nothing is printed, nothing is left; ``close`` is not needed."""
    text = f"""
        import sys
        sys.path.insert(0, {SUPPORT!r})
        import process_jobs as jobs
        from gofer import Group
        from gofer.backends.processes import ProcessBackend

        if __name__ == "__main__":
            backend = ProcessBackend(2, start={start!r})
            with Group(backend=backend) as group:
                here = [group.go(jobs.meet, {str(tmp_path)!r}, i, 2) for i in range(2)]
            print(*[each.result() for each in here])
    """
    path = tmp_path / "program.py"
    path.write_text(dedent(text))
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert comes(lambda: not any(map(is_alive, map(int, done.stdout.split()))))


@pytest.mark.parametrize("start", STARTS)
def test_what_jobs_print_is_printed(start: str, tmp_path: Path) -> None:
    """Also to a pipe, where it is buffered, and by a worker that has long to live."""
    text = f"""
        import sys
        sys.path.insert(0, {SUPPORT!r})
        import process_jobs as jobs
        from gofer import map
        from gofer.backends.processes import ProcessBackend

        if __name__ == "__main__":
            backend = ProcessBackend(1, start={start!r})
            list(map(jobs.say, "abc", backend=backend))
            backend.close()
    """
    path = tmp_path / "program.py"
    path.write_text(dedent(text))
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True
    )

    assert (done.stdout.split(), done.stderr) == (["a", "b", "c"], "")


def test_a_forkserver_whose_parent_was_killed_complained_of_news_unread() -> None:
    """It ends in silence, whatever it had said last."""
    program = (
        "import errno, sys\n"
        "from gofer import _parts\n"
        "def refuse(): raise OSError(errno.EAGAIN, 'no process to be had')\n"
        "_parts.fork = refuse\n"
        "from gofer.backends import _nursery\n"
        "_nursery.main(int(sys.argv[1]))\n"
    )
    ours, its = socket.socketpair()
    with ours, its:
        command = [sys.executable, "-c", program, str(its.fileno())]
        server = subprocess.Popen(command, pass_fds=[its.fileno()], stderr=subprocess.PIPE)
        its.close()
        socket.send_fds(ours, [b"+"], [0])
        assert select.select([ours], [], [], 60)[0]
    _, told = server.communicate(timeout=60)

    assert (server.returncode, told) == (0, b"")
