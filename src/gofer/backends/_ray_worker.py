"""What Ray's workers call: a piece of a run, with the news of it beside its results."""

from __future__ import annotations

import pickle
import threading
from functools import partial

import ray

from gofer.backends import _ray_inside, _site, loop_backend
from gofer.backends._helpers import helpers
from gofer.backends._pack import Pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._far_jobs import Errand
    from gofer.backends._site import Site

_FIRST, _LONGEST = 0.001, 0.05  # seconds between two looks whether Ray has cancelled the piece

_news: list[dict[str, Any]] = []  # of the piece that this worker does: it does one at a time
_name: list[str] = []
_packs: dict[bytes, Pack] = {}


def perform(errand: bytes, pack: Any, sources: int, *given: Any) -> tuple[Any, Any]:
    """Do a piece.

    Ray cancels a call by a ``KeyboardInterrupt`` in the main thread, at the next line of Python
    there. So the jobs run in another thread, or on this worker's loop, and this one keeps awake.

    Args:
        errand: A pickle of whether it is async, and of what to do.
        pack: What its run says; a pickle of it if it is small.
        sources: How many of what follows are results; the rest are reports.
        given: They.

    Returns:
        What the piece gives; and its report: what those need to know that only come after it, and
        messages for its run.
    """
    _news.clear()
    waits, what = pickle.loads(errand)
    site = _site.site_of(_opened(pack), _name_here(), _news.append)
    inputs, after = given[:sources], [report[0] for report in given[sources:]]
    results: list[Any] = []
    gate = threading.Lock()
    gate.acquire()
    if waits:
        loop = loop_backend().background_loop()
        loop.call_soon_threadsafe(
            lambda: loop.create_task(_await(site, what, inputs, after, results, gate.release))
        )
    else:
        helpers.lend("Ray", partial(_call, site, what, inputs, after, results, gate.release))
    _keep_awake(gate, site)
    value = results.pop()
    report = _site.token(value), tuple(_news)
    if any(spec[-1] for spec in what.jobs) and _left_something():
        _ray_inside.leave()
    return value, report


def _call(
    site: Site,
    errand: Errand,
    inputs: Any,
    after: Any,
    results: list[Any],
    end: Callable[[], object],
) -> None:
    results.append(_site.perform(site, errand, inputs, after))
    end()


async def _await(
    site: Site,
    errand: Errand,
    inputs: Any,
    after: Any,
    results: list[Any],
    end: Callable[[], object],
) -> None:
    results.append(await _site.aperform(site, errand, inputs, after))
    end()


def _keep_awake(gate: threading.Lock, site: Site) -> None:
    """Wait for the end of a piece; cancel it when Ray does."""
    pause = _FIRST
    while True:
        try:
            while not gate.acquire(timeout=pause):
                pause = min(2 * pause, _LONGEST)
            return
        except KeyboardInterrupt:
            site.standing()


def _left_something() -> bool:
    """Return whether a job of this piece went on when it was not waited for any more."""
    for message in _news:
        for kind, _, *facts in pickle.loads(message["news"]):
            if kind == "ended" and facts[-2] is not None and facts[-2][-1] is not None:
                return True
    return False


def _opened(pack: Any) -> Pack:
    if type(pack) is not bytes:
        return pack  # type: ignore[no-any-return]
    if pack not in _packs:
        _packs.clear()
        _packs[pack] = pickle.loads(pack)
    return _packs[pack]


def _name_here() -> str:
    if not _name:
        me = ray.get_runtime_context().get_worker_id()
        _name.append(_ray_inside.named(me, ray.util.get_node_ip_address()))
    return _name[0]


def item(results: list[Any], place: int) -> Any:
    """Return one of the results of a piece."""
    return results[place]
