"""What is said of an error where only few different words may stand."""

from __future__ import annotations


def error_type(error: BaseException) -> str:
    """Return the name of an error's class, with its module unless it is a built-in one."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60)
"""Upper bounds of seconds in a histogram. Source: those that OpenTelemetry's semantic conventions
advise for ``http.server.request.duration``, and two more, as jobs may take longer than requests."""
