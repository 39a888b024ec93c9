"""As reported then, beside now: which figures of a past period have moved since, and the records that moved them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salescoach.book import TABLES, Book
from salescoach.book.texts import looked_up
from salescoach.errors import Unavailable, UsageError
from salescoach.metrics.groups import parse_by
from salescoach.metrics.registry import Metric, as_period, counted_rows, find_metric, measure
from salescoach.metrics.visits import deals_of
from salescoach.process import Period
from salescoach.wording import N_

DELETED = N_("deleted")
ENTERED = N_("entered afterwards")
CLOSED = N_("closed afterwards")
DATED_BACK = N_("closed afterwards, with an earlier date")
REOPENED = N_("reopened")
VOID = N_("made void")
OTHER = N_("other outcome")
DATE = N_("other close date")
OWNER = N_("other owner")
AMOUNT = N_("other amount")
SINCE = N_("counted since")
NO_MORE = N_("no longer counted")
COMPARED = ("outcome", "closed_on", "rep_id", "amount_minor", "amount")
APART = ("stage", "rep_id", "horizon_days", "month")  # tell apart the rows of one record, where it has several


@dataclass(frozen=True)
class AsReported:
    """Figures then and now.

    table    one row per group that differs: the groups, value_then, value_now, difference, n_then, n_now
    causes   one row per record and reason: its id, rep_id, cause, then, now
    """

    table: pd.DataFrame
    causes: pd.DataFrame


def as_reported(
    book: Book,
    name: str,
    period: str | Period | None = None,
    then: str | Book = "",
    by: str | Sequence[str] | None = None,
    **options: Any,
) -> AsReported:
    """A metric as it stood on a past day beside what it is now for the same period, where the two differ.

    then   a day, on which the log is cut; or a book saved on that day. The log has one clock only: what was typed in
           later with an earlier date, or deleted, shows against a saved book alone.

    The period ends with that day at the latest, so that nothing differs only because time went on. Raises Unavailable
    where the metric was or is unavailable, and for a stock, which a replay gives as it was.
    """
    past, book, span = _both_books(book, find_metric(name), period, then)
    table = _differences(past, book, name, span, by, options)
    rows = [counted_rows(b, name, span, **options) for b in (past, book)]
    return AsReported(table, _causes(past, book, *rows))


def restated(
    book: Book, name: str, period: str | Period | None = None, then: str | Book = "", by: str | Sequence[str] = ()
) -> pd.DataFrame:
    """The table of `as_reported` alone, for a page that does not name the records."""
    past, book, span = _both_books(book, find_metric(name), period, then)
    return _differences(past, book, name, span, by, {})


def _both_books(book: Book, found: Metric, period: str | Period | None, then: str | Book) -> tuple[Book, Book, Period]:
    """The book as it stood then, that of today, and the period that both are asked for."""
    past = then if isinstance(then, Book) else book.at(then)
    if past.as_of > book.as_of:
        raise UsageError(
            "The book of {then} is later than this one of {now}: exchange the two.",
            then=past.as_of_on.date(),
            now=book.as_of_on.date(),
        )
    if found.stock:
        if not isinstance(then, Book):
            raise Unavailable(
                "a stock of a past day comes from the same log and cannot differ: give the book saved then"
            )
        return past, book.at(str(past.as_of_on.date())), as_period(past, period)
    return past, book, _ended(as_period(past, period), past)


def _differences(
    past: Book, book: Book, name: str, span: Period, by: str | Sequence[str] | None, options: Mapping[str, Any]
) -> pd.DataFrame:
    groups = find_metric(name).by if by is None else parse_by(by)
    return _beside(_table(past, name, groups, span, options), _table(book, name, groups, span, options))


def _ended(span: Period, past: Book) -> Period:
    last = past.as_of_on.date()
    return span if span.end_on <= last else Period(span.label, span.start_on, last)


def _table(book: Book, name: str, by: Sequence[str], span: Period, options: Mapping[str, Any]) -> pd.DataFrame:
    answer = measure(book, name, by=by, period=span, **options)
    if answer.reason is not None:
        raise answer.reason
    assert answer.table is not None
    return answer.table


def _beside(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Rows whose value or n differ; a group that one of the two lacks has nulls there and counts 0."""
    keys = list(dict.fromkeys([*_front(then), *_front(now)]))
    columns = ["value", "n"]
    if keys:
        both = then[[*_front(then), *columns]].merge(
            now[[*_front(now), *columns]], on=keys, how="outer", suffixes=("_then", "_now")
        )
    else:
        both = then[columns].add_suffix("_then").join(now[columns].add_suffix("_now"))
    for count in ("n_then", "n_now"):
        both[count] = both[count].fillna(0).astype("int64")
    both["difference"] = both["value_now"] - both["value_then"]
    known = both[["value_then", "value_now"]].notna()
    moved = (both["difference"].abs() > 1e-9) | (known["value_then"] != known["value_now"])
    kept = both[moved | (both["n_then"] != both["n_now"])]
    return kept[[*keys, "value_then", "value_now", "difference", "n_then", "n_now"]].reset_index(drop=True)


