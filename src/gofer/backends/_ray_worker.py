"""What Ray's workers call: a piece of a run, with the news of it beside its results; single calls.

Ray cancels a call by what Ctrl-C does: the handler of SIGINT is called in the main thread, at the
next line of Python there. So jobs run in another thread, or on the worker's loop, the main thread
keeps awake, and the handler only notes it: an exception could come where nobody expects it.
"""

from __future__ import annotations

import asyncio
import pickle
import signal
import threading

import ray

from gofer.backends import _answers, _ray_board, _ray_inside, _site
from gofer.backends._helpers import helpers
from gofer.backends._outlet import PLACE
from gofer.backends._pack import Pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gofer.backends._far_jobs import Errand
    from gofer.backends._site import Site

_FIRST, _LONGEST = 0.001, 0.05  # seconds between two looks whether Ray has cancelled the call

_news: list[dict[str, Any]] = []  # of the piece that this worker does: it does one at a time
_name: list[str] = []
_loops: list[asyncio.AbstractEventLoop] = []
_packs: dict[bytes, Pack] = {}


def perform(errand: bytes, pack: Any, sources: int, *given: Any) -> tuple[Any, Any]:
    """Do a piece.

    Args:
        errand: A pickle of whether it is async, what to do, and the name of a board.
        pack: What its run says; a pickle of it if it is small.
        sources: How many of what follows are results; the rest are reports.
        given: They.

    Returns:
        What the piece gives; and its report: what those need to know that only come after it, and
        messages for its run.
    """
    _news.clear()
    waits, what, board = pickle.loads(errand)
    pack = _opened(pack)
    site = _site.site_of(pack, _name_here(), _news.append)
    inputs, after = given[:sources], [report[0] for report in given[sources:]]
    do = _site.aperform if waits else _site.perform
    value = _beside(site, waits, _Writer(board, pack.run), do, what, inputs, after)
    report = _site.token(value), tuple(_news)
    if _left_something(what):
        _ray_inside.leave()
    return value, report


def answer(waits: bool, batch: tuple[Any, ...], pack: Any) -> Any:
    """Make single calls; see ``_answers.answer``."""
    site = _site.site_of(_opened(pack), _name_here(), _news.append)
    do = _answers.aanswer if waits else _answers.answer
    return _beside(site, waits, lambda: None, do, batch)


def item(results: list[Any], place: int) -> Any:
    """Return one of the results of a piece."""
    return results[place]


class Place:
    """The processor that Ray holds for a call, and lends to others while the main thread waits.

    Ray does so where that thread waits for references, and no other: so it waits for those of the
    runs that the job in the other thread waits for.
    """

    def __init__(self) -> None:
        self._outs: dict[Any, None] = {}

    def give_away(self) -> None:
        """Do nothing: what is sent is waited for as soon as it is there."""

    def begin(self, out: Any) -> None:
        """Wait for calls that are out, from now on."""
        self._outs[out] = None

    def end(self, out: Any) -> None:
        """Wait for them no more."""
        self._outs.pop(out, None)

    def wait(self, seconds: float) -> None:
        """Wait for all that is out, if anything is."""
        refs = [ref for out in list(self._outs) for ref in out.refs()]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=seconds, fetch_local=False)


def _beside(site: Site, waits: bool, write: Callable[[], object], do: Any, *given: Any) -> Any:
    """Do something beside this thread; when Ray cancels the call, cancel the jobs of its run.

    Args:
        site: The run.
        waits: Whether it is to be awaited.
        write: Called now and then while it takes long.
        do: It.
        given: What it gets besides the site.
    """
    results: list[tuple[Any, BaseException | None]] = []
    tasks: list[Any] = []  # a loop keeps none alive
    gate = threading.Lock()
    gate.acquire()
    place = Place()

    def call() -> None:
        PLACE.set(place)
        try:
            results.append((do(site, *given), None))
        except BaseException as error:
            results.append((None, error))
        gate.release()

    async def wait() -> None:
        PLACE.set(place)
        try:
            results.append((await do(site, *given), None))
        except BaseException as error:
            results.append((None, error))
        gate.release()

    stop: list[bool] = []
    before = signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    try:
        if waits:
            loop = _own_loop()
            loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(wait())))
        else:
            helpers.lend("Ray", call)
        _look_on(site, place, gate, stop, write)
    finally:
        signal.signal(signal.SIGINT, before)
    result, error = results[0]
    if error is not None:
        raise error
    return result


def _look_on(
    site: Site, place: Place, gate: Any, stop: list[bool], write: Callable[[], object]
) -> None:
    """Wait until a gate opens; meanwhile see to cancellations, and to the place."""
    pause = _FIRST
    while True:
        place.wait(_LONGEST)
        if gate.acquire(timeout=pause):
            return
        pause = min(2 * pause, _LONGEST)
        if stop:
            stop.clear()
            site.standing()
        elif pause == _LONGEST:
            write()


class _Writer:
    """Writes the news of a piece on a board; all of them come with the report as well."""

    def __init__(self, board: str, run: str) -> None:
        self._board, self._run = board, run
        self._written = 0

    def __call__(self) -> None:
        news = _news[self._written :]
        if news and _ray_board.write(self._board, self._run, news):
            self._written += len(news)


def _left_something(errand: Errand) -> bool:
    """Return whether a job of the piece went on when it was not waited for any more."""
    if not any(spec[-1] for spec in errand.jobs):
        return False
    for message in _news:
        for kind, _, *facts in pickle.loads(message["news"]):
            if kind == "ended" and facts[-2] is not None and facts[-2][-1] is not None:
                return True
    return False


def _own_loop() -> asyncio.AbstractEventLoop:
    """Return this worker's loop, the same for all async jobs: what they hold stays usable."""
    if not _loops:
        _loops.append(asyncio.new_event_loop())
        helpers.lend("Ray", _loops[0].run_forever)
    return _loops[0]


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
