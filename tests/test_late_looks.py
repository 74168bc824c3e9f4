"""The loop may be asked to look at a run that is over already."""

from __future__ import annotations

import asyncio

from gofer import JobManager, job
from gofer.backends.loop import Lane


async def _brief() -> None:
    await asyncio.sleep(0)


def test_a_look_that_comes_after_the_end_finds_nothing() -> None:
    """A thread asked for it while the run went on, and the loop was busy until it had ended."""

    async def main() -> None:
        manager = JobManager([job(_brief, name=f"j{i}") for i in range(3)])
        execution = manager._begin(None, None, None)
        lane = execution.lane = Lane(execution, asyncio.get_running_loop())
        await lane.run()
        assert manager._end(execution).ok
        lane.pump()

    asyncio.run(main())


def test_a_thread_that_is_late_finds_the_loop_closed() -> None:
    """It saw a job for the loop, which then ran it, ended the run, and was closed: no error."""
    manager = JobManager([_brief])
    execution = manager._begin(None, None, None)

    async def main() -> Lane:
        lane = execution.lane = Lane(execution, asyncio.get_running_loop())
        await lane.run()
        assert manager._end(execution).ok
        return lane

    asyncio.run(main()).post()
