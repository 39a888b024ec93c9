"""Whom to praise and whom to help, where like-for-like evidence supports it, and what help the stage calls for."""

from __future__ import annotations

from collections.abc import Iterator
from math import erfc, sqrt
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.compare import ENOUGH, FALSE_DISCOVERY, discoveries, mix_of
from salescoach.metrics.flow import ended_passages
from salescoach.metrics.groups import NONE
from salescoach.metrics.leads import answered_leads, response_limit
from salescoach.metrics.outcomes import decided_deals, need_losses
from salescoach.metrics.visits import owner_changes
from salescoach.process import Period
from salescoach.wording import N_

NOBODY_TO_HELP = N_(
    "Like for like nobody does clearly worse than the others: the data single out nobody who needs help more than the "
    "rest."
)
NOBODY_TO_PRAISE = N_(
    "Like for like nobody does clearly better than the others: the data single out nobody for praise, which is not to "
    "say that nobody deserves it."
)

SPREAD = 3.0  # Σ p (1 - p): below it the normal approximation finds too much
REPS_NEEDED = 3
LEAD_MIX = ("lead_source", "segment")
COLUMNS = ["rep_id", "rep", "measure", "pipeline", "stage", "n", "reached", "expected", "value", "usual", "z", "p"]
COLUMNS += ["signal"]


