"""A signal handler, or another thread, at every moment: what either could interrupt, one by one.

CPython runs signal handlers and switches threads between two instructions. Here a trace function
stands between all instructions of the files that matter, and calls the handler at one of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

FILES = ("_context.py", "_timer.py", "lanes.py", "schedule.py", "intake.py")


class Moments:
    """Runs something under the eyes of a trace function.

    Attributes:
        passed: How many instructions of those files have been run so far.
    """

    def __init__(self, moment: int = 0, handler: Callable[[], Any] | None = None) -> None:
        self.passed = 0
        self._moment, self._handler = moment, handler

    def run(self, call: Callable[[], Any]) -> None:
        """Run ``call()``, and the handler before the instruction of that number."""
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # Python 3.12 wants to know it beforehand
        sys.settrace(self._trace)
        try:
            call()
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.endswith(FILES):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.passed += 1
            if self.passed == self._moment and self._handler is not None:
                self._handler()
        return self._trace


def interrupted_at(moment: int, call: Callable[[], Any], handler: Callable[[], Any]) -> bool:
    """Run ``call()`` and interrupt it; return whether it was so long that the moment came."""
    moments = Moments(moment, handler)
    moments.run(call)
    return moments.passed >= moment
