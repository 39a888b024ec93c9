"""Did coaching help: what the coached did against what was expected of them, and what could have been seen at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas
from salescoach.metrics.compare import ENOUGH, FALSE_DISCOVERY
from salescoach.metrics.groups import name_reps
from salescoach.metrics.leading import RESULT, Yardstick, yardsticks
from salescoach.metrics.registry import as_period, is_everything
from salescoach.models.coaching_change import FEWEST_OTHERS, NEVER, Comparison, Records, Windows
from salescoach.models.coaching_power import can_be_seen
from salescoach.models.fit import Advice, Fit
from salescoach.process import Period
from salescoach.wording import N_

PLACE = ["measure", "pipeline", "stage"]
SHARES = ["observed", "expected", "trend", "change", "low", "high"]
COLUMNS = [
    *PLACE,
    "aimed",
    "reps",
    "n",
    *SHARES,
    "p",
    "q",
    "smallest",
    "verdict",
    "second",
    "second_low",
    "second_high",
]
CHOICE = ["earlier", "before", "after", "others_before", "worst_before", "worst_after", "n", "worst_n", "were_worst"]
GROUPS = [*PLACE, "group", "reps", "n", *SHARES, "p", "smallest", "verdict"]
PEOPLE = [*PLACE, "rep_id", "rep", "on", "n", "observed", "expected", "expected_low", "expected_high"]
PEOPLE += ["change", "low", "high", "smallest"]
STRANGERS = N_("{n} sessions are of people whom the data do not know; they are left out.")
NOT_JUDGED = N_(
    "{n} of the coached cannot be judged by the win rate: they had fewer than {enough} decided deals of their own "
    "before, or none since."
)
RUNNING = N_("{n} sessions are too recent: what comes within {days} days of them does not count yet.")


@dataclass(frozen=True)
class CoachingImpact(Fit):
    """What was observed after coaching against what was expected. All shares; differences are in points.

    table    one row per yardstick, the win rate first: measure, pipeline, stage, aimed (sessions were about this
             stage), reps, n, observed, expected, trend, change, low, high (95 %), p (by lot), q (Benjamini-Hochberg
             over the stages aimed at, and over the other leading yardsticks), smallest (rise that could have been
             seen), verdict, second, second_low, second_high (difference in differences without the months of selection)
    people   one row per yardstick and coached rep, in the order of names: rep_id, rep, on (first session), n, observed,
             expected, expected_low, expected_high (where observed lies by chance), change, low, high, smallest
    groups   one row per yardstick and kind of session, where `by` was given: group and columns as in table
    choice   one row per yardstick: measure, pipeline, stage, earlier, before, after (the coached: in the year up to the
             period from which they were chosen, in it, and after the coaching), others_before, worst_before,
             worst_after (those of the uncoached who did worst then), n, worst_n, were_worst
    windows  which days count

    verdict is "better" or "worse" where the change is beyond chance, of all yardsticks but the win rate at a
    false-discovery rate of 10 %; "none" where it is not; "unknowable" where only a change so large could be seen as
    hardly ever happens.
    """

    people: pd.DataFrame = None  # type: ignore[assignment]
    groups: pd.DataFrame = None  # type: ignore[assignment]
    choice: pd.DataFrame = None  # type: ignore[assignment]
    windows: Windows = field(default_factory=Windows)


def coaching_impact(
    book: Book,
    sessions: pd.DataFrame,
    period: str | Period | None = None,
    by: str | None = None,
    windows: Windows | None = None,
) -> CoachingImpact:
    """What the coached did after their first session, against their own history and the trend of who was not coached.

    Expected of a rep: the share in the year before the session, drawn towards that of all reps as far as its number
    calls for (`shrink_rates`), plus the trend: by how much reps not coached yet did better, month by month, than the
    same was expected of them. So neither a bad quarter that passes by itself nor a good season counts as an effect. The
    interval holds the chance in all these records, what reps of equal history still differ, and how far the uncoached
    departed from what was expected. p is by lot: how often a change so large comes out if whom to coach is drawn among
    the same reps. The second opinion is a difference in differences on raw shares without the quarter before the
    session, from which the coached may have been chosen.

    sessions   rep_id, on (a day); of each rep the first session counts. Where there is a column stage (a stage's key,
               or null), the share that goes on from it is a yardstick said beforehand, of the reps coached on it
    period     only reps whose first session lies in it are judged; nothing: all
    by         a column of sessions by which the coached are also shown in groups
    windows    which days count

    Raises Unavailable where nobody was coached, nobody coached can be judged, or fewer than three reps are left to be
    held against.
    """
    windows = windows or Windows()
    if missing := [c for c in ["rep_id", "on", *([by] if by else [])] if c not in sessions]:
        raise UsageError(
            "The table of sessions has no column {missing!r}; it has {columns}.",
            missing=missing[0],
            columns=commas(sessions.columns),
        )
    first, strangers = _first_sessions(book, sessions)
    chosen = first[_held_in(book, period, first["on"])]
    if chosen.empty:
        raise Unavailable("no coaching session of these people is recorded in the period")
    found = [_judged(book, yardstick, units, first, chosen, by, windows) for yardstick, units in yardsticks(book)]
    judged = [one for one in found if one is not None]
    if not judged:
        raise _nobody(book, first, chosen, windows)
    table = pd.DataFrame([one.row for one in judged])
    table["q"] = _q(table)
    table["verdict"] = _verdicts(table)
    people = pd.concat([one.people for one in judged], ignore_index=True)
    people = name_reps(book, people).sort_values(["order", "rep", "rep_id"], kind="stable", ignore_index=True)
    groups = pd.DataFrame([row for one in judged for row in one.groups], columns=[*GROUPS[:-1], "clear"])
    groups["verdict"] = _verdicts(groups)
    won = table[table["measure"] == RESULT]
    return CoachingImpact(
        table[COLUMNS].reset_index(drop=True),
        int(won["n"].sum()),
        tuple(_advice(book, first, chosen, strangers, won, windows)),
        people[PEOPLE],
        groups[GROUPS],
        pd.DataFrame([one.choice for one in judged if one.choice], columns=[*PLACE, *CHOICE]),
        windows,
    )


def _first_sessions(book: Book, sessions: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Each known rep's first session, and how many sessions are of strangers."""
    known = sessions["rep_id"].isin(book.people["rep_id"])
    own = sessions[known & sessions["on"].notna()]
    on = pd.to_datetime(own["on"]).dt.normalize().astype("datetime64[us]")
    own = own.assign(on=on).sort_values(["rep_id", "on"], kind="stable")
    own = own[own["on"] <= book.as_of_on]
    return own.drop_duplicates("rep_id").reset_index(drop=True), int((~known).sum())


