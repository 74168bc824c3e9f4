"""The cases of jobs that need each other's results: a manager against what else runs graphs.

Each graph is written as a module of functions, one a job, whose parameters are what it needs:
that is what Hamilton and pipefunc read, and Gofer too where the parameters are keyword-only.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import Any

from benchmarks.measure import Case, Peer, Timed, timed
from gofer import JobManager, job

Needs = list[list[int]]
"""Index of a job -> indices of the jobs that it needs, all of them smaller."""


def random_needs(count: int, each: int = 3) -> Needs:
    """Return a graph in which every job needs a few earlier ones, drawn by chance."""
    chance = random.Random(count)
    return [chance.sample(range(i), min(i, each)) for i in range(count)]


def layers(depth: int, width: int) -> Needs:
    """Return a graph of layers, in which every job needs all jobs of the layer before."""
    return [
        list(range((i // width - 1) * width, i // width * width)) if i >= width else []
        for i in range(depth * width)
    ]


_numbers = itertools.count()


class Graph:
    """The same graph for everyone.

    Attributes:
        names: Index -> name.
        needs: Name -> names of what it needs.
        leaves: The names of the jobs that nobody needs; to ask for these is to ask for all.
    """

    def __init__(self, needs: Needs) -> None:
        self.names = [f"j{i}" for i in range(len(needs))]
        self.needs = {f"j{i}": [f"j{k}" for k in each] for i, each in enumerate(needs)}
        needed = {name for each in self.needs.values() for name in each}
        self.leaves = [name for name in self.names if name not in needed]

    def functions(self, *, keyword_only: bool = False) -> dict[str, Callable[..., int]]:
        """Write the functions; each returns 1, whatever it is given."""
        lines = []
        for name, needs in self.needs.items():
            parameters = [f"{need}: int" for need in needs]
            if parameters and keyword_only:
                parameters.insert(0, "*")
            lines.append(f"def {name}({', '.join(parameters)}) -> int: return 1")
        space: dict[str, Any] = {"__name__": "graph"}
        exec("\n".join(lines), space)
        return {name: space[name] for name in self.names}

    # How each one executes it; what can be prepared is prepared.

    def jobs(self) -> list[Any]:
        """Return the jobs for a manager."""
        return [job(fn) for fn in self.functions(keyword_only=True).values()]

    @contextmanager
    def gofer(self) -> Iterator[Timed]:
        """Execute a manager."""
        yield timed(JobManager(self.jobs()).execute)

    def _modules(self) -> list[Any]:
        from hamilton.ad_hoc_utils import create_temporary_module

        name = f"graph_{next(_numbers)}"
        return [create_temporary_module(*self.functions().values(), module_name=name)]

    @contextmanager
    def hamilton(self) -> Iterator[Timed]:
        """Execute Hamilton's driver, which runs everything in the calling thread."""
        from hamilton.driver import Builder

        driver = Builder().with_modules(*self._modules()).build()
        yield timed(lambda: driver.execute(self.leaves))

    @contextmanager
    def dask(self) -> Iterator[Timed]:
        """Execute with dask's scheduler for threads, which has as many as there are processors."""
        from dask.threaded import get

        functions = self.functions()
        graph: Any = {name: (functions[name], *self.needs[name]) for name in self.names}
        try:  # spares dask the work of doing it each time
            from dask._task_spec import convert_legacy_graph
        except ImportError:
            pass
        else:
            graph = convert_legacy_graph(graph)
        yield timed(lambda: get(graph, self.leaves))

    @contextmanager
    def pipefunc(self) -> Iterator[Timed]:
        """Run pipefunc's pipeline, which calls everything in the calling thread."""
        pipeline = self._pipeline(self._pipefuncs())
        yield timed(lambda: pipeline.run(self.leaves, kwargs={}))

    def _pipefuncs(self) -> list[Any]:
        from pipefunc import PipeFunc

        return [PipeFunc(fn, output_name=name) for name, fn in self.functions().items()]

    @staticmethod
    def _pipeline(functions: list[Any]) -> Any:
        from pipefunc import Pipeline

        return Pipeline(functions)

    @contextmanager
    def graphlib(self, *, passed: bool = True, prepare: bool = False) -> Iterator[Timed]:
        """Drive a pool of eight threads by hand.

        A sorter serves for one execution; to prepare it is measured only if ``prepare`` says so.
        """
        functions = self.functions() if passed else dict.fromkeys(self.names, _noop)
        given = self.needs if passed else dict.fromkeys(self.names, ())
        with ThreadPoolExecutor(8) as executor:

            def work(number: int) -> float:
                seconds = 0.0
                for _ in range(number):
                    start = time.perf_counter()
                    sorter = TopologicalSorter(self.needs)
                    sorter.prepare()
                    if not prepare:
                        start = time.perf_counter()
                    _drive(sorter, executor, functions, given)
                    seconds += time.perf_counter() - start
                return seconds

            yield work

    # How each one compiles it.

    @contextmanager
    def compile_gofer(self) -> Iterator[Timed]:
        """Make a manager."""
        jobs = self.jobs()
        yield timed(lambda: JobManager(jobs))

    @contextmanager
    def compile_hamilton(self) -> Iterator[Timed]:
        """Build Hamilton's driver."""
        from hamilton.driver import Builder

        modules = self._modules()
        yield timed(lambda: Builder().with_modules(*modules).build())

    @contextmanager
    def compile_pipefunc(self) -> Iterator[Timed]:
        """Make pipefunc's pipeline."""
        functions = self._pipefuncs()
        yield timed(lambda: self._pipeline(functions))

    @contextmanager
    def compile_graphlib(self) -> Iterator[Timed]:
        """Prepare a sorter, which knows names and needs, but no functions."""
        yield timed(lambda: TopologicalSorter(self.needs).prepare())

    # Needs that are an order only: no results are passed.

    @contextmanager
    def ordered_gofer(self) -> Iterator[Timed]:
        """Execute a manager whose jobs come after each other."""
        jobs = [job(_noop, name=name, after=self.needs[name]) for name in self.names]
        yield timed(JobManager(jobs).execute)


