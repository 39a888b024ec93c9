"""Groups: the columns a result is split by, with `(unassigned)` and `(undated)` so that parts add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import UsageError, suggestion
from salescoach.process import UNDATED, period_of

UNASSIGNED = "(unassigned)"
NONE = "(none)"
PEOPLE = ("rep", "team", "manager")
UNITS = ("week", "month", "quarter", "year", "fiscal_quarter", "fiscal_year")
ALIASES = {"source": "lead_source", "period": "quarter", "rep_id": "rep"}


def parse_by(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """"rep", "team,quarter" or a list -> names without aliases and repeats."""
    names = by.split(",") if isinstance(by, str) else list(by or ())
    clean = (ALIASES.get(n.strip(), n.strip()) for n in names)
    return tuple(dict.fromkeys(n for n in clean if n))


def group_columns(by: Sequence[str]) -> list[str]:
    """The columns a result has for these groups: `rep` brings `rep_id` and `rep`."""
    return [c for name in by for c in (("rep_id", "rep") if name == "rep" else (name,))]


def with_groups(book: Book, units: pd.DataFrame, by: Sequence[str], on: str | None) -> pd.DataFrame:
    """`units` with one text column per group. `on` names the column with the metric's date.

    Raises UsageError for a group that neither the units, the people nor the calendar know.
    """
    result = units.copy()
    for name in by:
        if name in UNITS:
            if on is None:
                raise UsageError(f"This metric is counted as of one day and cannot be split by {name}.")
            result[name] = period_of(result[on], name, book.process).to_numpy()
        elif name in ("team", "manager"):
            result[name] = _of_rep(book, result, name, on).fillna(UNASSIGNED)
        elif name == "rep":
            result["rep_id"] = result["rep_id"].fillna(UNASSIGNED)
        elif name in result:
            result[name] = result[name].astype("str").fillna(NONE) if name != "stage" else result[name]
        else:
            known = [*PEOPLE, *UNITS, *(c for c in result.columns if result[c].dtype == "str")]
            raise UsageError(f"Cannot split by {name!r}: no column of that name.{suggestion(name, known)} "
                             f"Groups: {', '.join(dict.fromkeys(known))}.")
    return result


def _of_rep(book: Book, units: pd.DataFrame, name: str, on: str | None) -> pd.Series:
    """Team or manager of each unit's rep, on the unit's date where people changed teams."""
    reps = book.tables.get("reps")
    if reps is None or name not in reps:
        return pd.Series(None, units.index, dtype="str")
    latest = reps.drop_duplicates("rep_id", keep="last").set_index("rep_id")[name]
    found = units["rep_id"].map(latest)
    if on is None or "valid_from" not in reps or not bool(reps["rep_id"].duplicated().any()):
        return found
    dated = reps[["rep_id", "valid_from", name]].copy()
    dated["valid_from"] = dated["valid_from"].fillna(pd.Timestamp("1900-01-01")).astype("datetime64[us]")
    asked = pd.DataFrame({"rep_id": units["rep_id"], "day": units[on].astype("datetime64[us]")})
    asked = asked[asked["day"].notna() & asked["rep_id"].notna()].sort_values("day", kind="stable")
    then = pd.merge_asof(asked.reset_index(), dated.sort_values("valid_from"), left_on="day", right_on="valid_from", by="rep_id")
    return then.set_index("index")[name].reindex(units.index).fillna(found)


def complete(book: Book, table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Names for rep ids, and a row for everybody who is in the book: no deals is an answer, not a gap.

    Counts of an added row are 0; everything else is null.
    """
    if "rep" in by:
        names = book.people.set_index("rep_id")["rep"]
        if len(by) == 1:
            table = _add_missing(table, "rep_id", list(names.index))
        table.insert(table.columns.get_loc("rep_id") + 1, "rep", table["rep_id"].map(names).fillna(table["rep_id"]))
    for name in ("team", "manager"):
        if list(by) == [name]:
            table = _add_missing(table, name, sorted(book.people[name].dropna().unique()))
    return table


def _add_missing(table: pd.DataFrame, key: str, values: list[str]) -> pd.DataFrame:
    absent = [v for v in values if v not in set(table[key])]
    if absent:
        extra = pd.DataFrame({c: pd.Series([0] * len(absent), dtype=table[c].dtype) for c in table.columns
                              if c != key and pd.api.types.is_numeric_dtype(table[c])})
        extra[key] = absent
        table = pd.concat([table, extra], ignore_index=True)
    last = table[key].isin([UNASSIGNED, UNDATED, NONE])
    return table.assign(_last=np.where(last, 1, 0)).sort_values(["_last", key], ignore_index=True).drop(columns="_last")