def _held_in(book: Book, period: str | Period | None, days: pd.Series) -> pd.Series:
    span = as_period(book, period)
    if is_everything(book, span):
        return pd.Series(True, days.index)
    begun = pd.Series(True, days.index) if span.start_on is None else days >= pd.Timestamp(span.start_on)
    return begun & (days <= pd.Timestamp(span.end_on))


@dataclass(frozen=True)
class _Judged:
    row: dict[str, Any]
    people: pd.DataFrame
    groups: list[dict[str, Any]]
    choice: dict[str, Any] | None


def _judged(
    book: Book,
    yardstick: Yardstick,
    units: pd.DataFrame,
    first: pd.DataFrame,
    chosen: pd.DataFrame,
    by: str | None,
    windows: Windows,
) -> _Judged | None:
    """One yardstick; None where nobody can be judged by it."""
    on_stage = _coached_on(chosen, yardstick)
    chosen = chosen[on_stage] if on_stage.any() else chosen
    names = pd.Index(sorted({*units["rep_id"], *first["rep_id"]}))
    records = records_of(units, first, names, book.as_of_on)
    asked = names.get_indexer(pd.Index(chosen["rep_id"]))
    comparison = Comparison(records, windows)
    whole = comparison.change(asked)
    if whole is None:
        return None
    place = asdict(yardstick)
    second = Comparison(records, windows, raw=True).change(asked, trials=0)
    row = {**place, "aimed": bool(on_stage.any()), **asdict(whole)}
    for name, column in (("second", "change"), ("second_low", "low"), ("second_high", "high")):
        row[name] = getattr(second, column) if second else np.nan
    choice = comparison.choice(asked)
    told = {**place, **asdict(choice), "were_worst": choice.were_worst} if choice else None
    groups = [] if by is None else list(_groups(comparison, place, chosen, names, by))
    return _Judged(row, _people(comparison, place, chosen, names), groups, told)


