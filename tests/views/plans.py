"""Plans of every shape, for the pictures of graphs."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from gofer._core.plan import Plan


def plan_of(**needs: list[str]) -> Plan:
    """Make a plan from names and what each needs."""
    return Plan(list(needs), list(needs.values()))


def chains(many: int, length: int = 3) -> Plan:
    """Make so many chains of equal shape."""
    names = [f"{'abc'[at % 3]}{at}-{i}" for i in range(many) for at in range(length)]
    needs = [[names[i - 1]] if i % length else [] for i in range(len(names))]
    return Plan(names, needs)


def tangle(jobs: int, most_needs: int = 3, seed: int = 1) -> Plan:
    """Make a graph in which hardly two jobs are alike."""
    chance = Random(seed)
    names = [f"job {i}" for i in range(jobs)]
    needs = [
        chance.sample(names[:i], min(i, chance.randrange(most_needs + 1))) for i in range(jobs)
    ]
    return Plan(names, needs)


@st.composite
def plans(draw: st.DrawFn, most: int = 60) -> Plan:
    """Draw a graph without circles, in any order of its jobs."""
    size = draw(st.integers(0, most))
    names = [f"n{i}" for i in range(size)]
    needs = [
        draw(st.lists(st.sampled_from(names[:i]), max_size=4)) if i else [] for i in range(size)
    ]
    order = draw(st.permutations(range(size)))
    return Plan([names[i] for i in order], [needs[i] for i in order])
