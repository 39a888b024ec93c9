"""Today's forecast: one row per group at every level, one row per open deal."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.metrics.groups import UNASSIGNED
from salescoach.metrics.visits import deals_of
from salescoach.models.forecast.calls import with_calls
from salescoach.models.forecast.combine import LEVELS, Judged
from salescoach.models.forecast.methods import like_these
from salescoach.models.forecast.past import Floats, Open, Past, by_rep
from salescoach.process import Period

Z80 = 1.2815515655446004
LIKE_PSEUDO, LIKE_LEAST = 5.0, 20  # deals behind a chance at least; like deals whose share says something

TABLE = ["level", "team", "rep_id", "rep", "first_day", "last_day", "value", "won", "open", "new"]
TABLE += ["low_50", "high_50", "low", "high", "variance", "wins", "n", "open_amount", "method"]
TABLE += ["rep_call", "manager_call"]
DEALS = ["deal_id", "rep_id", "rep", "team", "pipeline", "stage", "age_days", "amount", "chance", "expected"]
DEALS += ["low", "high", "similar_n", "similar_won"]


def table_of(past: Past, own: Judged, won: Floats, here: Open, expected: Floats, span: Period) -> pd.DataFrame:
    """One row per group at every level; see `Forecast.table`."""
    reps, groups = len(past.reps), own.groups
    rest = own.mean["combined"][-1]
    opened = by_rep(here.rep, expected, reps)
    n = by_rep(here.rep, np.ones(len(here.rep)), reps)
    full = by_rep(here.rep, here.value, reps)
    wins = rest / np.maximum(own.views.size[-1], 1e-12)
    names = pd.Series(past.reps).map(past.book.people.set_index("rep_id")["rep"]).astype("str")
    names = names.fillna(pd.Series(past.reps))
    busy = (won + rest + n > 0) | np.isin(past.reps, past.book.people["rep_id"])
    parts = []
    for level in LEVELS:
        sums = {k: groups.sums(v, level) for k, v in {"won": won, "open": opened, "rest": rest, "n": n}.items()}
        sums |= {"open_amount": groups.sums(full, level), "wins": groups.sums(wins, level)}
        ends = own.spread("combined", level, slice(-1, None)).ranges()
        part = pd.DataFrame({"level": level, "value": sums["won"] + sums["rest"], "won": sums["won"]})
        part = part.assign(open=sums["open"], new=sums["rest"] - sums["open"])
        part = part.assign(**{k: sums["won"] + v[0] for k, v in ends.items()})
        part = part.assign(variance=own.variance("combined", level, -1), wins=sums["wins"])
        part = part.assign(n=sums["n"].round().astype("int64"), open_amount=sums["open_amount"])
        if level == "team":
            part["team"] = pd.Series(groups.teams, dtype="str")
            part = part[groups.sums(busy.astype(float), "team") > 0]
        if level == "rep":
            part["team"] = pd.Series(np.array(groups.teams)[groups.team], dtype="str")
            part["rep_id"], part["rep"] = pd.Series(past.reps, dtype="str"), names.astype("str")
            part = part[busy]
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    method = " + ".join(dict.fromkeys(own.source[-1] if m == "pipeline" else m for m in own.members[-1]))
    first = pd.Timestamp(span.start_on) if span.start_on is not None else None
    table = table.assign(method=method, last_day=pd.Timestamp(span.end_on))
    table["first_day"] = pd.Series(first, table.index, dtype="datetime64[us]")
    table = with_calls(past, table, span)
    return table[TABLE].astype(dict.fromkeys(("level", "team", "rep_id", "rep", "method"), "str"))


def expected_of(past: Past, own: Judged, here: Open, chance: Floats) -> Floats:
    """Of each open deal: value x chance, put right as its rep's sum was; together never more than is forecast."""
    i = len(own.views.origins) - 1
    source = own.source[i]
    told = own.views.parts[source][0][i].sum()
    right = own.open["pipeline"][i].sum() / told if told > 0 else 1.0
    expected = chance * here.value * right
    whole, most = by_rep(here.rep, expected, len(past.reps)), own.mean["combined"][i]
    fits = np.divide(most, whole, out=np.ones_like(whole), where=whole > most)
    found: Floats = expected * fits[here.rep]
    return found