def _front(table: pd.DataFrame) -> list[str]:
    """What says of a row what it is about: the columns left of `n`."""
    return list(table.columns[: list(table.columns).index("n")])


# --- the records behind it -------------------------------------------------------------------------


def identity(records: pd.DataFrame) -> list[str]:
    """The columns by which the records of a metric are told apart: the key of the table they come from, and a stage."""
    own = max(TABLES.values(), key=lambda t: sum(c in records for c in t.columns))
    key = [c for c in own.key if c in records]
    for further in (c for c in APART if c in records and c not in key):
        if not bool(records[key].duplicated().any()):
            break
        key.append(further)
    return key


def _causes(past: Book, book: Book, then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Every record that is counted only then, only now, or otherwise than then, with the reason."""
    key = [k for k in dict.fromkeys([*identity(then), *identity(now)]) if k in then and k in now]
    fields = [c for c in COMPARED if c in then and c in now and c not in key]
    both = then[[*key, *fields]].merge(
        now[[*key, *fields]], on=key, how="outer", suffixes=("_then", "_now"), indicator="side"
    )
    sides = {side: both[both["side"] == side] for side in ("left_only", "both", "right_only")}
    parts = _changed(sides["both"], key, fields, past)
    parts.append(_gone(sides["left_only"], key, book, past))
    parts.append(_come(sides["right_only"], key, past))
    made = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    return made.sort_values([*key, "cause"], kind="stable", ignore_index=True)


def _changed(rows: pd.DataFrame, key: list[str], fields: list[str], past: Book) -> list[pd.DataFrame]:
    """Records that are counted both times and are not what they were: one part per field that may differ."""
    owner = rows["rep_id_now"] if "rep_id" in fields else _nobody(rows)
    parts = [_as_causes(rows.iloc[:0], key, owner.iloc[:0], OTHER, _nobody(rows.iloc[:0]), _nobody(rows.iloc[:0]))]
    again = pd.Series(False, rows.index)
    if "outcome" in fields:
        then, now = rows["outcome_then"], rows["outcome_now"]
        closed = rows.get("closed_on_now", pd.Series(pd.NaT, rows.index))
        differs = then != now
        cause = _by_outcome(then, now, closed, past)
        parts.append(_as_causes(rows[differs], key, owner[differs], cause[differs], then[differs], now[differs]))
        again = differs
    for field, why in (("closed_on", DATE), ("rep_id", OWNER), ("amount_minor", AMOUNT)):
        if field not in fields:
            continue
        then, now = rows[f"{field}_then"], rows[f"{field}_now"]
        differs = ~((then == now).fillna(False).astype(bool) | (then.isna() & now.isna()))
        named = pd.Series(why, rows.index, dtype="str")
        if field == "closed_on":
            differs &= ~again
            named = named.mask(now > past.as_of_on, REOPENED)
        if field == "amount_minor" and "amount" in fields:
            then, now = rows["amount_then"], rows["amount_now"]
        parts.append(_as_causes(rows[differs], key, owner[differs], named[differs], then[differs], now[differs]))
    return parts


def _by_outcome(then: pd.Series, now: pd.Series, closed_on: pd.Series, past: Book) -> pd.Series:
    """What happened to deals whose outcome is another now."""
    cause = pd.Series(OTHER, then.index, dtype="str")
    cause = cause.mask(then == "open", CLOSED).mask((then == "open") & (closed_on <= past.as_of_on), DATED_BACK)
    cause = cause.mask(then.isin(["won", "lost"]) & (closed_on > past.as_of_on), REOPENED)
    return cause.mask(now == "open", REOPENED).mask(now == "void", VOID)


def _gone(rows: pd.DataFrame, key: list[str], book: Book, past: Book) -> pd.DataFrame:
    """Records counted then and no longer: what became of them."""
    there, outcome, closed_on = _found(rows, key, book)
    was = rows.get("outcome_then", _nobody(rows))
    decided = was.isin(["won", "lost"]) & outcome.isin(["won", "lost"])
    cause = pd.Series(NO_MORE, rows.index, dtype="str")
    if "closed_on_then" in rows:
        moved = decided & ~(rows["closed_on_then"] == closed_on)
        cause = cause.mask(moved, DATE).mask(moved & (closed_on > past.as_of_on), REOPENED)
    cause = cause.mask(was.isin(["won", "lost"]) & (outcome == "open"), REOPENED)
    cause = cause.mask((outcome == "void") & (was != "void"), VOID).mask(~there, DELETED)
    return _as_causes(rows, key, rows.get("rep_id_then", _nobody(rows)), cause, was, outcome)


def _come(rows: pd.DataFrame, key: list[str], past: Book) -> pd.DataFrame:
    """Records counted only now: what they were then."""
    there, outcome, closed_on = _found(rows, key, past)
    is_ = rows.get("outcome_now", _nobody(rows))
    cause = pd.Series(SINCE, rows.index, dtype="str")
    if "closed_on_now" in rows:
        decided = is_.isin(["won", "lost"])
        closed = decided & (outcome == "open")
        cause = cause.mask(closed, CLOSED).mask(closed & (rows["closed_on_now"] <= past.as_of_on), DATED_BACK)
        cause = cause.mask(decided & outcome.isin(["won", "lost"]) & ~(rows["closed_on_now"] == closed_on), DATE)
    return _as_causes(rows, key, rows.get("rep_id_now", _nobody(rows)), cause.mask(~there, ENTERED), outcome, is_)


def _found(rows: pd.DataFrame, key: list[str], book: Book) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Whether a book has each record at all; and, of deals, the outcome and the day of the close it has for them."""
    if key[0] == "deal_id":
        deals = deals_of(book).drop_duplicates("deal_id").set_index("deal_id")
        there = rows["deal_id"].isin(deals.index)
        return (
            there,
            rows["deal_id"].map(deals["outcome"]).astype("str"),
            looked_up(rows["deal_id"], deals["closed_on"]),
        )
    own = next((t for n, t in book.tables.items() if n in TABLES and key[0] in TABLES[n].key), None)
    there = pd.Series(True, rows.index) if own is None else rows[key[0]].isin(own[key[0]])
    return there, _nobody(rows), pd.Series(pd.NaT, rows.index)


def _nobody(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(None, rows.index, dtype="str")


def _as_causes(
    rows: pd.DataFrame, key: list[str], owner: pd.Series, cause: str | pd.Series, then: pd.Series, now: pd.Series
) -> pd.DataFrame:
    made = rows[key].copy()
    made["rep_id"] = owner.astype("str")
    made["cause"] = cause
    made["cause"] = made["cause"].astype("str")
    made["then"], made["now"] = _written(then), _written(now)
    return made


def _written(values: pd.Series) -> pd.Series:
    """Days as 2026-09-30, everything else as text."""
    texts: pd.Series = values.dt.strftime("%Y-%m-%d") if values.dtype.kind == "M" else values.astype("str")
    return texts.where(values.notna()).astype("str")
