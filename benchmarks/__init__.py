"""How fast Gofer is, next to what people use instead: `make bench`, or `make bench-quick`.

- `measure.py` says how two things are compared; every figure is a ratio within one run.
- `blocking.py`, `loops.py`, `graphs.py`, `groups.py` and `processes.py` hold the cases: what Gofer
  does, what each peer does, and the ratio that Gofer is to reach.
- `scale.py` goes up to a million jobs, `replay.py` runs recorded graphs of real work, `imports.py`
  weighs `import gofer`. Each can be run alone: `python -m benchmarks.scale`.

A peer is used as its documentation says, warm where it can be warm, and asked for no more than it
must give. One that is not installed is skipped, with a line that says so.
"""
