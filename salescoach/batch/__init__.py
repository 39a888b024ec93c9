"""Many reports: a plan becomes jobs, jobs become pages, a run is published as a whole."""

from salescoach.batch.job import Outcome, Task, run_task
from salescoach.batch.plan import Job, Order, PlanFile, make_jobs, read_plan, safe_slug
from salescoach.batch.run import Run, run_batch, run_report

__all__ = [
    "Job",
    "Order",
    "Outcome",
    "PlanFile",
    "Run",
    "Task",
    "make_jobs",
    "read_plan",
    "run_batch",
    "run_report",
    "run_task",
    "safe_slug",
]
