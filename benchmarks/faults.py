"""`python -m benchmarks.faults`: what Gofer and its peers do with the same faults.

Each fault is put to each peer in a program of its own, which says in a few words what came out; one
that says nothing for ten seconds hangs. The table goes into `docs/reliability.md`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import say

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults -->\n", "<!-- /faults -->"
HANGS_AFTER = 10.0  # seconds

POOL = """
def execute(jobs, timeout=None):
    with {pool} as pool:
        futures = [pool.submit(job) for job in jobs]
        return [future.result(timeout) for future in futures]
"""
GOFER = """
from gofer import Context, JobManager, job
def execute(jobs, timeout=None):
    made = [job(fn, name=f"{{fn.__name__}}{{i}}") for i, fn in enumerate(jobs)]
    with Context(timeout=timeout) as ctx:
        manager = JobManager(made, limit={limit})
        return list({how}.results.values())
"""
WITH_TIMEOUT = """
async def main(jobs, timeout):
    async with asyncio.timeout(timeout):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job()) for job in jobs]
    return [None if task.cancelled() else task.result() for task in tasks]
def execute(jobs, timeout=None):
    return asyncio.run(main(jobs, timeout))
"""
GATHER = """
async def main(jobs, timeout):
    return await asyncio.wait_for(asyncio.gather(*[job() for job in jobs]), timeout)
def execute(jobs, timeout=None):
    return asyncio.run(main(jobs, timeout))
"""
NURSERY = """
import {library}
async def main(jobs, timeout):
    results = {{}}
    async def keep(i, job):
        results[i] = await job()
    with {fail_after}:
        async with {group} as group:
            for i, job in enumerate(jobs):
                group.start_soon(keep, i, job)
    return [results.get(i) for i in range(len(jobs))]
def execute(jobs, timeout=None):
    return {library}.run(main, jobs, timeout)
"""
JOBLIB = """
from joblib import Parallel, delayed
def execute(jobs, timeout=None):
    return Parallel(2, backend={backend!r}, timeout=timeout)(delayed(job)() for job in jobs)
"""
PROCESSES = 'manager.execute(ctx, backend="processes")'

PEERS: dict[str, tuple[str, str]] = {
    # name: (kind of job, program)
    "Gofer, threads": ("sync", GOFER.format(limit=2, how="manager.execute(ctx)")),
    "Gofer, loop": ("async", GOFER.format(limit=2, how="asyncio.run(manager.aexecute(ctx))")),
    "Gofer, processes": ("far", GOFER.format(limit=2, how=PROCESSES)),
    "ThreadPoolExecutor": ("sync", POOL.format(pool="ThreadPoolExecutor(2)")),
    "joblib, threads": ("sync", JOBLIB.format(backend="threading")),
    "asyncio.TaskGroup": ("async", WITH_TIMEOUT),
    "asyncio.gather": ("async", GATHER),
    "anyio": (
        "async",
        NURSERY.format(
            library="anyio",
            fail_after="anyio.fail_after(timeout)",
            group="anyio.create_task_group()",
        ),
    ),
    "trio": (
        "async",
        NURSERY.format(
            library="trio",
            fail_after="trio.fail_after(timeout or 1e9)",
            group="trio.open_nursery()",
        ),
    ),
    "ProcessPoolExecutor": ("far", POOL.format(pool="ProcessPoolExecutor(2)")),
    "joblib, loky": ("far", JOBLIB.format(backend="loky")),
}

START = """
import asyncio, os, sys, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

class Unprintable(Exception):
    def __str__(self): raise RuntimeError("hostile")
class NoPickle(Exception):
    def __reduce__(self): raise RuntimeError("hostile")
def fine(): return 1
def pause(seconds): {sleep}
def name(error):
    inner = getattr(error, "exceptions", ())
    return type(error).__name__ + (f"[{{', '.join(map(name, inner))}}]" if inner else "")
{peer}
{fault}
if __name__ == "__main__":
    begun = time.monotonic()
    try:
        said = f"returned {{execute(jobs, globals().get('timeout'))}}"
    except BaseException as error:
        cause = f" from {{name(error.__cause__)}}" if type(error).__name__ == "JobPanic" else ""
        said = name(error) + cause
        if globals().get("tell"):
            said = f"{{said}}; {{tell(error)}}"
    print(said, flush=True)
"""

FAULTS: dict[str, tuple[str, str]] = {
    # what: (kinds of job it is for, program; {a} is `async ` where jobs are, {w} is `await `)
    "a job calls `sys.exit(3)`": (
        "sync async far",
        "{a}def leaves(): sys.exit(3)\njobs = [fine, leaves]",
    ),
    "a job raises `CancelledError`, which nobody asked for": (
        "sync async far",
        "{a}def cancels(): raise asyncio.CancelledError\njobs = [fine, cancels]",
    ),
    "a job raises `StopIteration`": (
        "sync async far",
        "{a}def stops(): raise StopIteration\njobs = [fine, stops]",
    ),
    "the error's `__str__` raises": (
        "sync async far",
        "{a}def fails(): raise Unprintable\njobs = [fine, fails]",
    ),
    "the error cannot be pickled": ("far", "def fails(): raise NoPickle\njobs = [fine, fails]"),
    "a sync job returns a coroutine by mistake": (
        "sync",
        "async def fetch(): return 1\ndef forgets(): return fetch()\njobs = [fine, forgets]",
    ),
    "the first of 20 jobs fails, two at a time: how many others start?": (
        "sync async",
        """
