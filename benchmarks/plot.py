"""A small plot of time per job against size, as SVG."""

from __future__ import annotations

import math

Series = dict[str, list[tuple[int, float]]]
"""What a line is called -> its points: a number of jobs, and seconds per job."""

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 46, 48
COLOURS = {"independent": "#0072b2", "chain": "#d55e00", "random": "#009e73"}

STYLE = """
  .paper { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #555 }
  text { font: 12px system-ui, sans-serif; fill: #222 } .title { font-size: 14px }
  .line { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #161b22 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
    text { fill: #e6edf3 }
  }
"""


def svg(series: Series) -> str:
    """Draw the lines: a continuous one for each run, a broken one for what it is to compile it."""
    points = [point for line in series.values() for point in line]
    sizes = sorted({size for size, _ in points})
    top = _round_up(max(seconds for _, seconds in points) * 1e6)
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: float) -> float:
        return LEFT + (math.log10(size) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(micros: float) -> float:
        return HEIGHT - BOTTOM - micros / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Time per job against the number of jobs in one manager</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="26">µs per job, by the number of jobs</text>',
    ]
    for tick in range(5):
        micros = top * tick / 4
        parts += [
            f'<path class="grid" d="M{LEFT} {y(micros):.1f}H{WIDTH - RIGHT}"/>',
            f'<text x="{LEFT - 8}" y="{y(micros) + 4:.1f}" text-anchor="end">{micros:g}</text>',
        ]
    under = HEIGHT - BOTTOM + 20
    parts += [
        f'<text x="{x(size):.1f}" y="{under}" text-anchor="middle">{size:,}</text>'
        for size in sizes
    ]
    parts.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    labels = sorted((line[-1][1], name) for name, line in series.items())
    at = math.inf
    for seconds, name in labels:  # from the bottom up, none on another
        at = min(y(seconds * 1e6) + 4, at - 15)
        parts.append(_line(series[name], name, x, y))
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{at:.1f}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(points: list[tuple[int, float]], name: str, x, y) -> str:  # type: ignore[no-untyped-def]
    shape, _, part = name.partition(", ")
    path = "L".join(f"{x(size):.1f} {y(seconds * 1e6):.1f}" for size, seconds in points)
    dashes = ' stroke-dasharray="5 4"' if part == "compile" else ""
    return f'<path class="line" stroke="{COLOURS[shape]}"{dashes} d="M{path}"/>'


def _round_up(value: float) -> float:
    """Return the next number of the form 1, 2, 4 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * n for n in (1, 2, 4, 8, 10) if power * n >= value)
