"""The deal book: frozen tables with an as-of instant, a process and their provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from salescoach.book.held import LOG, Tables
from salescoach.book.privacy import hide_colleagues, own_quarantine
from salescoach.book.replay import replay
from salescoach.book.splits import OTHER_REP, in_slice
from salescoach.book.texts import is_in
from salescoach.errors import Unavailable, UsageError, commas, listed, suggestion
from salescoach.process import Process, local_midnights, parse_day, process_to_dict

__all__ = ["OTHER_REP", "Book"]


@dataclass(frozen=True)
class Book:
    """Deal data as of one instant. Build it with `load_book` or `open_book`; nothing in it changes.

    tables      table name -> DataFrame (columns: `salescoach.book.TABLES`, plus the source's own)
    process     the sales process the stages belong to
    as_of       the last instant the data speaks of (UTC); open durations run to it
    currency    the currency sums are printed in where the deals name none
    origin      where the data came from: preset, files and their hashes
    quality     what the load found: counts of rows, repairs, notes
    quarantine  one row per rejected row: table, file, record, line, column, value, reason, hint, rep_id, raw, sha256
    precision   "table.column" -> "day" where the source has no time of day
    peers       aggregated tables about others, only in a rep's slice of a run
    """

    tables: Mapping[str, pd.DataFrame]
    process: Process
    as_of: pd.Timestamp
    currency: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    quarantine: pd.DataFrame = field(default_factory=pd.DataFrame)
    precision: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", Tables.ordered(self.tables))

    # --- tables -------------------------------------------------------------------------------

    def table(self, name: str) -> pd.DataFrame:
        """A copy-on-write view of one table. Raises Unavailable if the book has none of that name."""
        if name not in self.tables:
            raise Unavailable("the book has no table `{name}`", name=name)
        return self.tables[name].copy(deep=False)

    @property
    def log(self) -> pd.DataFrame:
        """The stage history as numbers, in the order of the deals and in time. Raises Unavailable if there is none.

        `_deal` (row of the deal in `deals`; -1: none), entered_at, stage and evidence (categories), and what else it
        has.
        """
        if LOG not in self.tables:
            raise Unavailable("the book has no table `{name}`", name=LOG)
        return self._held.log.copy(deep=False)

    def has(self, table: str, *columns: str) -> bool:
        """Whether the table is there and each of the columns holds at least one value."""
        return table in self.tables and all(self._held.holds(table, c) for c in columns)

    def rows(self, table: str) -> int:
        """How many rows a table of the book has."""
        return self._held.rows(table)

    @property
    def _held(self) -> Tables:
        return cast(Tables, self.tables)

    @property
    def deals(self) -> pd.DataFrame:
        return self.table("deals")

    @property
    def timezone(self) -> str:
        return self.process.calendar.timezone

    @property
    def as_of_on(self) -> pd.Timestamp:
        """The calendar day of `as_of` in the book's time zone, as a naive midnight."""
        return self.as_of.tz_convert(self.timezone).tz_localize(None).normalize()

    def local_days(self, instants: pd.Series) -> pd.Series:
        """Instants as calendar days (naive midnights) in the book's time zone."""
        days = local_midnights(instants.to_numpy("datetime64[us]").view(np.int64), self.timezone)
        return pd.Series(days, instants.index, name=instants.name, copy=False)

    def by_day_only(self, table: str, column: str) -> bool:
        """Whether the source gave this column without a time of day."""
        return self.precision.get(f"{table}.{column}") == "day"

    # --- people -------------------------------------------------------------------------------

    @cached_property
    def people(self) -> pd.DataFrame:
        """Everybody who is in `reps` or owns something: rep_id, rep (display name), team, manager, start_on, end_on.

        The last row of a rep's effective-dated rows counts. Two people of one name read `name (id)`.
        """
        columns = ["rep_id", "name", "team", "manager", "role", "start_on", "end_on"]
        if "reps" in self.tables:
            known = self.tables["reps"].reindex(columns=columns).drop_duplicates("rep_id", keep="last")
        else:
            known = pd.DataFrame({c: pd.Series(dtype="str") for c in columns})
        parts = [self.tables[n] for n in ("deals", "leads", "splits") if n in self.tables]
        owners = [part["rep_id"] for part in parts if "rep_id" in part]
        seen = pd.concat(owners).dropna().drop_duplicates() if owners else pd.Series(dtype="str")
        extra = pd.DataFrame({"rep_id": seen[~seen.isin([*known["rep_id"], OTHER_REP])]}).sort_values("rep_id")
        people = pd.concat([known, extra], ignore_index=True)
        texts = ["name", "team", "manager", "role"]
        people[texts] = people[texts].astype("str")  # a column that `reps` lacks holds blank texts, not numbers
        name = people["name"].fillna(people["rep_id"])
        shared = name.duplicated(keep=False) & (name != people["rep_id"])
        people["rep"] = name.where(~shared, name + " (" + people["rep_id"] + ")")
        return people[["rep_id", "rep", "team", "manager", "role", "start_on", "end_on"]]

    def find_rep(self, rep: str) -> str:
        """The rep_id for an id or a display name. Raises UsageError with the nearest name."""
        people = self.people
        if (people["rep_id"] == rep).any():
            return rep
        named = people.loc[people["rep"] == rep, "rep_id"]
        if len(named) == 1:
            return str(named.iloc[0])
        known = [*people["rep_id"], *people["rep"]]
        raise UsageError(
            "There is no rep {rep!r} in this book.{hint} Reps: {known}.",
            rep=rep,
            hint=suggestion(rep, known),
            known=listed(people["rep"]),
        )

    @property
    def teams(self) -> list[str]:
        return sorted(self.people["team"].dropna().unique())

    def find_team(self, team: str) -> str:
        if team in self.teams:
            return team
        raise UsageError(
            "There is no team {team!r} in this book.{hint} Teams: {teams}.",
            team=team,
            hint=suggestion(team, self.teams),
            teams=listed(self.teams),
        )

    # --- slices -------------------------------------------------------------------------------

    def for_rep(self, rep: str) -> Book:
        """What one rep owns, and nothing that names a colleague.

        Deals by current owner, with their history, quotes and shares; leads, activities, targets and leave of the rep;
        revenue of the accounts of these deals. Of a colleague's deal only the rep's own share, as `splits` tells.
        Another owner in a deal's history, and a colleague's name in any text, reads "(other)"; the rep's manager stays.
        """
        rep_id = self.find_rep(rep)
        return self._slice({rep_id}, hide_others=True)

    def for_reps(self, rep_ids: set[str]) -> Book:
        """What these people own, nothing hidden, everybody still known by name: for `for_rep` to cut again, no page.

        Of a book that is a thousand times as large as one person's part, it takes the place of the whole.
        """
        part = self._slice(rep_ids)
        part.__dict__["people"] = self.people
        return part

    def for_team(self, team: str) -> Book:
        """What the people of one team own, with the team's targets."""
        self.find_team(team)
        people = self.people
        return self._slice(set(people.loc[people["team"] == team, "rep_id"]), team=team)

    def without_reps(self, rep_ids: set[str]) -> Book:
        """Everything but what these people own; what belongs to nobody stays. The book itself if they are none."""
        if not rep_ids:
            return self
        return self._slice(set(self.people["rep_id"]) - rep_ids, unowned=True)

    def begun_since(self, since: pd.Series) -> Book:
        """Without the deals and leads that these people began before a day of their own, by rep_id, or on no known day.

        With a deal go its history, changes, quotes and activities.
        """

        def stays(frame: pd.DataFrame) -> pd.Series:
            day = frame["rep_id"].map(since)
            return day.isna() | (self.local_days(frame["created_at"]) >= day)

        deals = self.deals
        if since.empty or not {"rep_id", "created_at"} <= set(deals):
            return self
        stay = stays(deals)
        gone = deals.loc[~stay, "deal_id"]
        kept = {"deals": deals[stay]}
        for name, frame in self.tables.items():
            if name == "leads" and {"rep_id", "created_at"} <= set(frame):
                kept[name] = frame[stays(frame)]
            elif name not in ("deals", "leads") and "deal_id" in frame:
                kept[name] = frame[~is_in(frame["deal_id"], gone)]
            elif name != "deals":
                kept[name] = frame
        quality = {"rows": {n: {"used": len(f)} for n, f in kept.items()}, "quarantined": len(self.quarantine)}
        return replace(self, tables=kept, quality=quality, origin={"slice": True})

    def _slice(
        self, rep_ids: set[str], team: str | None = None, hide_others: bool = False, unowned: bool = False
    ) -> Book:
        deals = self.deals
        own = _owned(deals["rep_id"], rep_ids, unowned) if "rep_id" in deals else pd.Series(unowned, deals.index)
        deals = _kept(deals, own)
        kept: dict[str, pd.DataFrame] = {"deals": deals}
        for name in (n for n in self.tables if n != "deals"):
            if name == LOG:
                kept[name] = self._held.entries_of(own)
                continue
            frame = self.tables[name]
            if name in ("changes", "quotes"):
                rows = _kept(frame, is_in(frame["deal_id"], deals["deal_id"]))
            elif name == "splits":
                rows = in_slice(frame, self.tables["deals"], deals, rep_ids)
            elif name in ("targets", "forecast_calls"):
                none = pd.Series(unowned, frame.index)
                theirs = _owned(frame["rep_id"], rep_ids, unowned) if "rep_id" in frame else none
                if team is not None and "team" in frame:
                    theirs |= frame["rep_id"].isna() & (frame["team"] == team)
                rows = frame[theirs]
            elif name in ("accounts", "revenue"):
                ids = deals["account_id"] if "account_id" in deals else pd.Series(dtype="str")
                rows = frame[is_in(frame["account_id"], ids)]
            elif "rep_id" in frame:
                rows = _kept(frame, _owned(frame["rep_id"], rep_ids, unowned))
            else:
                rows = frame
            kept[name] = rows
        quarantine = own_quarantine(self.quarantine, rep_ids)
        if hide_others:
            kept, quarantine = hide_colleagues(kept, quarantine, self.people, rep_ids)
        quality = {"rows": {n: {"used": len(f)} for n, f in kept.items()}, "quarantined": len(quarantine)}
        return replace(self, tables=kept, quality=quality, quarantine=quarantine, origin={"slice": True})

    def at(self, on: str) -> Book:
        """The book as it would have been on a past day, replayed from the event log.

        Rows that came later are left out; stage, outcome and close are what the history said by then;
        owner, amount and expected close are wound back where `changes` recorded them. What the CRM keeps of the
        present only (probability, forecast category, reasons) is blank for deals that moved since.
        """
        day = pd.Timestamp(parse_day(on, "as-of"))
        if day > self.as_of_on:
            raise UsageError(
                "as-of {day} is later than the data, which end on {as_of_on}.",
                day=day.date(),
                as_of_on=self.as_of_on.date(),
            )
        end = (day + pd.Timedelta(days=1)).tz_localize(self.timezone).tz_convert("UTC") - pd.Timedelta("1us")
        return replace(self, tables=replay(self.tables, self.process, end), as_of=end)

    # --- identity -----------------------------------------------------------------------------

    @cached_property
    def content_hash(self) -> str:
        """Hash of tables, process, as_of and currency: the same for equal input in any file format."""
        digest = hashlib.sha256()
        settings = {
            "as_of": self.as_of.isoformat(),
            "currency": self.currency,
            "process": process_to_dict(self.process),
        }
        digest.update(json.dumps(settings, sort_keys=True, ensure_ascii=False, default=str).encode())
        for name in sorted(self.tables):
            frame = self.tables[name]
            digest.update(f"{name}:{len(frame)}".encode())
            for column in sorted(frame.columns):
                digest.update(f"{column}:{frame[column].dtype}".encode())
                digest.update(pd.util.hash_pandas_object(frame[column], index=False).to_numpy().tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        rows = commas(f"{self.rows(n):,} {n}" for n in self.tables)
        return f"Book(as of {self.as_of_on.date()}: {rows})"


def _kept(frame: pd.DataFrame, rows: pd.Series) -> pd.DataFrame:
    """The marked rows; nothing is copied where they are all."""
    return frame.copy(deep=False) if bool(rows.all()) else frame[rows]


def _owned(owner: pd.Series, rep_ids: set[str], unowned: bool) -> pd.Series:
    """Which rows belong to these people, or to nobody if that is asked for."""
    own = is_in(owner, rep_ids)
    return own | owner.isna() if unowned else own