count = []
{a}def fails():
    count.append(1); raise KeyError
{a}def works():
    count.append(1)
    {w}pause(0.01)
jobs = [fails] + [works] * 20
tell = lambda error: f"{{len(count) - 1}} of 20"
""",
    ),
    "a job fails while it is cancelled for another's failure": (
        "async",
        """
async def fails():
    await pause(0.01)
    raise KeyError("first")
async def cleans():
    try:
        await pause(60)
    finally:
        raise ValueError("in finally")
jobs = [fails, cleans]
""",
    ),
    "an async job blocks past the deadline and returns": (
        "async",
        "async def blocks(): time.sleep(0.3)\njobs = [blocks]\ntimeout = 0.05",
    ),
    "a job is deaf to its cancellation at the deadline": (
        "async far",
        """
{a}def deaf():
    until = time.monotonic() + 3
    while time.monotonic() < until:
        try:
            {w}pause(0.01)
        except BaseException:
            pass
jobs = [deaf]
timeout = 0.2
tell = lambda error: f"after {{time.monotonic() - begun:.1f}} s"
""",
    ),
    "a worker leaves by `os._exit(0)`": (
        "far",
        "def leaves(): os._exit(0)\njobs = [fine, fine, leaves, fine]",
    ),
    "a worker is killed, and a grandchild holds its pipes": (
        "far",
        """
import subprocess
def dies():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(8)"], close_fds=False)
    os.kill(os.getpid(), 9)
jobs = [fine, dies]
tell = lambda error: f"after {{time.monotonic() - begun:.0f}} s"
""",
    ),
    "the program is killed: workers left after 2 s": (
        "far",
        "def waits(): time.sleep(60)\njobs = [waits, waits]",
    ),
}


def ask(peer: str, fault: str) -> str:
    """Put a fault to a peer; return what came out, in a few words."""
    kind, program = PEERS[peer]
    kinds, job = FAULTS[fault]
    if kind not in kinds.split():
        return ""
    is_async = kind == "async"
    sleep = "return trio.sleep(seconds)" if peer == "trio" else "return asyncio.sleep(seconds)"
    words = {"a": "async " if is_async else "", "w": "await " if is_async else ""}
    text = START.format(
        sleep=sleep if is_async else "time.sleep(seconds)",
        peer=program,
        fault=job.format(**words),
    ).replace("def fine(): return 1", words["a"] + "def fine(): return 1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faults_program.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
            text=True,
            start_new_session=True,
        )
        if fault.startswith("the program is killed"):
            return _workers_left(process)
        return _said(process)


def _said(process: subprocess.Popen[str]) -> str:
    try:
        said, _ = process.communicate(timeout=HANGS_AFTER)
    except subprocess.TimeoutExpired:
        _end(process)
        return "hangs"
    _end(process)
    return said.strip() or f"the program exits with {process.returncode}, saying nothing"


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.communicate()


def _workers_left(process: subprocess.Popen[str]) -> str:
    time.sleep(3.0)
    before = _below(process.pid)
    process.kill()
    time.sleep(2.0)
    left = [pid for pid in before if _runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    _end(process)
    return f"{len(left)} of {len(before)}" if before else "none were started"


def _below(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_below(child)]
    return found


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def table() -> str:
    """Ask all, and return the table in Markdown; a peer that is not installed has no column."""
    rows = [(fault, peer) for fault in FAULTS for peer in PEERS]
    with ThreadPoolExecutor(2) as pool:  # each program has its own process
        answers = dict(zip(rows, pool.map(lambda row: ask(row[1], row[0]), rows), strict=True))
    lines = ["| fault | what comes out |", "| --- | --- |"]
    for fault in FAULTS:
        by_answer: dict[str, list[str]] = {}
        for peer in PEERS:
            if answers[fault, peer]:
                by_answer.setdefault(answers[fault, peer], []).append(peer)
        told = "<br>".join(
            f"{', '.join(f'**{p}**' if 'Gofer' in p else p for p in peers)}: {_plain(answer)}"
            for answer, peers in by_answer.items()
        )
        lines.append(f"| {fault} | {told} |")
    version = ".".join(map(str, sys.version_info[:3]))
    lines.append(f"\nPython {version}, {sys.platform}. `python -m benchmarks.faults` asks again.\n")
    return "\n".join(lines)


def _plain(answer: str) -> str:
    answer = re.sub(r" at 0x[0-9a-f]+", "", answer)
    return answer.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:160]


def main() -> None:
    """Ask, print, and write the page."""
    found = table()
    say(found)
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{found}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