def _noop() -> None:
    pass


def _drive(
    sorter: TopologicalSorter[str],
    executor: ThreadPoolExecutor,
    functions: Mapping[str, Callable[..., Any]],
    needs: Mapping[str, Iterable[str]],
) -> dict[str, Any]:
    """Execute a graph with what the standard library has; return the results by name."""
    names: dict[Future[Any], str] = {}
    ended: SimpleQueue[Future[Any]] = SimpleQueue()
    results: dict[str, Any] = {}
    while sorter.is_active():
        for name in sorter.get_ready():
            given = [results[need] for need in needs[name]]
            future = executor.submit(functions[name], *given)
            names[future] = name
            future.add_done_callback(ended.put)
        future = ended.get()
        name = names.pop(future)
        results[name] = future.result()
        sorter.done(name)
    return results


def cases() -> list[Case]:
    """Return the cases; pipefunc gets a smaller graph, for it takes 40 s to build the large one."""
    chance, small, full = (
        Graph(random_needs(1000)),
        Graph(random_needs(100)),
        Graph(layers(10, 100)),
    )
    hand = "graphlib and a pool"
    return [
        Case(
            "random graph of 1,000 no-op jobs, 3 needs each, results passed",
            chance.gofer,
            (
                Peer("Hamilton, execute only", chance.hamilton, 0.25),
                Peer("dask, threads, execute only", chance.dask, 0.04),
                Peer(f"{hand}, execute only", chance.graphlib),
                Peer(hand, partial(chance.graphlib, prepare=True)),
            ),
            per=1000,
        ),
        Case(
            "10 layers of 100 jobs, fully connected, results passed",
            full.gofer,
            (
                Peer("Hamilton, execute only", full.hamilton),
                Peer("dask, threads, execute only", full.dask),
                Peer(f"{hand}, execute only", full.graphlib),
                Peer(hand, partial(full.graphlib, prepare=True)),
            ),
            best_target=0.3,
            quick=False,
        ),
        Case(
            "10 layers of 100 jobs, fully connected, order only",
            full.ordered_gofer,
            (
                Peer(f"{hand}, execute only", partial(full.graphlib, passed=False)),
                Peer(hand, partial(full.graphlib, passed=False, prepare=True)),
            ),
        ),
        Case(
            "compile that random graph of 1,000 jobs",
            chance.compile_gofer,
            (
                Peer("Hamilton, build", chance.compile_hamilton, 0.2),
                Peer("graphlib, prepare", chance.compile_graphlib),
            ),
        ),
        Case(
            "random graph of 100 no-op jobs, 3 needs each, results passed",
            small.gofer,
            (Peer("pipefunc, run only", small.pipefunc),),
            per=100,
        ),
        Case(
            "compile that random graph of 100 jobs",
            small.compile_gofer,
            (Peer("pipefunc, Pipeline", small.compile_pipefunc),),
            quick=False,  # half a second a build
        ),
    ]
