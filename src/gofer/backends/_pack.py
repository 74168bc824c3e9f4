"""What a run says to each worker of a cluster once."""

from __future__ import annotations

import pickle

from gofer.backends._parcels import Parcel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Pack:
    """What a run says to each worker once.

    Attributes:
        run: Its own name, on the whole cluster.
        sent: When it was sent, in nanoseconds on the caller's wall clock.
        left: Seconds that were left then until its deadline, or None.
        clocks: Worker -> nanoseconds that its wall clock is ahead, of those that are known.
        variables: Values of its context, and context variables.
        param: The param, or None for None.
        quiet: Whether nobody listens: the results tell it all.
        carried: What observers give the jobs; see ``observers._carry``.
    """

    def __init__(
        self,
        run: str,
        sent: int,
        left: float | None,
        clocks: dict[str, int],
        variables: Parcel,
        param: Parcel | None,
        quiet: bool = False,
        carried: Any = None,
    ) -> None:
        self.run, self.sent, self.left, self.clocks = run, sent, left, clocks
        self.variables, self.param = variables, param
        self.quiet, self.carried = quiet, carried

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self.variables.size + (0 if self.param is None else self.param.size)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        parcels = [
            None
            if each is None
            else (each.data, [pickle.PickleBuffer(buffer) for buffer in each.buffers])
            for each in (self.variables, self.param)
        ]
        told = self.quiet, self.carried
        return _unpacked, (self.run, self.sent, self.left, self.clocks, *parcels, *told)


def _unpacked(
    run: str,
    sent: int,
    left: float | None,
    clocks: dict[str, int],
    variables: Any,
    param: Any,
    *told: Any,
) -> Pack:
    given = None if param is None else Parcel(*param)
    return Pack(run, sent, left, clocks, Parcel(*variables), given, *told)
