"""Fuzzing with atheris, guided by what is covered: ``python tests/fuzz/fuzz.py TARGET [OPTIONS]``.

The targets are those of ``targets.py``; the options are libFuzzer's, such as
``-max_total_time=60``, and files with inputs to try again. ``make fuzz`` fuzzes each for a minute.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def text(given: bytes) -> str:
    """Return what Python makes of a command line's bytes."""
    return given.decode("utf-8", "surrogateescape")


def fed(given: bytes, name: str, targets: Any, provider: Any) -> Any:
    """Return an input for a target, made of bytes."""
    if name in targets.BYTES:
        return given
    if name in targets.TEXTS:
        return text(given)
    data = provider(given)
    return [
        data.PickValueInList(targets.WORDS)
        if data.ConsumeIntInRange(0, 3)
        else text(data.ConsumeBytes(data.ConsumeIntInRange(0, 20)).replace(b"\0", b""))
        for _ in range(data.ConsumeIntInRange(0, 8))
    ]


def arguments(name: str, seeds: list[str], folder: Path, start: Path) -> list[str]:
    """Return what libFuzzer is told; without inputs of its own it gets the seeds.

    Args:
        name: The target.
        seeds: What fuzzing it begins with.
        folder: Where it runs.
        start: Where the command was given, and where what makes it fail is left.
    """
    options = [each for each in sys.argv[2:] if each.startswith("-")]
    inputs = [str(start / each) for each in sys.argv[2:] if not each.startswith("-")]
    if not inputs:
        corpus = folder / "corpus"
        corpus.mkdir()
        for i, seed in enumerate(seeds):
            (corpus / str(i)).write_text(seed, encoding="utf-8")
        inputs = [str(corpus)]
    return [sys.argv[0], f"-artifact_prefix={start}/fuzz-{name}-", "-timeout=20", *options, *inputs]


def main() -> None:
    """Fuzz the target that the first argument names."""
    try:
        import atheris
    except ImportError:
        sys.exit("this needs atheris: pip install 'gofer[fuzz]'")
    sys.path.insert(1, str(Path(__file__).parents[2]))  # for benchmarks
    with atheris.instrument_imports(include=["gofer", "benchmarks", "argparse", "json"]):
        import targets

        for module in targets.MODULES:  # else they come too late, when they are needed
            import_module(module)

    known = {**targets.TEXTS, **targets.LISTS, **targets.BYTES}
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in known:
        sys.exit(f"write: python tests/fuzz/fuzz.py TARGET, which is one of: {' '.join(known)}")

    def once(given: bytes) -> None:
        known[name](fed(given, name, targets, atheris.FuzzedDataProvider))

    start = Path.cwd()
    with targets.folder() as folder:
        atheris.Setup(arguments(name, targets.SEEDS.get(name, []), folder, start), once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
