"""Gofer runs named jobs concurrently and brings back one clear answer.

``JobManager`` runs a fixed set of jobs, each as soon as what it needs has ended; ``Group`` and
``AsyncGroup`` take jobs while they run; ``map`` and ``amap`` run one function over many items.
``Context`` carries cancellation, a deadline and values. ``Retry``, ``Hedge`` and ``Breaker`` are
policies of jobs.

Importing this loads neither asyncio nor multiprocessing.
"""

from gofer._context import Context, current_context
from gofer._crew import JobHandle
from gofer._group import AsyncGroup, Group
from gofer._job import FunctionJob, Job, job
from gofer._manager import JobManager
from gofer._map import amap, map
from gofer._run import Attempt, JobRecord, Run
from gofer.errors import (
    BreakerOpen,
    Cancelled,
    CycleError,
    DeadlineExceeded,
    DuplicateNameError,
    FrozenError,
    GoferError,
    GroupClosed,
    InvalidTransition,
    JobDefinitionError,
    JobPanic,
    JobSkipped,
    JobTimeout,
    LimitDeadlock,
    LimitError,
    LockDeadlock,
    NoResult,
    NotAwaitedError,
    PlanError,
    PolicyError,
    RacesFound,
    RunningLoopError,
    TypeHintError,
    UnknownJobError,
    UnknownNeedError,
)
from gofer.observers import Observer
from gofer.policies import Breaker, Hedge, Retry

__all__ = [
    "AsyncGroup",
    "Attempt",
    "Breaker",
    "BreakerOpen",
    "Cancelled",
    "Context",
    "CycleError",
    "DeadlineExceeded",
    "DuplicateNameError",
    "FrozenError",
    "FunctionJob",
    "GoferError",
    "Group",
    "GroupClosed",
    "Hedge",
    "InvalidTransition",
    "Job",
    "JobDefinitionError",
    "JobHandle",
    "JobManager",
    "JobPanic",
    "JobRecord",
    "JobSkipped",
    "JobTimeout",
    "LimitDeadlock",
    "LimitError",
    "LockDeadlock",
    "NoResult",
    "NotAwaitedError",
    "Observer",
    "PlanError",
    "PolicyError",
    "RacesFound",
    "Retry",
    "Run",
    "RunningLoopError",
    "TypeHintError",
    "UnknownJobError",
    "UnknownNeedError",
    "amap",
    "current_context",
    "job",
    "map",
]
