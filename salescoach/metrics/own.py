"""Metrics of a company's own: a small Python file with `@metric(…)` functions, shown and batched like ours.

Such a file, my_metrics.py:

    from salescoach.metrics import count_records, metric
    from salescoach.metrics.outcomes import decided_deals

    def big_wins(book, period=None):
        deals = decided_deals(book, period)
        return deals[(deals["outcome"] == "won") & (deals["amount"] >= 100_000)]

    @metric(
        "Big wins",
        "Won deals of 100,000 or more.",
        why="Do we win the large orders too?",
        basis="day of the decision",
        interval="95 % interval of the count",
        unit="count",
        needs=[("deals", "amount"), ("deals", "outcome")],
        by=("rep",),
        rows=big_wins,
    )
    def big_win_count(book, by="rep", period=None):
        return count_records(book, big_wins(book, period), by, on="closed_on")

Then: salescoach metrics big_win_count --own my_metrics.py --book my-book --by team
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pandas as pd

from salescoach.book import Book
from salescoach.errors import InputError, SalescoachError, Sentence, UsageError
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import count_interval
from salescoach.metrics.groups import complete, group_columns, group_keys, parse_by, with_groups
from salescoach.metrics.registry import METRICS

EVERY_TABLE = ("n", "value", "low", "high")
_LOADED: dict[Path, tuple[str, ...]] = {}


def load_own(path: str | Path) -> tuple[str, ...]:
    """Register the metrics of a Python file and return their names; the same file again takes its own place.

    Only load a file that you would run: it is Python and runs as you. Raises UsageError where the file is not there,
    has no metric, or one under a name that is taken, and InputError with file and line where it fails; then nothing of
    it is registered. What fails later, in a metric's own function, is an InputError with file and line too.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise UsageError("There is no file {path}. --own takes a Python file with metrics of your own.", path=path)
    before = dict(METRICS)
    for name in _LOADED.pop(file, ()):
        METRICS.pop(name, None)
    ours = set(METRICS)
    try:
        _run(file)
        names = tuple(n for n in METRICS if n not in ours)
        if not names:
            raise UsageError("{file} registers no metric: write @metric(…) above its function.", file=file.name)
    except BaseException:
        METRICS.clear()
        METRICS.update(before)
        raise
    for name in names:
        found = METRICS[name]
        compute = _checked(_placed(found.compute, file), name, file)
        METRICS[name] = replace(found, compute=compute, rows=_placed(found.rows, file))
    _LOADED[file] = names
    return names


def count_records(book: Book, units: pd.DataFrame, by: str | Sequence[str], on: str) -> pd.DataFrame:
    """A metric that counts records, finished: one row per group with n, value (= n), low, high (Byar's interval).

    units   the records counted, with the columns to split by
    on      the column with their date
    """
    groups = parse_by(by)
    table = complete(book, count_table(with_groups(book, units, groups, on), group_keys(groups)), groups)
    table["value"] = table["n"].astype("float64")
    table["low"], table["high"] = count_interval(table["n"])
    return table[[*group_columns(groups), *EVERY_TABLE]]


def _run(file: Path) -> None:
    """Run the file as a module of its own name."""
    try:
        source = file.read_text(encoding="utf-8-sig")
        exec(compile(source, str(file), "exec"), {"__name__": file.stem, "__file__": str(file)})
    except SyntaxError as error:
        raise InputError("{file}, line {line}: {msg}.", file=file.name, line=error.lineno, msg=error.msg) from error
    except UnicodeDecodeError as error:
        raise InputError("{file} is not written in UTF-8. Save it as UTF-8.", file=file.name) from error
    except Exception as error:
        raise InputError(_with_place(error, file)) from error


def _with_place(error: Exception, file: Path) -> str:
    """The error with the line of the file it came through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    where = Sentence("{file}, line {line}", file=file.name, line=lines[-1]) if lines else file.name
    said = error.said if isinstance(error, SalescoachError) else f"{type(error).__name__}: {error}"
    return Sentence("{where}: {said}{end}", where=where, said=said, end="" if said.endswith(".") else ".")


def _placed(function: Callable[..., Any], file: Path) -> Callable[..., Any]:
    """The function, whose errors name file and line; those written for people pass."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except SalescoachError:
            raise
        except Exception as error:
            raise InputError(_with_place(error, file)) from error

    return run


def _checked(compute: Callable[..., Any], name: str, file: Path) -> Callable[..., pd.DataFrame]:
    """The function, whose result must be a table as every metric gives."""

    @wraps(compute)
    def run(book: Book, by: Any = (), period: Any = None, **options: Any) -> pd.DataFrame:
        table = compute(book, by=by, period=period, **options)
        if not isinstance(table, pd.DataFrame):
            raise InputError(
                "{file}: {name} gives {kind}, and a metric gives a DataFrame.",
                file=file.name,
                name=name,
                kind=type(table).__name__,
            )
        missing = [c for c in (*group_columns(parse_by(by)), *EVERY_TABLE) if c not in table]
        if missing:
            raise InputError(
                "{file}: the table of {name} has no column `{missing}`. A metric gives its groups, n, value, "
                "low and high; what cannot be known is null.",
                file=file.name,
                name=name,
                missing=missing[0],
            )
        return table

    return run
