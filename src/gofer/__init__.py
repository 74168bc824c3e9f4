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
    BackendError,
    BreakerOpen,
    Cancelled,
    CycleError,
    DeadlineExceeded,
    DuplicateNameError,
    FrozenError,
    GoferError,
    GroupClosed,
    InvalidTransition,
    JobCrashed,
    JobDefinitionError,
    JobPanic,
    JobSkipped,
    JobTimeout,
    LimitDeadlock,
    LimitError,
    LockDeadlock,
    NoResult,
    NotAwaitedError,
    NotPicklable,
    ParamIsCopy,
    PlanError,
    PolicyError,
    RacesFound,
    RemoteError,
    RunningLoopError,
    TypeHintError,
    UnknownJobError,
    UnknownNeedError,
    WorkerFailed,
)
from gofer.observers import Observer
from gofer.policies import Breaker, Hedge, Retry

__all__ = [
    "AsyncGroup",
    "Attempt",
    "BackendError",
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
    "JobCrashed",
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
    "NotPicklable",
    "Observer",
    "ParamIsCopy",
    "PlanError",
    "PolicyError",
    "RacesFound",
    "RemoteError",
    "Retry",
    "Run",
    "RunningLoopError",
    "TypeHintError",
    "UnknownJobError",
    "UnknownNeedError",
    "WorkerFailed",
    "amap",
    "current_context",
    "job",
    "map",
]
