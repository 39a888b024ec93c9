"""What one rep's slice may not show: colleagues, under any name, in any table."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from salescoach.book.splits import OTHER_REP
from salescoach.book.tables import TABLES
from salescoach.book.texts import is_in

OWNER_COLUMNS = (("stage_history", "rep_id"), ("accounts", "rep_id"), ("quotes", "rep_id"))
KEPT = ("pipeline", "currency", "team", "manager", "metric", "field")  # texts that rows are grouped or matched by
QUARANTINE_TEXTS = ("value", "raw")


def hide_colleagues(
    tables: dict[str, pd.DataFrame], quarantine: pd.DataFrame, people: pd.DataFrame, rep_ids: set[str]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The same tables and quarantine, in which every other rep's id and name reads "(other)"."""
    hidden = dict(tables)
    for name, column in OWNER_COLUMNS:
        if name in hidden and column in hidden[name]:
            owner = hidden[name][column]
            hidden[name] = hidden[name].assign(**{column: owner.where(owner.isin(rep_ids) | owner.isna(), OTHER_REP)})
    if "changes" in hidden:
        hidden["changes"] = _hide_past_owners(hidden["changes"], rep_ids)
    if "revenue" in hidden and "deal_id" in hidden["revenue"]:
        revenue = hidden["revenue"]
        hidden["revenue"] = revenue.assign(
            deal_id=revenue["deal_id"].where(is_in(revenue["deal_id"], hidden["deals"]["deal_id"]))
        )
    names = colleagues(people, rep_ids)
    for name, frame in hidden.items():
        texts = [c for c in frame.columns if frame[c].dtype == "str" and _is_free_text(name, c)]
        hidden[name] = _without_names(frame, texts, names)
    return hidden, _without_names(quarantine, [c for c in QUARANTINE_TEXTS if c in quarantine], names)


def colleagues(people: pd.DataFrame, rep_ids: set[str]) -> list[str]:
    """Names and ids of the others, longest first; not what the rep and the rep's managers are called.

    An id of digits only is left out: it would hit any number in a text, and says nothing without its table.
    """
    own = people["rep_id"].isin(rep_ids)
    name = pd.Series([r.removesuffix(f" ({i})") for r, i in zip(people["rep"], people["rep_id"], strict=True)])
    shown = {*people["rep_id"][own], *name[own], *people["manager"][own].dropna()}
    names = {*people["rep_id"][~own], *name[~own]} - shown
    return sorted((n for n in names if not n.isdigit() and len(n) > 1), key=lambda n: (-len(n), n))


def own_quarantine(quarantine: pd.DataFrame, rep_ids: set[str]) -> pd.DataFrame:
    """The quarantined rows that name one of these reps as their owner."""
    if quarantine.empty or "rep_id" not in quarantine:
        return quarantine.iloc[:0]
    own = quarantine[quarantine["rep_id"].isin(rep_ids)].reset_index(drop=True)
    return own.drop(columns="sha256", errors="ignore")  # of the whole file: it would change with a colleague's row


def _hide_past_owners(changes: pd.DataFrame, rep_ids: set[str]) -> pd.DataFrame:
    of_owner = changes["field"] == "rep_id"
    for column in ("old", "new"):
        if column in changes:
            value = changes[column]
            foreign = of_owner & value.notna() & ~value.isin(rep_ids)
            changes = changes.assign(**{column: value.mask(foreign, OTHER_REP)})
    return changes


def _is_free_text(table: str, column: str) -> bool:
    role = TABLES[table].columns.get(column, "text") if table in TABLES else "text"
    return role == "text" and column not in KEPT and column != "stage_raw"


def _without_names(frame: pd.DataFrame, columns: Iterable[str], names: list[str]) -> pd.DataFrame:
    replaced: dict[str, pd.Series] = {}
    for column in columns:
        words = "\n".join(frame[column].dropna().unique())
        found = [n for n in names if n in words]
        if found:
            pattern = re.compile("|".join(_as_word(n) for n in found))
            replaced[column] = frame[column].str.replace(pattern, OTHER_REP, regex=True)
    return frame.assign(**replaced) if replaced else frame


def _as_word(name: str) -> str:
    """Names in Latin letters count as whole words; Chinese is written without blanks."""
    before = r"(?<!\w)" if name[0].isascii() else ""
    after = r"(?!\w)" if name[-1].isascii() else ""
    return before + re.escape(name) + after