def chance_of(own: Judged, here: Open, i: int = -1) -> Floats:
    """The chance of each open deal by the method in use."""
    if own.source[i] == "features" and own.views.traits is not None:
        return own.views.traits.last
    chances = own.views.chances[own.source[i]][i]
    found: Floats = chances[here.state, np.minimum(here.age, chances.shape[1] - 1)]
    return found


def open_deals(past: Past, own: Judged, here: Open, chance: Floats, expected: Floats) -> pd.DataFrame:
    """One row per open deal."""
    ages = past.lexis.ages
    band = np.searchsorted(ages, np.arange(ages[-1] + 1), side="right") - 1
    n, won = like_these(own.views, len(own.views.origins) - 1, band)
    at = band[np.minimum(here.age, ages[-1])]
    like, like_won = n[here.state, at], won[here.state, at]
    low, high = _ends(chance, like, like_won)
    deals = deals_of(past.book)
    rows = deals.iloc[here.deal]
    stages = pd.Series([stage for _, stage in past.stays.states], dtype="str").iloc[here.state].to_numpy()
    stage = rows["stage"].to_numpy() if not past.stays.by_stage else stages
    names = {"rep_id": pd.Series(past.reps, dtype="str").iloc[here.rep].to_numpy()}
    table = pd.DataFrame({"deal_id": rows["deal_id"].to_numpy(), **names, "pipeline": rows["pipeline"].to_numpy()})
    table = table.assign(stage=stage, age_days=here.age.astype(float), amount=np.where(here.known, here.value, np.nan))
    table = table.assign(chance=chance, expected=expected, low=low, high=high)
    table = table.assign(similar_n=like.astype("int64"), similar_won=like_won.astype("int64"))
    table = pd.concat([table, _undated(past, deals, here)], ignore_index=True)
    people = past.book.people.set_index("rep_id")
    table["rep"] = table["rep_id"].map(people["rep"]).astype("str").fillna(table["rep_id"])
    table["team"] = table["rep_id"].map(people["team"]).astype("str").fillna(UNASSIGNED)
    return table[DEALS].sort_values(["expected", "deal_id"], ascending=[False, True], ignore_index=True)


def _undated(past: Past, deals: pd.DataFrame, here: Open) -> pd.DataFrame:
    """Open deals of which nothing tells when they began."""
    open_ = (deals["outcome"] == "open").to_numpy(copy=True)
    open_[here.deal] = False
    rows = deals[open_]
    found = pd.DataFrame({c: rows[c].to_numpy() for c in ("deal_id", "pipeline", "stage")})
    amount = past.amount[np.flatnonzero(open_)]
    found = found.assign(
        rep_id=rows["rep_id"].fillna(UNASSIGNED).to_numpy(), amount=np.where(amount > 0, amount, np.nan)
    )
    return found.assign(
        age_days=np.nan, chance=np.nan, expected=0.0, low=np.nan, high=np.nan, similar_n=0, similar_won=0
    )


def _ends(chance: Floats, n: Floats, won: Floats) -> tuple[Floats, Floats]:
    """80 % range (Wilson) of a chance that rests on so many like deals; it holds their own share, if that is beside."""
    share = np.divide(won, n, out=chance.copy(), where=n >= LIKE_LEAST)
    n = n + LIKE_PSEUDO
    middle = (chance + Z80**2 / (2 * n)) / (1 + Z80**2 / n)
    half = Z80 * np.sqrt(chance * (1 - chance) / n + Z80**2 / (4 * n**2)) / (1 + Z80**2 / n)
    return np.minimum(np.clip(middle - half, 0, 1), share), np.maximum(np.clip(middle + half, 0, 1), share)
