"""Groups: the columns a result is split by, with `(unassigned)` and `(undated)` so that parts add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.process import UNDATED, period_of
from salescoach.process.periods import Unit

UNASSIGNED = "(unassigned)"
NONE = "(none)"
LAST = (UNASSIGNED, UNDATED, NONE)
PEOPLE = ("rep", "team", "manager")
UNITS: tuple[Unit, ...] = get_args(Unit)
ALIASES = {"source": "lead_source", "period": "quarter", "rep_id": "rep"}


def parse_by(by: str | Sequence[str] | None) -> tuple[str, ...]:
    """ "rep", "team,quarter" or a list -> names without aliases and repeats."""
    names = by.split(",") if isinstance(by, str) else list(by or ())
    clean = (ALIASES.get(n.strip(), n.strip()) for n in names)
    return tuple(dict.fromkeys(n for n in clean if n))


def group_columns(by: Sequence[str]) -> list[str]:
    """The columns a result has for these groups: `rep` brings `rep_id` and `rep`."""
    return [c for name in by for c in (("rep_id", "rep") if name == "rep" else (name,))]


def group_keys(by: Sequence[str]) -> list[str]:
    """The columns these groups are counted by: `rep_id` for `rep`."""
    return ["rep_id" if name == "rep" else name for name in by]


def with_groups(
    book: Book, units: pd.DataFrame, by: Sequence[str], on: str, people_on: str | None = None
) -> pd.DataFrame:
    """`units` with one text column per group.

    on          the column with the metric's date
    people_on   the column with the day on which teams are looked up; default: `on`

    Raises Unavailable for a column of ours that these units do not have, UsageError for a group that nobody knows.
    """
    result = units.copy(deep=False)
    for name in by:
        if name in UNITS:
            result[name] = _labels(book, result[on], name)
        elif name in ("team", "manager"):
            result[name] = _of_rep(book, units, name, people_on or on).fillna(UNASSIGNED)
        elif name == "rep":
            result["rep_id"] = result["rep_id"].fillna(UNASSIGNED)
        elif name in result:
            result[name] = result[name].astype("str").fillna(NONE)
        elif any(name in table.columns for table in TABLES.values()):
            raise Unavailable("what is counted here has no `{column}` to split by", column=name)
        else:
            known = [*PEOPLE, *UNITS, *(c for c in result.columns if result[c].dtype == "str")]
            raise UsageError(
                "Cannot split by {name!r}: no column of that name.{hint} Groups: {known}.",
                name=name,
                hint=suggestion(name, known),
                known=commas(dict.fromkeys(known)),
            )
    return result


def _labels(book: Book, days: pd.Series, unit: Any) -> pd.Series:
    """The label of the period each day lies in, as text."""
    labels = period_of(days, unit, book.process)
    names = labels.cat.categories.to_series().astype("str")
    return names.take(labels.cat.codes.to_numpy()).set_axis(days.index)


def _of_rep(book: Book, units: pd.DataFrame, name: str, on: str) -> pd.Series:
    """Team or manager of each unit's rep, on the unit's date where people changed teams."""
    reps = book.tables.get("reps")
    if reps is None or name not in reps:
        return units[name].astype("str") if name in units else pd.Series(None, units.index, dtype="str")
    latest = reps.drop_duplicates("rep_id", keep="last").set_index("rep_id")[name]
    found = units["rep_id"].map(latest).astype("str")
    if "valid_from" not in reps or not bool(reps["rep_id"].duplicated().any()):
        return found
    dated = reps[["rep_id", "valid_from", name]].copy()
    dated["valid_from"] = dated["valid_from"].fillna(pd.Timestamp("1900-01-01")).astype("datetime64[us]")
    asked = pd.DataFrame({"rep_id": units["rep_id"].astype("str"), "day": units[on].astype("datetime64[us]")})
    asked = asked[asked["day"].notna() & asked["rep_id"].notna()].sort_values("day", kind="stable")
    asked["unit"] = asked.index
    dated = dated.sort_values("valid_from", kind="stable")
    then = pd.merge_asof(asked, dated, left_on="day", right_on="valid_from", by="rep_id").set_index("unit")[name]
    return then.reindex(units.index).fillna(found)


def in_order(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Sorted by the keys, with `(unassigned)`, `(undated)` and `(none)` at the end of each."""
    if not keys:
        return table.reset_index(drop=True)
    places = {}
    for key in keys:
        values = table[key]
        last = values.isin(LAST) if values.dtype == "str" else pd.Series(False, values.index)
        places[f"{key} last"], places[key] = last, values
    return table.loc[pd.DataFrame(places).sort_values(list(places), kind="stable").index].reset_index(drop=True)


def name_reps(book: Book, table: pd.DataFrame) -> pd.DataFrame:
    """The table with `rep`, the display name, right of `rep_id`, if it has one."""
    if "rep_id" not in table:
        return table
    names = table["rep_id"].map(book.people.set_index("rep_id")["rep"]).astype("str").fillna(table["rep_id"])
    place = list(table.columns).index("rep_id") + 1
    table = table.copy()
    table.insert(place, "rep", names)
    return table


def complete(book: Book, table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """In order, with names for rep ids, and a row for everybody in the book: no deals is an answer, not a gap.

    Everybody means every rep, team or manager, where that is the only group. Counts (whole numbers) of an added row
    are 0; everything else is null.
    """
    people = book.people
    if list(by) == ["rep"]:
        table = _add_missing(table, "rep_id", list(people["rep_id"]))
    for name in ("team", "manager"):
        if list(by) == [name]:
            table = _add_missing(table, name, list(people[name].dropna().unique()))
    extra = [c for c in ("currency",) if c in table]
    return name_reps(book, in_order(table, [*group_keys(by), *extra]))


def _add_missing(table: pd.DataFrame, key: str, values: list[str]) -> pd.DataFrame:
    absent = sorted(set(values) - set(table[key]))
    if not absent:
        return table
    counts = [c for c in table.columns if c != key and pd.api.types.is_integer_dtype(table[c])]
    whole = table.dtypes[counts].to_dict()
    added = pd.concat([table.set_index(key), pd.DataFrame(index=pd.Index(absent, name=key))])
    return added.fillna(dict.fromkeys(counts, 0)).astype(whole).reset_index()[list(table.columns)]
