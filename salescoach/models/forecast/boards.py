"""The tables of a back-test: the scoreboards, and what was forecast on past days beside what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from salescoach.models.forecast.combine import LEVELS, Judged
from salescoach.models.forecast.past import Past, Whole
from salescoach.models.forecast.scores import CALIBRATION, DEAL_SCORES, SCORES, calibration, deal_scores, score, scored

PAST = ["lead", "level", "team", "rep_id", "rep", "origin", "last_day", "method", "value"]
PAST += ["low_50", "high_50", "low", "high", "actual"]


def boards(past: Past, judged: Sequence[Judged], origins: int) -> dict[str, pd.DataFrame]:
    """`scoreboard`, `deal_scores`, `calibration` and `past` of a `Forecast`."""
    scores, told, fans, tenths = [], [], [], []
    for found in judged:
        rows = scored(found, past.today, origins)
        if len(rows):
            scores += score(found, rows)
            told += deal_scores(found, rows)
            fans += _past(past, found, rows)
            tenths.append(calibration(found, rows))
    table = pd.DataFrame(scores).reindex(columns=SCORES)
    for name in ("as_good", "chosen"):
        table[name] = pd.Series(table[name].eq(True), dtype="bool")
    return {
        "scoreboard": table,
        "deal_scores": pd.DataFrame(told).reindex(columns=DEAL_SCORES),
        "past": pd.concat(fans, ignore_index=True) if fans else pd.DataFrame(columns=PAST),
        "calibration": pd.concat(tenths, ignore_index=True) if tenths else pd.DataFrame(columns=CALIBRATION),
    }


def _past(past: Past, found: Judged, rows: Whole) -> list[pd.DataFrame]:
    views, groups, people = found.views, found.groups, past.book.people.set_index("rep_id")
    reps = pd.Series(past.reps, dtype="str")
    begun = views.origins[rows] + views.window.gap
    parts = []
    for level in LEVELS:
        actual = groups.sums(views.actual[rows], level)
        width = actual.shape[1]
        names = pd.DataFrame(index=range(width))
        if level == "team":
            names["team"] = list(groups.teams)
        if level == "rep":
            names = names.assign(team=np.array(groups.teams)[groups.team], rep_id=reps)
            names["rep"] = reps.map(people["rep"]).astype("str").fillna(reps)
        for method in ("combined", "run_rate"):
            ends = found.spread(method, level, rows).ranges()
            part = names.iloc[np.tile(np.arange(width), len(rows))].reset_index(drop=True)
            part = part.assign(lead=views.window.lead, level=level, method=method, actual=actual.ravel())
            part["value"] = groups.sums(found.mean[method][rows], level).ravel()
            part = part.assign(**{k: v.ravel() for k, v in ends.items()})
            part["origin"] = np.repeat(_stamps(begun), width)
            part["last_day"] = np.repeat(_stamps(begun + views.window.days - 1), width)
            part = part.reindex(columns=PAST)
            parts.append(part.astype(dict.fromkeys(("team", "rep_id", "rep", "level", "method"), "str")))
    return parts


def _stamps(days: Whole) -> Any:
    return days.astype("datetime64[D]").astype("datetime64[us]")