def _coached_on(chosen: pd.DataFrame, yardstick: Yardstick) -> pd.Series:
    """Whose session was about the stage of the yardstick."""
    if yardstick.stage is None or "stage" not in chosen:
        return pd.Series(False, chosen.index)
    return chosen["stage"].astype("str") == yardstick.stage


def records_of(units: pd.DataFrame, first: pd.DataFrame, names: pd.Index, as_of: pd.Timestamp) -> Records:
    """Records as arrays, days counted from 1970; rep_id of both tables as positions in names."""
    coached = np.full(len(names), NEVER)
    coached[names.get_indexer(pd.Index(first["rep_id"]))] = _days(first["on"])
    rep = names.get_indexer(pd.Index(units["rep_id"])).astype(np.int64)
    last = int(_days(pd.Series([as_of]))[0])
    return Records(rep, _days(units["on"]), units["good"].to_numpy(float), coached, last)


def _days(days: pd.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    return days.to_numpy("datetime64[D]").astype(np.int64)


def _people(comparison: Comparison, place: dict[str, Any], chosen: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    on = chosen.set_index("rep_id")["on"]
    rows = []
    for rep in np.intersect1d(comparison.judged, names.get_indexer(pd.Index(chosen["rep_id"]))):
        change = comparison.change([rep], trials=0)
        assert change is not None
        half = change.high - change.change
        rows.append(
            {
                **place,
                **asdict(change),
                "rep_id": names[rep],
                "on": on[names[rep]],
                "expected_low": max(change.expected - half, 0.0),
                "expected_high": min(change.expected + half, 1.0),
                "order": _order(place),
            }
        )
    return pd.DataFrame(rows).astype({"rep_id": "str"})


def _order(place: dict[str, Any]) -> str:
    return "" if place["measure"] == RESULT else " ".join(str(v) for v in place.values())


def _groups(
    comparison: Comparison, place: dict[str, Any], chosen: pd.DataFrame, names: pd.Index, by: str
) -> Iterable[dict[str, Any]]:
    for group, rows in chosen.groupby(by, sort=True):
        change = comparison.change(names.get_indexer(pd.Index(rows["rep_id"])))
        if change is not None:
            yield {**place, "group": str(group), **asdict(change)}


def _q(table: pd.DataFrame) -> pd.Series:
    """Benjamini-Hochberg over what was said beforehand, and over the rest; the win rate stands by itself."""
    from statsmodels.stats.multitest import multipletests

    q = table["p"].astype("float64").copy()
    leading = table["measure"] != RESULT
    for family in (leading & table["aimed"], leading & ~table["aimed"]):
        if family.any():
            q[family] = multipletests(q[family].to_numpy(), method="fdr_bh")[1]
    return q


def _verdicts(table: pd.DataFrame) -> pd.Series:
    visible = [can_be_seen(rate, least) for rate, least in zip(table["expected"], table["smallest"], strict=True)]
    named = table["clear"].astype("bool")
    if "q" in table:
        named &= (table["measure"] == RESULT) | (table["q"] <= FALSE_DISCOVERY)
    words = np.select(
        [~np.array(visible, bool), ~named, table["change"] > 0], ["unknowable", "none", "better"], "worse"
    )
    return pd.Series(words, table.index, dtype="str")


def _advice(
    book: Book, first: pd.DataFrame, chosen: pd.DataFrame, strangers: int, won: pd.DataFrame, windows: Windows
) -> Iterable[Advice]:
    if strangers:
        yield Advice(STRANGERS, {"n": strangers})
    recent = int(((book.as_of_on - chosen["on"]).dt.days < windows.settle).sum())
    if recent:
        yield Advice(RUNNING, {"n": recent, "days": windows.settle})
    left = len(chosen) - recent - int(won["reps"].sum())
    if left > 0:
        yield Advice(NOT_JUDGED, {"n": left, "enough": ENOUGH})


def _nobody(book: Book, first: pd.DataFrame, chosen: pd.DataFrame, windows: Windows) -> Unavailable:
    if ((book.as_of_on - chosen["on"]).dt.days < windows.settle).all():
        return Unavailable("every session is younger than {days} days", days=windows.settle)
    if len(book.people) - len(first) < FEWEST_OTHERS:
        return Unavailable(
            "fewer than {n} reps have not been coached, so there is nobody to hold the coached against", n=FEWEST_OTHERS
        )
    return Unavailable(
        "nobody coached has {n} records of the year before the session and any since, beside {others} others who have",
        n=ENOUGH,
        others=FEWEST_OTHERS,
    )
