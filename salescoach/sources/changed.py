"""The tables of a database, read only where they changed since the load before.

deals                   rows whose `updated_at` is not a day older than the latest one seen, or is null, take the place
                        of the cached rows of the same deals
stage_history, changes  the rows of these deals, all of them, take the place of the cached ones
other tables            whole

A stage change touches a deal's `updated_at` in every CRM we know; a source whose logs grow without that cannot be read
this way. It is noticed where it shows: `deal_id` and `updated_at` of every deal, and the number of rows of every log,
must be those of the cache after the change, or the table is read whole. So are backdated rows, a database that was put
back to an older state, and updates that came later than the margin.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from salescoach.errors import UsageError
from salescoach.sources.cache import KEPT, Cache
from salescoach.sources.database import Asked, Database, Reading, Selection
from salescoach.sources.read import RawTable

MARGIN = pd.Timedelta(days=1)  # stamps by the day, clocks that differ, changes that were under way during a load
PLACES = ("host", "hostaddr", "port", "dbname", "database", "service", "server", "schema")


def renewed(database: Database, selection: Selection, cache: Cache) -> tuple[dict[str, RawTable], list[str]]:
    """As `Database.read`, from the cache where that holds."""
    with database.open() as engine:
        return Renewal(database.source, database.name, engine, selection, cache=cache).tables()


@dataclass
class Renewal(Reading):
    """One reading that starts from a cache. `Cache.save` keeps it for the next.

    changed   the ids of the deals that are read, as a statement; None where all are
    replaced  the ids of cached deals that are read anew, or gone
    """

    cache: Cache = field(kw_only=True)
    changed: Any = None
    replaced: frozenset[str] = frozenset()

    def tables(self) -> tuple[dict[str, RawTable], list[str]]:
        self.cache.open(self._fingerprint())
        return super().tables()

    def _fingerprint(self) -> str:
        """What is asked of which database, as a hash. Raises UsageError where a connection does not tell its database.

        Of the address, only parts go in that are no credential.
        """
        place = _place(self.engine.address.url) if self.engine.address is not None else None
        if place is None:
            raise UsageError(
                "`cache` must know which database it is of, and this connection does not say. Name the database in "
                "the source file, or give an SQLAlchemy engine of a database that is not in memory."
            )
        tables = {n: t.model_dump(mode="json") for n, t in self.source.tables.items()}
        chosen = [sorted(self.selection.reps), str(self.selection.until), self.selection.timezone]
        asked = [self.source.origin, type(self.engine).__name__, place, tables, chosen]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _rows(self, asked: Asked) -> pd.DataFrame:
        if asked.name not in KEPT:
            return super()._rows(asked)
        rows, told = self._deals(asked) if asked.name == "deals" else self._log(asked)
        self.cache.keep(asked.name, rows, told)
        return rows

    # --- deals --------------------------------------------------------------------------------

    def _deals(self, asked: Asked) -> tuple[pd.DataFrame, str]:
        why, rows, told = self._changed_deals(asked)
        if rows is None:
            self.changed = None
            rows, told = super()._rows(asked), f"whole, because {why}"
        if {"deal_id", "updated_at"} <= set(asked.headers):
            stamps = self._instants("deals", asked.table, "updated_at", rows[asked.headers["updated_at"]])
            latest = stamps.max()
            self.cache.newest = None if pd.isna(latest) else min(latest, self.cache.now)
        return rows, told

    def _changed_deals(self, asked: Asked) -> tuple[str, pd.DataFrame | None, str]:
        """Why they must be read whole, or the deals of the cache with what changed in them, and how much that was."""
        if not {"deal_id", "updated_at"} <= set(asked.headers):
            return "deals has no column for `updated_at`", None, ""
        if self.cache.problem or self.cache.seen is None:
            return self.cache.problem, None, ""
        cached = self.cache.rows("deals", asked.wanted)
        if cached is None:
            return "the cache holds other columns", None, ""
        key, stamp = asked.headers["deal_id"], asked.headers["updated_at"]
        since = self.cache.seen - MARGIN
        condition = self._stamped(asked.table, "updated_at", asked.rows, stamp, since, before=False)
        there = self._frame(asked.select([key, stamp]), [key, stamp], "deals")
        gone = set(cached[key]) - set(there[key])
        self.cache.vanished = self._not_there(asked, gone)
        if condition is None:
            return f"the database cannot compare its column {stamp!r} with a day", None, ""
        fresh = self._frame(asked.select(asked.wanted).where(condition), asked.wanted, "deals")
        replaced = {*gone, *fresh[key]}
        rows = pd.concat([cached[~cached[key].isin(replaced)], fresh], ignore_index=True)
        unlike = _pairs(rows, key, stamp) ^ _pairs(there, key, stamp)
        if unlike:
            n = len({k for (k, _), _ in unlike})
            return f"deals came, went or changed with an older `updated_at` ({n:,})", None, ""
        self.changed = asked.select([key]).where(condition)
        self.replaced = frozenset(v.strip() for v in replaced)
        return "", rows, f"{len(fresh):,} rows changed since {since.tz_convert(self.selection.timezone).date()}"

    def _not_there(self, asked: Asked, gone: set[str]) -> list[str]:
        """Those of the ids that no row has; a deal that went to a rep who was not asked for is still there."""
        if gone and asked.conditions:
            key = asked.headers["deal_id"]
            gone = gone - set(self._frame(asked.select([key], everything=True), [key], "deals")[key])
        return sorted({v.strip() for v in gone} - {""})

    # --- logs ---------------------------------------------------------------------------------

    def _log(self, asked: Asked) -> tuple[pd.DataFrame, str]:
        cached = self.cache.rows(asked.name, asked.wanted)
        why = "deals are" if self.changed is None else "the cache does not hold it" if cached is None else ""
        why = why or self._incomparable(asked)
        if not why and cached is not None:
            key = asked.headers["deal_id"]
            fresh = self._frame(
                asked.select(asked.wanted).where(asked.rows.c[key].in_(self.changed)), asked.wanted, asked.name
            )
            replaced = self.replaced | set(fresh[key].str.strip())
            rows = pd.concat([cached[~cached[key].str.strip().isin(replaced)], fresh], ignore_index=True)
            if len(rows) == int(self._frame(asked.count(), ["n"], asked.name)["n"].iloc[0]):
                return rows, f"{len(fresh):,} rows of deals that changed"
            why = "rows came or went without a change of their deals"
        return super()._rows(asked), f"whole, because {why}"

    def _incomparable(self, asked: Asked) -> str:
        """Why the ids of a log cannot be looked up among those of the deals: some databases refuse text and number."""
        if "deal_id" not in asked.headers:
            return "it has no column for `deal_id`"
        of_log, of_deals = (self._sample(a.rows, a.headers["deal_id"]) for a in (asked, self.asked["deals"]))
        if of_log is None:
            return "it has no rows"
        return "" if type(of_log) is type(of_deals) else "its deal_id is of another kind than that of the deals"


def _pairs(rows: pd.DataFrame, key: str, stamp: str) -> set[tuple[tuple[str, str], int]]:
    """Each id with its `updated_at`, and how many rows have the two."""
    return {(pair, n) for pair, n in Counter(zip(rows[key], rows[stamp], strict=True)).items()}


def _place(url: Any) -> str | None:
    """Which database a URL is of, without credentials; None where that cannot be told."""
    if url.get_backend_name() in ("sqlite", "duckdb"):
        file = str(url.database or "")
        here = file not in ("", ":memory:") and not file.startswith("file:")
        return f"{url.drivername}:{Path(file).resolve()}" if here else None
    named = {k: url.query[k] for k in PLACES if k in url.query}
    parts = [url.host, url.port, url.database, named]
    return json.dumps([url.drivername, url.username, *parts], sort_keys=True) if any(parts) else None
