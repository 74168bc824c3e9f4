"""``ctx.lock(name)``: one at a time, in both worlds, without a freeze and without a hang."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gofer import (
    Cancelled,
    Context,
    DeadlineExceeded,
    Group,
    JobManager,
    LockDeadlock,
    RunningLoopError,
    job,
)


def test_a_lock_lets_one_job_in_at_a_time_of_both_worlds() -> None:
    """Threads and tasks share it; none is left out."""
    inside = most = count = 0

    def enter() -> None:
        nonlocal inside, most, count
        inside += 1
        most = max(most, inside)
        count += 1

    def plain(ctx: Context) -> None:
        nonlocal inside
        for _ in range(20):
            with ctx.lock("it"):
                enter()
                ctx.sleep(0)
                inside -= 1

    async def awaited(ctx: Context) -> None:
        nonlocal inside
        for _ in range(20):
            async with ctx.lock("it"):
                enter()
                await asyncio.sleep(0)
                inside -= 1

    jobs = [job([plain, awaited][i % 2], name=str(i)) for i in range(10)]
    JobManager(jobs).execute()
    assert (inside, most, count) == (0, 1, 200)


def test_locks_of_other_names_and_other_runs_are_others() -> None:
    """A run in a job has its own; a child context has those of its run."""

    @job
    def outer(ctx: Context) -> list[str]:
        with ctx.lock("one"), ctx.child().lock("two"):
            with pytest.raises(LockDeadlock), ctx.child().lock("one"):
                pytest.fail("it is held")
            inner = JobManager([job(lambda ctx: ctx.lock("one").__enter__().name, name="inner")])
            return [inner.execute()["inner"], repr(ctx.lock("one"))]

    assert JobManager([outer]).execute()[outer] == ["one", "<lock 'one'>"]


def test_without_a_run_the_topmost_context_has_the_locks() -> None:
    """So what is under it shares them, whoever asks first."""
    with Context() as ctx:
        with ctx.child().child().lock("it"):
            with pytest.raises(LockDeadlock), ctx.lock("it"):
                pytest.fail("it is held")
        with ctx.lock("it"):
            pass


def test_who_waits_for_what_it_holds_is_told() -> None:
    """In one job, and in a group inside of it: neither would ever end."""
    with Context() as ctx, ctx.lock("it"):
        with pytest.raises(LockDeadlock, match="'it'") as caught, ctx.lock("it"):
            pytest.fail("it is held")
        assert caught.value.lock == "it"

        def inside() -> None:
            with ctx.lock("it"):
                pytest.fail("it is held")

        with pytest.raises(LockDeadlock), Group() as group:
            group.go(inside)


def test_who_waits_leaves_when_the_run_is_stopped() -> None:
    """The lock goes to who is next in line, not to who has left."""
    held, failed = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    @job
    def holder(ctx: Context) -> None:
        with ctx.lock("it"):
            held.set()
            ctx.on_cancel(failed.set)
            assert failed.wait(60)

    @job
    def waiter(ctx: Context) -> None:
        assert held.wait(60)
        try:
            with ctx.lock("it"):
                pytest.fail("it is held")
        except BaseException as error:
            seen.append(error)
            raise

    @job
    async def awaiter(ctx: Context) -> None:
        while not held.is_set():
            await asyncio.sleep(0)
        async with ctx.lock("it"):
            pytest.fail("it is held")

    @job
    def fails(ctx: Context) -> None:
        assert held.wait(60)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        JobManager([holder, waiter, awaiter, fails]).execute()
    assert [type(each) for each in seen] in ([Cancelled], [])


def test_a_context_of_ones_own_ends_the_wait_in_both_worlds() -> None:
    """Its deadline is one of the lock, too; a context that is over gets none."""
    gate = threading.Event()

    def hold(ctx: Context) -> None:
        with ctx.lock("it"):
            gate.set()
            ctx.on_cancel(ended.set)
            assert ended.wait(60)

    async def wait(ctx: Context) -> None:
        with pytest.raises(DeadlineExceeded):
            async with ctx.child(timeout=0.01).lock("it"):
                pytest.fail("it is held")

    ended = threading.Event()
    with Context() as ctx:
        thread = threading.Thread(target=hold, args=(ctx,))
        thread.start()
        assert gate.wait(60)
        with pytest.raises(DeadlineExceeded), ctx.child(timeout=0.01).lock("it"):
            pytest.fail("it is held")
        asyncio.run(wait(ctx))
    thread.join()
    with pytest.raises(Cancelled), ctx.lock("it"):
        pytest.fail("the context is over")


def test_on_a_loop_a_plain_block_is_refused_with_the_line_to_write() -> None:
    """It would freeze the loop, and perhaps the one that it waits for."""

    @job
    async def wrong(ctx: Context) -> None:
        with ctx.lock("it"):
            pytest.fail("it must not begin")

    with pytest.raises(RunningLoopError, match=r"write: async with ctx.lock\('it'\)"):
        JobManager([wrong]).execute()


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_lock_has_a_name(name: object) -> None:
    """Text, as all names."""
    with pytest.raises(TypeError, match="a lock's name must be text"):
        Context().lock(name)  # type: ignore[arg-type]


def test_what_was_begun_under_a_lock_could_never_take_it_later() -> None:
    """A task inherits what is held; once that has been given back it is as free as for all."""

    @job
    async def begin(ctx: Context) -> str:
        given_back = asyncio.Event()

        async def later() -> str:
            with pytest.raises(LockDeadlock):
                async with ctx.lock("it"):
                    pytest.fail("it is held, and its holder might wait for this")
            await given_back.wait()
            async with ctx.lock("it"):
                return "taken"

        async with ctx.lock("it"):
            mine = asyncio.create_task(later())
            await asyncio.sleep(0)
        given_back.set()
        return await mine

    assert JobManager([begin]).execute()[begin] == "taken"
