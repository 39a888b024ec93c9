"""Many reports: a plan becomes jobs, jobs become pages, a run is published as a whole."""

from salescoach.batch.copies import copy_run
from salescoach.batch.durable import Locked
from salescoach.batch.job import Outcome, Task, run_task
from salescoach.batch.mail import Delivery, deliver
from salescoach.batch.plan import Job, Mail, Order, PlanFile, make_jobs, read_plan, safe_slug
from salescoach.batch.published import read_manifest, verify, why
from salescoach.batch.rights import Purged, own_pages, purge_pages
from salescoach.batch.run import Run, run_batch, run_report

__all__ = [
    "Delivery",
    "Job",
    "Locked",
    "Mail",
    "Order",
    "Outcome",
    "PlanFile",
    "Purged",
    "Run",
    "Task",
    "copy_run",
    "deliver",
    "make_jobs",
    "own_pages",
    "purge_pages",
    "read_manifest",
    "read_plan",
    "run_batch",
    "run_report",
    "run_task",
    "safe_slug",
    "verify",
    "why",
]