def like_for_like_everywhere(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Each rep's results beside what is expected from the rep's own mix, for everything that can be compared.

    measure is "win_rate" (won of the decided deals), "stage_flow" (went on, of the deals whose passage through the
    stage ended) or "response_time" (answered within the process's limit, of the leads older than it). Expected: every
    unit counts with the share of its cell over all reps; a cell is segment and deal type (and stage), of leads source
    and segment. Deals that changed hands are left out: they are not one person's work.

    z = (|reached - expected| - ½, at least 0, with its sign) / sqrt(Σ p (1 - p)); p is two-sided. Discoveries are by
    Benjamini-Hochberg over all reps and measures at a false-discovery rate of 10 %.

    Returns rep_id, rep, measure, pipeline and stage (null but for stages), n, reached, expected, value (reached / n),
    usual (expected / n), z, p, signal: above, below, none, or few (under 10 units, or too little variation). Raises
    Unavailable where fewer than three reps can be compared with each other.
    """
    parts = [_compared(*part) for part in _measures(book, period)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*COLUMNS, "spread"])
    people = book.people.set_index("rep_id")
    table = table[table["rep_id"].isin(people.index)].reset_index(drop=True)
    judged = (table["n"] >= ENOUGH) & (table["spread"] >= SPREAD)
    if table.loc[judged, "rep_id"].nunique() < REPS_NEEDED:
        raise Unavailable(
            "fewer than {n} reps have enough decided deals or leads to be compared like for like", n=REPS_NEEDED
        )
    found = np.zeros(len(table), bool)
    found[judged.to_numpy()] = discoveries(table.loc[judged, "p"].to_numpy(float), FALSE_DISCOVERY)
    names = np.select([~judged, found & (table["z"] > 0), found], ["few", "above", "below"], "none")
    table["signal"] = pd.Series(names, table.index, dtype="str")
    table["rep"] = table["rep_id"].map(people["rep"]).astype("str")
    table["value"], table["usual"] = table["reached"] / table["n"], table["expected"] / table["n"]
    order = ["rep", "rep_id", "measure", "pipeline", "place"]
    return table.sort_values(order, kind="stable", ignore_index=True)[COLUMNS]


def _measures(book: Book, period: str | Period | None) -> Iterator[tuple[str, pd.DataFrame, list[str]]]:
    """(measure, units with rep_id and reached, the columns of a cell) of each measure that the book can answer."""
    moved = owner_changes(book)
    handed = moved.loc[moved["old"].notna(), "deal"]
    for measure, ask in (("win_rate", _decisions), ("stage_flow", _passages), ("response_time", _answers)):
        try:
            units, cells = ask(book, period)
        except Unavailable:
            continue
        if "deal" in units:
            units = units[~units["deal"].isin(handed)]
        yield measure, units, cells


def _decisions(book: Book, period: str | Period | None) -> tuple[pd.DataFrame, list[str]]:
    need_losses(book)
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"].isin(["won", "lost"])]
    return deals.assign(deal=deals.index, reached=deals["outcome"] == "won"), list(mix_of(book))


def _passages(book: Book, period: str | Period | None) -> tuple[pd.DataFrame, list[str]]:
    rows = ended_passages(book, period)
    return rows.assign(reached=rows["went_on"]), ["pipeline", "stage", *mix_of(book)]


def _answers(book: Book, period: str | Period | None) -> tuple[pd.DataFrame, list[str]]:
    if response_limit(book) is None:
        raise Unavailable("the process sets no limit for the first answer to a lead")
    leads = answered_leads(book, period)
    return leads[leads["due"]].assign(reached=leads["within"]), [c for c in LEAD_MIX if book.has("leads", c)]


def _compared(measure: str, units: pd.DataFrame, cells: list[str]) -> pd.DataFrame:
    """Per rep (and stage): n, reached, expected, spread, z, p."""
    units = units[units["rep_id"].notna()].copy()
    units["reached"] = units["reached"].astype("float64")
    apart = [c for c in ("pipeline", "stage", "order") if measure == "stage_flow"]
    units[cells] = units[cells].astype("str").fillna(NONE)
    whole = pd.Series(units["reached"].mean(), units.index)
    usual = units.groupby(cells)["reached"].transform("mean") if cells else whole
    units["expected"], units["spread"] = usual, usual * (1 - usual)
    sums = {"n": ("reached", "size"), **{c: (c, "sum") for c in ("reached", "expected", "spread")}}
    table = units.groupby(["rep_id", *apart], as_index=False).agg(**sums)
    off = table["reached"] - table["expected"]
    size = (off.abs() - 0.5).clip(lower=0) * np.sign(off)
    table["z"] = (size / np.sqrt(table["spread"].where(table["spread"] > 0))).astype("float64")
    table["p"] = two_sided(table["z"].to_numpy())
    if not apart:
        table["pipeline"] = table["stage"] = pd.Series(None, table.index, dtype="str")
    table["place"] = table["order"] if apart else -1
    table["measure"] = pd.Series(measure, table.index, dtype="str")
    return table


def two_sided(z: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """How likely a standard normal value is at least as far from 0 as each z."""
    return [erfc(abs(value) / sqrt(2)) if np.isfinite(value) else np.nan for value in z]


def help_list(book: Book, period: str | Period | None = None, language: str = "en") -> pd.DataFrame:
    """Who does clearly worse than the others like for like, with what their stage calls for.

    The columns of `like_for_like_everywhere`, strongest evidence first, without people who have left; and losses (deals
    lost, in that stage or in all), reason (most frequent recorded reason of these losses; null: none recorded),
    reason_n (how many name it) and coach (what the process file says about the stage, for answers about the stage that
    sets their limit; null: nothing). Empty where the evidence supports nobody; `NOBODY_TO_HELP` says so.
    """
    table = _signalled(book, period, "below")
    lost = {measure: _losses(book, period, measure) for measure in table["measure"].unique()}
    parts = [_lost_by(lost[row["measure"]], row) for row in table.to_dict("records")]
    found = pd.DataFrame(parts, columns=["losses", "reason", "reason_n"], index=table.index)
    table[["losses", "reason_n"]] = found[["losses", "reason_n"]].astype("int64")
    table["reason"] = found["reason"].astype("str")
    places = [_place(book, row) for row in table.to_dict("records")]
    hints = [None if place is None else coach_hint(book, *place, language) for place in places]
    table["coach"] = pd.Series(hints, table.index, dtype="str")
    return table


def praise_list(book: Book, period: str | Period | None = None) -> pd.DataFrame:
    """Who does clearly better than the others like for like: the columns of `like_for_like_everywhere`, strongest
    evidence first, without people who have left. Empty where the evidence supports nobody; `NOBODY_TO_PRAISE` says so.
    """
    return _signalled(book, period, "above")


def _signalled(book: Book, period: str | Period | None, signal: str) -> pd.DataFrame:
    table = like_for_like_everywhere(book, period)
    people = book.people
    gone = people.loc[people["end_on"].notna() & (pd.to_datetime(people["end_on"]) < book.as_of_on), "rep_id"]
    table = table[(table["signal"] == signal) & ~table["rep_id"].isin(gone)]
    return table.sort_values(["p", "rep", "measure"], kind="stable", ignore_index=True)


def _losses(book: Book, period: str | Period | None, measure: str) -> pd.DataFrame | None:
    """The losses that a measure is about: passages that ended in one, or lost deals; None where it knows none."""
    if measure == "response_time":
        return None
    if measure == "stage_flow":
        rows = ended_passages(book, period)
        return rows[rows["fate"] == "lost"]
    deals = decided_deals(book, period)
    return deals[deals["outcome"] == "lost"]


def _lost_by(losses: pd.DataFrame | None, row: dict[Any, Any]) -> tuple[int, str | None, int]:
    """How many deals the rep lost (in the stage), and the most frequent reason recorded for them."""
    if losses is None:
        return 0, None, 0
    here = losses["rep_id"] == row["rep_id"]
    if row["measure"] == "stage_flow":
        here &= (losses["pipeline"] == row["pipeline"]) & (losses["stage"] == row["stage"])
    lost = losses[here]
    reasons = lost["lost_reason"].dropna().value_counts() if "lost_reason" in lost else pd.Series(dtype="int64")
    if reasons.empty:
        return len(lost), None, 0
    most = sorted(reasons[reasons == reasons.max()].index)[0]
    return len(lost), str(most), int(reasons.max())


def _place(book: Book, row: dict[Any, Any]) -> tuple[str, str] | None:
    """The stage that a result is about; None for results of all stages."""
    if row["measure"] == "stage_flow":
        return row["pipeline"], row["stage"]
    if row["measure"] == "response_time":
        lines = book.process.pipelines.items()
        return next((k, s.key) for k, line in lines for s in line.working if s.first_response_hours is not None)
    return None


def coach_hint(book: Book, pipeline: str, stage: str, language: str = "en") -> str | None:
    """What the process file says to the manager when deals get stuck or lost in the stage; None: nothing."""
    coach = book.process.pipeline(pipeline).stage(stage).coach
    return None if coach is None else coach.in_language(language)
