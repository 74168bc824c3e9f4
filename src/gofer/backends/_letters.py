"""What the two sides of a worker's socket say to each other: numbers, and where things stand.

To a worker, a frame's body is one marshalled list of messages, each a tuple that begins with one of
the numbers here. From a worker, it is replies, each with its length before it, as they stand in the
journal: memory that both sides share. A reply is written there before the next job begins, so what
a worker has done is known also if it dies before it could say so.
"""

from __future__ import annotations

from struct import Struct

FUNCTION, PARAM, RUN, JOB, CANCEL, BACK, FORGET, QUIT = range(8)
"""Messages to a worker:

    FUNCTION  number, pickle, buffers                 what jobs call
    PARAM     run, pickle, buffers                    the param as it is now
    RUN       run, deadline, pickle, buffers          the run's values and context variables
    JOB       number, run, function, name, nargs, deadline, carried, pickle or None, buffers
    CANCEL    job, cause                              stop it; give back all that has not begun
    BACK                                              give back all that has not begun
    FORGET    run                                     it is over
    QUIT                                              leave
"""

DONE, PICKLED, FAILED, RETURNED = range(4)
"""How a job went: it gave a plain value, or a pickled one; it failed; it has not begun.

A reply is (job, how, start, end, what, buffers).
"""

JOURNAL = 1 << 18
"""Bytes of a journal."""

CURRENT = Struct("<q")
"""At its start: the number of the job that runs, or 0."""

COUNT = Struct("<Q")
COUNT_AT = 8
"""Then: how many bytes of replies follow that have not been sent."""

TARGET = Struct("<q")
TARGET_AT = 16
"""Then: the job for which the parent has sent a signal, or 0."""

REPLIES_AT = 32
"""Where they stand; before them is room for a frame's head."""

LENGTH = Struct("<I")
"""Before each reply."""
