"""What a cluster's worker does with calls that come one by one: their results go back at once."""

from __future__ import annotations

import pickle

from gofer import _parts
from gofer.backends._execution import PLAIN, refuse_awaitable
from gofer.backends._far_errors import as_data
from gofer.backends._far_jobs import FarJob
from gofer.backends._far_pickles import far_pickle
from gofer.backends._frames import ENGINE, strip
from gofer.backends._site import acall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gofer.backends._site import Site

NOT_BEGUN = (None, None, None, None)


class _Answer:
    """One call and what became of it: ``(start, end, pickled value, error as data)``."""

    def __init__(self, site: Site, call: tuple[Any, ...]) -> None:
        spec, given = call
        self.site, self.job = site, FarJob(spec, site)
        self.job.given = pickle.loads(given) if given else ((), {})
        self.told: tuple[Any, ...] = NOT_BEGUN

    def begin(self) -> bool:
        self.job.start = _parts.wall_clock()
        return self.site.begin(self.job.i, self.job.start)

    def ended(self, value: Any) -> None:
        end, job = _parts.wall_clock(), self.job
        try:
            self.site.take_back(job.copy)
            if not job.is_async and type(value) not in PLAIN:
                refuse_awaitable(job.name, value)
            data = far_pickle(job.name, "its result", value)
        except Exception as failure:
            self.failed(failure)
            return
        self.told = job.start, end, data, None

    def failed(self, error: BaseException) -> None:
        strip(error)
        self.told = self.job.start, _parts.wall_clock(), None, as_data(error)


def answer(site: Site, batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make plain calls, one after the other.

    Returns:
        The worker, its clock, and for each call what became of it; see ``_Answer``.
    """
    told = []
    for call in batch:
        one = _Answer(site, call)
        if one.begin():
            try:
                value = site.variables().run(one.job.call)
            except BaseException as error:
                one.failed(error)
            else:
                one.ended(value)
        told.append(one.told)
    return site.worker, _parts.wall_clock(), told


async def aanswer(site: Site, batch: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make async calls likewise, on this loop."""
    told = []
    for call in batch:
        one = _Answer(site, call)
        if one.begin():
            try:
                value = await acall(site, one.job)
            except BaseException as error:
                one.failed(error)
            else:
                one.ended(value)
        told.append(one.told)
    return site.worker, _parts.wall_clock(), told


ENGINE |= {answer.__code__, aanswer.__code__}
