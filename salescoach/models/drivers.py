"""Drivers: what about a deal goes with its being won, or with its going on from a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.models import guard
from salescoach.models.calibrate import Calibration, calibrate
from salescoach.models.design import MOST_LEVELS, as_text, is_number
from salescoach.models.effects import with_signals
from salescoach.models.fit import Advice
from salescoach.models.grouped import DriverFit, fit_grouped
from salescoach.models.solve import Prior
from salescoach.models.units import ANSWERED, OF_ACCOUNTS, QUARTER_END, stage_units, won_units
from salescoach.process import Period
from salescoach.wording import N_

EARLIER = 0.7  # share of the records the fit is tried on before it tells the later ones
GRID = 1 / 16  # of a step: numbers are rounded to it
DOUBTFUL = N_("nothing says whether {names} had been edited after the close: what goes with them may follow from it")
TOO_YOUNG = N_("there are too few decided deals to try the fit on a later period")


def fit_drivers(
    book: Book,
    period: str | Period | None = None,
    drivers: Sequence[str] | None = None,
    stage: str | None = None,
    pipeline: str | None = None,
    interactions: Sequence[tuple[str, str]] = (),
    prior: Prior = "auto",
) -> DriverFit:
    """What goes with winning or, with a stage, with going on from it; every driver as it was known at the start.

    Prefer the fits by stage (`fit_stages`): a trait may help in one stage and harm in another, and a fit over whole
    deals mixes the two. Columns that know the outcome are refused (`refused`), also when asked for. The fit is tried
    on its earlier 70 % and then told the later 30 % (`calibration`).

    drivers        columns of the deals, of their accounts (industry, size), rep, team or manager, response_hours (of
                   the lead) or, over whole deals, quarter_end (decided in the last month of a quarter); nothing: all
                   that may be used except people
    interactions   at most three declared pairs
    prior          see `fit_grouped`, as for everything else

    Raises Unavailable where stages are unknown, nothing was decided, or too few deals had either outcome; UsageError
    for a driver, stage or number of pairs that cannot be.
    """
    if len(interactions) > 3:
        raise UsageError(
            "{n} interactions are too many to be told from chance; declare at most 3.", n=len(interactions)
        )
    units = units_of(book, period, stage, pipeline)
    chosen, refused, doubtful = choose_drivers(book, units, drivers)
    most = MOST_LEVELS if drivers is None else guard.TOO_MANY
    fit = fit_grouped(units, "outcome", chosen, interactions=interactions, prior=prior, grid=GRID, most_levels=most)
    refused = {**refused, **dict(fit.refused.itertuples(index=False))}
    used = set(fit.table["driver"])
    warned = [*fit.warnings]
    if names := [name for name in doubtful if name in used]:
        warned.append(Advice(DOUBTFUL, {"names": commas(names)}))
    tried = on_a_later_period(units, [name for name in chosen if name in used], prior, most)
    if tried is None:
        warned.append(Advice(TOO_YOUNG))
    table = pd.DataFrame(list(refused.items()), columns=["field", "why"])
    return replace(fit, warnings=tuple(warned), refused=table, calibration=tried)


def fit_stages(
    book: Book,
    period: str | Period | None = None,
    drivers: Sequence[str] | None = None,
    prior: Prior = "auto",
) -> dict[tuple[str, str], DriverFit]:
    """`fit_drivers` for each stage of each pipeline that allows it, (pipeline, stage) -> fit.

    q is by Benjamini-Hochberg over the drivers of all stages together. Raises Unavailable with the reason of the first
    stage where none can be fitted.
    """
    found: dict[tuple[str, str], DriverFit] = {}
    reason: Unavailable | None = None
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            try:
                found[key, stage.key] = fit_drivers(book, period, drivers, stage.key, key, prior=prior)
            except Unavailable as why:
                reason = reason or why
    if not found:
        raise reason or Unavailable("the process has no stages")
    parts = [fit.table.assign(pipeline=key, stage=stage) for (key, stage), fit in found.items()]
    together = with_signals(pd.concat(parts, ignore_index=True))
    own = together.set_index(["pipeline", "stage"])
    return {
        place: replace(fit, table=own.loc[[place], fit.table.columns].reset_index(drop=True))
        for place, fit in found.items()
    }


def driver_rows(
    book: Book,
    driver: str,
    level: str | None = None,
    period: str | Period | None = None,
    stage: str | None = None,
    pipeline: str | None = None,
) -> pd.DataFrame:
    """The records behind a row of the table: those with this level, or those whose number is known.

    As many as the row's n, except for "(all others)", whose levels `DriverFit.pooled` lists.
    """
    units = units_of(book, period, stage, pipeline)
    values = _column(units, driver)
    if is_number(values):
        return units[values.notna()]
    return units[as_text(values) == level]


def units_of(book: Book, period: str | Period | None, stage: str | None, pipeline: str | None = None) -> pd.DataFrame:
    """Decided deals, or the ended passages of one stage. Raises UsageError for a stage that there is not."""
    if stage is None:
        return _with_people(book, won_units(book, period))
    known = [s.key for line in book.process.pipelines.values() for s in line.working]
    if stage not in known:
        raise UsageError(
            "There is no stage {stage!r}.{hint} Stages: {known}.",
            stage=stage,
            hint=suggestion(stage, known),
            known=commas(known),
        )
    return _with_people(book, stage_units(book, stage, period, pipeline))


def _with_people(book: Book, units: pd.DataFrame) -> pd.DataFrame:
    people = book.people.set_index("rep_id")
    units["rep"] = units["rep_id"].astype("str")
    for name in ("team", "manager"):
        units[name] = units["rep_id"].map(people[name]).astype("str")
    return units


def _column(units: pd.DataFrame, name: str) -> pd.Series:
    if name not in units:
        raise UsageError("There is no column {name!r}.{hint}", name=name, hint=suggestion(name, units.columns))
    return units[name]


def choose_drivers(
    book: Book, units: pd.DataFrame, drivers: Sequence[str] | None
) -> tuple[list[str], dict[str, str], list[str]]:
    """The columns to be fitted, the refused ones with why, and those of the first that nothing clears."""
    refused, doubtful = guard.judge_columns(book)
    deals = [c for c in book.tables["deals"].columns if not c.endswith(("_minor", "_raw")) and c not in guard.NO_TRAITS]
    made = [c for c in (*OF_ACCOUNTS, ANSWERED, QUARTER_END) if c in units]
    if drivers is None:
        asked = [c for c in dict.fromkeys([*deals, *made]) if c not in guard.PEOPLE and _is_trait(units, c)]
    else:
        asked = list(dict.fromkeys("rep" if d == "rep_id" else d for d in drivers))
        for name in asked:
            _column(units, name)
    several = "currency" in units and units["currency"].nunique() > 1
    for name in asked:
        if name in ("amount", "list_price") and several:
            refused[name] = guard.SEVERAL_CURRENCIES
        elif name in guard.NO_TRAITS or pd.api.types.is_datetime64_any_dtype(units[name]):
            refused.setdefault(name, guard.NOT_A_TRAIT)
        elif name not in deals and name not in made and name not in guard.PEOPLE:
            refused.setdefault(name, guard.refused_by_name(name) or guard.NOT_A_TRAIT)
        elif drivers is None and name not in refused and guard.follows_people(units, name):
            refused[name] = guard.FOLLOWS_REP
    chosen = [name for name in asked if name not in refused and units[name].notna().any()]
    of_interest = asked if drivers is not None else [c for c in deals if c in refused]
    if not chosen:
        raise Unavailable("none of the columns can be used as a driver")
    return chosen, {c: refused[c] for c in of_interest if c in refused}, [c for c in doubtful if c in chosen]


def _is_trait(units: pd.DataFrame, name: str) -> bool:
    return name in units and not pd.api.types.is_datetime64_any_dtype(units[name])


def on_a_later_period(
    units: pd.DataFrame, drivers: Sequence[str], prior: Prior = "auto", most_levels: int = MOST_LEVELS
) -> Calibration | None:
    """The earlier 70 % of the records tell the later 30 %; None where either part is too small."""
    dated = units.loc[units["counted_on"].notna(), ["counted_on", "outcome", *drivers]]
    if dated.empty or not drivers:
        return None
    days = np.sort(dated["counted_on"].to_numpy())
    split_on = pd.Timestamp(days[min(int(EARLIER * len(days)), len(days) - 1)])
    early, late = dated[dated["counted_on"] < split_on], dated[dated["counted_on"] >= split_on]
    try:
        fit = fit_grouped(early, "outcome", drivers, prior=prior, grid=GRID, most_levels=most_levels)
    except Unavailable:
        return None
    outcome = late["outcome"].to_numpy(float)
    return calibrate(fit.predict(late), outcome, fit.won / fit.n, split_on, fit.n)
