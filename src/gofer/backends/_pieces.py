"""A graph, cut into the pieces that an engine on many machines is handed: pure, of integers.

A hop from job to job costs milliseconds there, so a chain of jobs that nothing else touches is one
piece. A limit becomes order: of all pieces, every k-th waits for the one k places before it, so no
more than k can run at once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence

    from gofer._core.plan import Plan


class Piece:
    """Some jobs, one after the other, for one worker.

    Attributes:
        number: Its place among the pieces of its run; those before it need nothing of it.
        jobs: Their indices.
        kept: Those of them whose results it gives; the last job is always one.
        sources: Numbers of the pieces whose results it takes.
        after: Numbers of the pieces that must have ended well before it, and give it nothing.
        behind: Number of the piece that must have ended in some way, for a limit's sake, or None.
    """

    __slots__ = ("after", "behind", "jobs", "kept", "number", "sources")

    def __init__(self, number: int, jobs: tuple[int, ...], kept: tuple[int, ...]) -> None:
        self.number, self.jobs, self.kept = number, jobs, kept
        self.sources: tuple[int, ...] = ()
        self.after: tuple[int, ...] = ()
        self.behind: int | None = None


def cut(
    plan: Plan,
    sources: Sequence[tuple[int, ...]],
    kind_of: Callable[[int], Hashable],
    *,
    chosen: Collection[int],
    wanted: Collection[int],
    limit: int | None,
) -> list[Piece]:
    """Cut a graph into pieces, in an order in which each comes after what it needs.

    Args:
        plan: The graph.
        sources: Index -> the jobs whose results it takes; what it needs besides is order.
        kind_of: Index -> what jobs of one piece must have in common.
        chosen: The jobs that are part of the run, closed under needs.
        wanted: The jobs whose results somebody may ask for.
        limit: How many jobs may run at once, or None.
    """
    order = [i for layer in plan.layers() for i in layer if i in chosen]
    chains = _chains(plan, kind_of, order, chosen, wanted)
    pieces: list[Piece] = []
    place: dict[int, int] = {}
    for number, jobs in enumerate(chains):
        kept = tuple([i for i in jobs if i in wanted or i is jobs[-1]])
        piece = Piece(number, jobs, kept)
        taken, needed = sources[jobs[0]], plan.needs[jobs[0]]
        piece.sources = tuple(dict.fromkeys([place[j] for j in taken]))
        rest = dict.fromkeys([place[j] for j in needed])
        piece.after = tuple([each for each in rest if each not in piece.sources])
        if limit is not None and number >= limit:
            piece.behind = number - limit
        place.update(dict.fromkeys(jobs, number))
        pieces.append(piece)
    return pieces


def _chains(
    plan: Plan,
    kind_of: Callable[[int], Hashable],
    order: list[int],
    chosen: Collection[int],
    wanted: Collection[int],
) -> list[tuple[int, ...]]:
    """Return the jobs in chains, each by the place of its first job in the order."""
    found: list[tuple[int, ...]] = []
    done: set[int] = set()
    for head in order:
        if head in done:
            continue
        chain = [head]
        followers = [j for j in plan.dependents(head) if j in chosen]
        while len(followers) == 1 and len(plan.needs[followers[0]]) == 1:
            if kind_of(followers[0]) != kind_of(head):
                break
            chain.append(followers[0])
            followers = [j for j in plan.dependents(chain[-1]) if j in chosen]
        # What takes the last result must not have to move those of the others with it.
        if followers and any(i in wanted for i in chain[:-1]):
            chain.pop()
        done.update(chain)
        found.append(tuple(chain))
    return found
