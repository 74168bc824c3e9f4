"""Who does not look for races pays nothing for it."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

from gofer import Context, JobManager, job
from gofer.testing import RaceDetector


def test_a_run_that_is_not_watched_loads_nothing_of_it() -> None:
    """Nor does a lock load the detector, or a run without locks the locks."""
    code = dedent(
        """
        import sys
        from gofer import JobManager, job
        def plain(ctx, param): ...
        JobManager([job(plain)]).execute()
        assert not [name for name in sys.modules if name.startswith("gofer.testing")]
        assert "gofer._locks" not in sys.modules
        def locks(ctx, param):
            with ctx.lock("it"): ...
        JobManager([job(locks)]).execute()
        assert not [name for name in sys.modules if name.startswith("gofer.testing")]
        """
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_detector_leaves_nothing_on_its_manager() -> None:
    """What the manager's own runs call is the jobs' own functions, before and afterwards."""

    def plain(ctx: Context, param: object) -> None: ...

    manager = JobManager([job(plain)])
    before = dict(vars(manager))
    with RaceDetector(manager) as detector:
        manager.execute()
        detector.execute()
    assert vars(manager) == before | {"_executed": True}
    assert manager._program().fns == [plain]


def test_a_context_has_no_lock_before_one_asks() -> None:
    """A place for locks is one word, set for a run and left alone for every other context."""
    ctx = Context()
    assert not hasattr(ctx, "_locks")
    seen = []
    JobManager([job(lambda ctx: seen.append(ctx._locks), name="look")]).execute()
    assert seen == [None]
