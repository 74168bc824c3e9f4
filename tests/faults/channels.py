"""Every channel on which Gofer says something about a run, as text."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gofer import JobManager, Run
from gofer.observers import LoggingObserver
from gofer.observers._plain import Plain
from gofer.observers.progress import Progress
from gofer.views.html import page
from gofer.views.svg import graph_picture, run_picture
from gofer.views.trace import trace


def watching() -> tuple[list[Any], dict[str, Callable[[], str]]]:
    """Return observers, as many as are installed, and what each has said, by its name."""
    stream = io.StringIO()
    logger = logging.getLogger("gofer")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)

    def logged() -> str:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        return stream.getvalue()

    observers: list[Any] = [LoggingObserver()]
    said: dict[str, Callable[[], str]] = {"log": logged}
    try:
        import prometheus_client

        from gofer.observers import PrometheusObserver
    except ImportError:
        pass
    else:
        registry = prometheus_client.CollectorRegistry()
        observers.append(PrometheusObserver(registry))
        said["prometheus"] = lambda: prometheus_client.generate_latest(registry).decode()
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        from gofer.observers import OpenTelemetryObserver
    except ImportError:
        pass
    else:
        exporter, tracers = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(exporter))
        observers.append(OpenTelemetryObserver(tracer_provider=tracers))
        said["spans"] = lambda: "".join(each.to_json() for each in exporter.get_finished_spans())
    return observers, said


def pictures(run: Run, manager: JobManager) -> dict[str, str]:
    """Return everything that a run and its manager can be shown as."""
    plan = manager._program().plan
    first = next(iter(run.records)).name
    progress = Progress(run.name, 1, 2, 0, [(first, 0.5)], 1.0)
    shown = {
        "print": str(run),
        "repr": repr(run) + repr(run.records) + repr(manager),
        "html": page(run, plan),
        "run.svg": run_picture(run),
        "svg": graph_picture(plan, manager.name),
        "trace": trace(run, plan),
        "mermaid": manager.to_mermaid(),
        "dot": manager.to_dot(),
        "progress": _drawn(progress),
        "notes": "\n".join(getattr(run.error, "__notes__", ())),
        "notebook": json.dumps([run._repr_mimebundle_(), manager._repr_mimebundle_()]),
    }
    if run.error is not None:
        shown["traceback"] = "".join(traceback.format_exception_only(run.error)[1:])
    return shown


def _drawn(progress: Progress) -> str:
    """Return what a terminal is sent, plain and in colours."""
    plain = io.StringIO()
    Plain(plain).paint(progress)
    said = plain.getvalue().replace("\r", "")
    try:
        from rich.console import Console

        from gofer.observers._rich import _picture
    except ImportError:
        return said
    console = Console(file=io.StringIO(), width=200, no_color=True)
    console.print(_picture(progress))
    return said + console.file.getvalue()  # type: ignore[attr-defined]


def command_line(folder: Path, *arguments: str) -> dict[str, str]:
    """Run the command in a folder that has ``jobs.py``; return all that it printed and wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "gofer", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    said = {"stdout": done.stdout, "stderr": done.stderr}
    for path in folder.iterdir():
        if path.is_file() and path.name != "jobs.py":
            said[path.name] = path.read_text(encoding="utf-8")
    return said
