"""The sales process as data: pipelines, stages, their names over time, working days and periods."""

from salescoach.process.calendar import (
    HolidaysNotAnnounced,
    announced_until,
    as_days,
    is_working_day,
    working_days,
    working_hours,
)
from salescoach.process.company_calendar import Calendar, FiscalYear
from salescoach.process.fields import Words, fold_name
from salescoach.process.fiscal import fiscal_span
from salescoach.process.local_days import NEVER, day_numbers, local_midnights
from salescoach.process.model import Match, Meaning, Pipeline, Process, Stage, StageName
from salescoach.process.periods import UNDATED, Period, Unit, parse_day, parse_period, period_of, previous_period
from salescoach.process.read import parse_process, process_from_dict, process_to_dict, read_process

__all__ = [
    "NEVER",
    "UNDATED",
    "Calendar",
    "FiscalYear",
    "HolidaysNotAnnounced",
    "Match",
    "Meaning",
    "Period",
    "Pipeline",
    "Process",
    "Stage",
    "StageName",
    "Unit",
    "Words",
    "announced_until",
    "as_days",
    "day_numbers",
    "fiscal_span",
    "fold_name",
    "is_working_day",
    "local_midnights",
    "parse_day",
    "parse_period",
    "parse_process",
    "period_of",
    "previous_period",
    "process_from_dict",
    "process_to_dict",
    "read_process",
    "working_days",
    "working_hours",
]
