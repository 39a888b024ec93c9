"""The typical path: how long won deals stay in each stage, how often they are contacted, where they get a quote."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.contacts import contacts, knows_contacts
from salescoach.metrics.counts import add_up, count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.flow import need_stages, timed_passages
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.peers import shown_figure
from salescoach.metrics.timeline import days_within, knows_quotes, quote_days
from salescoach.metrics.times import medians
from salescoach.process import Period

Of = Literal["won", "lost"]
PLACE = ["pipeline", "stage", "order"]
SEVERAL = 2  # contacts in a stage
PATH = [*PLACE, "n", "value", "low", "high", "contacts", "several", "several_low", "several_high"]
PATH += ["quoted", "quoted_low", "quoted_high"]
OF_THE_OTHERS = {"path_days": "value", "path_contacts": "contacts", "path_several": "several", "path_quoted": "quoted"}


def typical_path(book: Book, period: str | Period | None = None, of: Of = "won") -> pd.DataFrame:
    """The path of the deals won (or lost) in the period: one row per pipeline and stage with a stay, in order.

    n                         deals with a stay in the stage whose both ends were observed
    value, low, high          median days from the first entry to the first deeper one or the close (Kaplan-Meier with
                              Brookmeyer-Crowley; all these deals are decided, so nobody waits)
    contacts                  per deal, between these two days; null where contacts are not recorded
    several, …_low, …_high    share with at least two of them (95 % Wilson)
    quoted, …_low, …_high     share whose first quote fell between these two days (95 % Wilson)

    Raises Unavailable where the stages of lost deals are unknown or nothing was decided.
    """
    rows = _path_rows(book, period, of)
    keys = PLACE
    counts = count_table(rows, [*keys, "age", "ended"])
    table = add_up(counts.drop(columns=["age", "ended"]), keys)
    table = table.merge(medians(counts, keys)[[*keys, "value", "low", "high"]], on=keys, validate="1:1")
    table = table.merge(_shares(book, rows, keys), on=keys, validate="1:1")
    return table.sort_values(["pipeline", "order"], kind="stable", ignore_index=True)[PATH]


def path_of_others(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """The typical path of won deals as every rep of a run may see it: the same for all readers.

    Behind each figure stand at least six reps, behind median days nine, none of whom holds more than half of the deals;
    shares are rounded to 5 points, days and contacts to the steps of times, counts are left out (`peer_table`).

    Returns metric (path_days: median days; path_contacts: contacts per deal; path_several, path_quoted: shares),
    pipeline, stage, value (null where hidden or unknown), reps, hidden. Without rows where there is nothing to tell.
    """
    columns = ["metric", "pipeline", "stage", "value", "reps", "hidden"]
    kinds = {"metric": "str", "pipeline": "str", "stage": "str", "value": "float64", "reps": "int64", "hidden": "bool"}
    try:
        table, rows = typical_path(book, period), _path_rows(book, period, "won")
    except Unavailable:
        return pd.DataFrame(columns=columns).astype(kinds)
    owned = rows[rows["rep_id"].notna()]
    found: list[dict[str, Any]] = []
    for place in table.to_dict("records"):
        here = owned[(owned["pipeline"] == place["pipeline"]) & (owned["stage"] == place["stage"])]
        n = here.groupby("rep_id").size()
        for name, column in OF_THE_OTHERS.items():
            share, median = column in ("several", "quoted"), column == "value"
            row = shown_figure(name, place["stage"], float(place[column]), n, share, median)
            found.append({**row, "pipeline": place["pipeline"]})
    return pd.DataFrame(found, columns=columns).astype(kinds)


def _path_rows(book: Book, period: str | Period | None, of: str) -> pd.DataFrame:
    """The timed passages of the deals decided so, with the owner at the close."""
    if of not in get_args(Of):
        raise UsageError(
            "of={of!r} is unknown.{hint} Deals: {known}.",
            of=of,
            hint=suggestion(of, get_args(Of)),
            known=commas(get_args(Of)),
        )
    need_stages(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"] == of]
    rows = timed_passages(book)
    rows = rows[rows["deal"].isin(deals.index)].reset_index(drop=True)
    if rows.empty:
        raise Unavailable("no deal with known times in its stages was decided so in the period")
    rows["rep_id"] = deals["rep_id"].reindex(rows["deal"]).to_numpy()
    return rows


def _shares(book: Book, rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Contacts and quotes per stage; null where the data record none."""
    said = contacts(book)
    number = _in_stages(pd.DataFrame({"deal": said["deal"], "on": book.local_days(said["at"])}), rows)
    quotes = _in_stages(quote_days(book).drop_duplicates("deal"), rows)
    sums = {"touches": number, "several": number >= SEVERAL, "quoted": quotes}
    table = count_table(rows, keys, sums=sums)
    told = {"several": knows_contacts(book), "quoted": knows_quotes(book)}
    table["contacts"] = table["touches"] / table["n"] if told["several"] else np.nan
    for name, known in told.items():
        ends = wilson(table[name], table["n"])
        for column, values in zip((name, f"{name}_low", f"{name}_high"), ends, strict=True):
            table[column] = values if known else np.nan
    return table.drop(columns=["n", "touches"])


def _in_stages(each: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """How many of these days (deal, on) each passage had, from its first day on; that of a change is the next one's."""
    closing = (rows["fate"] == "lost") | (rows["order"] == rows.groupby("deal")["order"].transform("max"))
    windows = rows[["deal", "order"]].assign(**{"from": rows["entered_on"]})
    windows["until"] = rows["ended_on"].where(closing, rows["ended_on"] - pd.Timedelta(days=1))
    number = days_within(each, windows)["window"].value_counts()
    return number.reindex(rows.index).fillna(0).astype("int64")
