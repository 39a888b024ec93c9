"""Reasons weighed: which ones cost most and how sure that is, and with which stage, rep or rival they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.compare import FALSE_DISCOVERY, discoveries
from salescoach.metrics.credibility import weighed_deals
from salescoach.metrics.groups import NONE, UNASSIGNED, group_keys, name_reps, parse_by, with_groups
from salescoach.metrics.losses import NOT_RECORDED, Of, loss_reasons, reasoned_deals
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.support import two_sided
from salescoach.models.fit import Advice, Fit
from salescoach.process import Period
from salescoach.wording import N_

By = Literal["amount", "count"]
OTHER = "(other)"
MOST_REASONS = 12
FREE_WORDS = 0.5  # so many different reasons per deal are no list any more
ENOUGH = 10  # deals of a group or a reason that is compared
EXPECTED = 5  # deals in a cell: below, the normal approximation names too many
ACROSS = ("stage", "competitor", "segment")
UNKNOWN = (NONE, UNASSIGNED)
FEW_ALIKE = N_(
    "{reasons} different reasons stand in {n} deals: they are written in free words, and most of them are taken "
    "together here as one. Group the texts instead, or give the reps a list to choose from."
)
POOLED = N_("Reasons and groups with fewer than {enough} deals are taken together as one; there are {n} of them.")


# --- which reasons cost most -----------------------------------------------------------------------


@dataclass(frozen=True)
class Pareto(Fit):
    """Reasons, the heaviest first; see `fit_pareto`.

    by         what they are ordered and added up by: amount or count
    untold     why no recorded reason could be checked against the deal's own data; None where they could
    """

    by: By = "amount"
    untold: Unavailable | None = None

    @property
    def currencies(self) -> list[str]:
        """The currencies that are kept apart; empty where there is one."""
        return list(self.table["currency"].unique()) if "currency" in self.table else []


def fit_pareto(book: Book, period: str | Period | None = None, of: Of = "lost", by: By = "amount") -> Pareto:
    """The reasons of lost (or won) deals by the money or the number of deals behind them.

    The numbers are those of `loss_reasons`; reasons beyond the twelve heaviest are taken together as `(other)`, which
    stands before `(not recorded)` at the end. With no amount known, by="amount" counts deals.

    Returns a table with one row per reason, per currency if there are several: reason, n, deals (of all reasons),
    value (n / deals), low, high (simultaneous 95 % intervals of all shares together: Goodman 1965), amount (units of
    the currency; null where none is known), without_amount, contributing (deals that name the reason beside another
    one), share (of the known money, or of the deals: what the bars are long by), cumulative, doubted (of the n: the
    deal's own data speak against it), sure_n, sure_amount (without the doubted ones; all three null where no check can
    be made). Raises Unavailable where no reason is recorded or nothing was decided in the period.
    """
    if by not in get_args(By):
        choices = get_args(By)
        raise UsageError(
            "by={by!r} is unknown.{hint} Choices: {choices}.",
            by=by,
            hint=suggestion(by, choices),
            choices=commas(choices),
        )
    table = loss_reasons(book, (), period, of)
    if table.empty or not table["n"].sum():
        raise Unavailable("no deal of that outcome was decided in the period")
    if "contributing" not in table:
        table["contributing"] = 0
    table, untold = _beside_doubts(book, table, period, of)
    by = by if table["amount"].notna().any() else "count"
    parts = table.groupby("currency", sort=True) if "currency" in table else [("", table)]
    made = pd.concat([_heaviest_first(part, by) for _, part in parts], ignore_index=True)
    n, recorded = int(table["n"].sum()), table[table["reason"] != NOT_RECORDED]
    reasons = recorded["reason"].nunique()
    free = reasons > MOST_REASONS and reasons > FREE_WORDS * recorded["n"].sum()
    warnings = (Advice(FEW_ALIKE, {"reasons": reasons, "n": int(recorded["n"].sum())}),) if free else ()
    return Pareto(made, n, warnings, by, untold)


def _beside_doubts(
    book: Book, table: pd.DataFrame, period: str | Period | None, of: Of
) -> tuple[pd.DataFrame, Unavailable | None]:
    """The table with doubted, sure_n and sure_amount of each reason; and why not, where no check can be made."""
    try:
        deals = weighed_deals(book, period, of)
    except Unavailable as reason:
        unknown = pd.Series(pd.NA, table.index, dtype="Int64")
        return table.assign(doubted=unknown, sure_n=unknown, sure_amount=np.nan), reason
    keys = [*money_keys(table), "reason"]
    sure = deals[~deals["doubted"]]
    counted = deals.assign(here=1, known=deals["amount_minor"].notna()).groupby(keys, as_index=False)
    sums = counted.agg(doubted=("doubted", "sum"))
    kept = sure.assign(known=sure["amount_minor"].notna()).groupby(keys, as_index=False)
    kept_sums = kept.agg(sure_n=("reason", "size"), sure_minor=("amount_minor", "sum"), sure_known=("known", "sum"))
    table = table.merge(sums, on=keys, how="left").merge(kept_sums, on=keys, how="left")
    columns = ["doubted", "sure_n", "sure_minor", "sure_known"]
    table[columns] = table[columns].fillna(0).astype("int64")
    table["sure_amount"] = known_amount(book, table, "sure_minor", "sure_n", "sure_known")
    blank = table["reason"] == NOT_RECORDED
    table[["doubted", "sure_n"]] = table[["doubted", "sure_n"]].astype("Int64").mask(blank)
    table["sure_amount"] = table["sure_amount"].mask(blank)
    return table.drop(columns=["sure_minor", "sure_known"]), None


def _heaviest_first(table: pd.DataFrame, by: By) -> pd.DataFrame:
    """One currency's reasons in order, the light ones together, with intervals and cumulative shares."""
    weight = table["amount"].fillna(0) if by == "amount" else table["n"]
    order = pd.DataFrame({"last": table["reason"] == NOT_RECORDED, "weight": -weight, "n": -table["n"]})
    table = table.loc[order.sort_values(["last", "weight", "n"], kind="stable").index].reset_index(drop=True)
    table = _few(table)
    table["value"], table["low"], table["high"] = goodman(table["n"].to_numpy())
    weight = table["amount"].fillna(0) if by == "amount" else table["n"].astype("float64")
    whole = weight.sum()
    table["share"] = weight / whole if whole else np.nan
    table["cumulative"] = table["share"].cumsum()
    shown = ["reason", "n", "deals", "value", "low", "high", "amount", "without_amount", "contributing"]
    money = ["currency"] if "currency" in table else []
    return table[[*money, *shown, "share", "cumulative", "doubted", "sure_n", "sure_amount"]]


def _few(table: pd.DataFrame) -> pd.DataFrame:
    """The reasons beyond the heaviest twelve as one row before that of what is not recorded."""
    named = table["reason"] != NOT_RECORDED
    light = table[named].iloc[MOST_REASONS:]
    if len(light) < 2:
        return table
    sums = ["n", "amount", "without_amount", "contributing", "doubted", "sure_n", "sure_amount"]
    together = {**light.iloc[0].to_dict(), **light[sums].sum(min_count=1).to_dict(), "reason": OTHER}
    one = pd.DataFrame([together])[list(table.columns)].astype(table.dtypes.to_dict())
    return pd.concat([table[named].iloc[:MOST_REASONS], one, table[~named]], ignore_index=True)


def goodman(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Shares of several counts with simultaneous 95 % intervals (Goodman 1965)."""
    from statsmodels.stats.proportion import multinomial_proportions_confint

    counts = np.asarray(counts, float)
    ends = multinomial_proportions_confint(counts, alpha=0.05, method="goodman")
    share = counts / counts.sum()
    return share, np.clip(ends[:, 0], 0, share), np.clip(ends[:, 1], share, 1)


# --- with what they go -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ReasonDifferences(Fit):
    """Reasons that are given more or less often in one group than in the others; see `fit_reason_differences`.

    tests     one row per grouping: across, n, groups, reasons, statistic, df, p (Pearson's chi-squared), judged (cells)
    untold    groupings that cannot be compared, each with the reason
    missing   about how many more deals with a reason are needed before any cell can be judged; 0: some can
    """

    tests: pd.DataFrame = field(default_factory=pd.DataFrame)
    untold: dict[str, Unavailable] = field(default_factory=dict)
    missing: int = 0

    @property
    def named(self) -> pd.DataFrame:
        """The deviations that chance is unlikely to make: of every grouping the surest one, then the second ones, …"""
        found = self.table[self.table["signal"].isin(["above", "below"])]
        found = found.sort_values(["p", "across", "group"], kind="stable")
        turn = found.groupby("across").cumcount()
        return found.loc[turn.sort_values(kind="stable").index].reset_index(drop=True)


def fit_reason_differences(
    book: Book, across: str | Sequence[str] = ACROSS, period: str | Period | None = None, of: Of = "lost"
) -> ReasonDifferences:
    """Does a reason go with a stage, a competitor, a segment, a rep?

    Every grouping is one table of recorded reasons × groups; reasons and groups with fewer than ten deals are taken
    together as `(other)`, deals without a group are left out. Residuals are the standardised (adjusted) ones, normal
    where the counts are independent (Haberman 1973); cells with fewer than five deals expected are not judged.
    Named are discoveries at a false-discovery rate of 10 %: first the groupings in which anything deviates (Simes' test
    of all its cells, Benjamini-Hochberg over the groupings), then cells within each of these at 10 % times the share of
    groupings chosen (Benjamini & Bogomolov 2014), so that what surely goes with the stage opens no door for a rep.

    Returns a table with one row per cell: across, group, reason, n, of (deals of the group with a reason), value (n /
    of), low, high (simultaneous 95 % within the group: Goodman 1965), usual (the reason's share in all groups),
    expected, residual, p (two-sided), signal: above, below, none, few. Raises Unavailable where no grouping can be
    compared.
    """
    names = parse_by(across)
    parts, tests, untold, pooled, shortest = [], [], {}, 0, np.inf
    recorded = 0
    for name in names:
        try:
            deals = _grouped(book, name, period, of)
            recorded = max(recorded, len(deals))
            cells, merged = _counted(deals)
        except Unavailable as reason:
            untold[name] = reason
            continue
        table, test = _against_chance(cells)
        parts.append(table.assign(across=name))
        tests.append({"across": name, **test})
        pooled += merged
        shortest = min(shortest, _still_missing(table))
    if not parts:
        raise next(iter(untold.values()))
    table = pd.concat(parts, ignore_index=True).astype({"across": "str"})
    judged = (table["expected"] >= EXPECTED).to_numpy()
    found = _named(table["across"].to_numpy(), table["p"].to_numpy(float), judged)
    signs = np.select([~judged, found & (table["residual"] > 0), found], ["few", "above", "below"], "none")
    table["signal"] = pd.Series(signs, table.index, dtype="str")
    shown = ["across", "group", "reason", "n", "of", "value", "low", "high", "usual", "expected", "residual", "p"]
    warnings = (Advice(POOLED, {"n": pooled, "enough": ENOUGH}),) if pooled else ()
    missing = 0 if judged.any() else int(shortest)
    return ReasonDifferences(table[[*shown, "signal"]], recorded, warnings, pd.DataFrame(tests), untold, missing)


def _named(family: np.ndarray, p: np.ndarray, judged: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Which judged cells are discoveries: families first, then cells within the chosen ones."""
    families = list(dict.fromkeys(family[judged]))
    places = [np.flatnonzero(judged & (family == name)) for name in families]
    simes = [np.min(np.sort(p[at]) * len(at) / np.arange(1, len(at) + 1)) for at in places]
    chosen = discoveries(simes, FALSE_DISCOVERY)
    found = np.zeros(len(p), bool)
    for at in (at for at, is_chosen in zip(places, chosen, strict=True) if is_chosen):
        found[at] = discoveries(p[at], FALSE_DISCOVERY * chosen.sum() / len(families))
    return found


def _grouped(book: Book, name: str, period: str | Period | None, of: Of) -> pd.DataFrame:
    """The deals with a recorded reason and a group: reason, group (as people call it)."""
    deals = reasoned_deals(book, period, of, stages=name == "stage")
    deals = with_groups(book, deals[deals["reason"] != NOT_RECORDED], (name,), "closed_on")
    (key,) = group_keys((name,))
    if name == "rep":
        deals = name_reps(book, deals.drop(columns="rep", errors="ignore"))
        key = "rep"
    elif name == "stage":
        deals = deals.sort_values("order", kind="stable")
    deals = deals.assign(group=deals[key].astype("str"))
    return deals.loc[~deals["group"].isin(UNKNOWN), ["reason", "group"]]


def _counted(deals: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Counts of groups × reasons, the rare ones of both taken together; and how many these are."""
    merged = 0
    for column in ("reason", "group"):
        sizes = deals[column].value_counts()
        rare = sizes.index[sizes < ENOUGH]
        deals = deals.assign(**{column: deals[column].mask(deals[column].isin(rare), OTHER)})
        merged += len(rare)
    cells = deals.groupby(["group", "reason"], sort=False).size().unstack(fill_value=0)
    if min(cells.shape, default=0) < 2:
        raise Unavailable("fewer than two groups, or fewer than two reasons, have {n} deals each", n=ENOUGH)
    return cells, merged


def _against_chance(cells: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Each cell beside what is expected where reasons do not depend on groups; and the test of the whole table."""
    from statsmodels.stats.contingency_tables import Table

    fitted = Table(cells.to_numpy(float), shift_zeros=False)
    test = fitted.test_nominal_association()
    of = cells.sum(axis=1).to_numpy()
    flat = pd.DataFrame(cells.stack(), columns=["n"]).reset_index()
    flat["of"] = np.repeat(of, cells.shape[1])
    flat["value"], flat["low"], flat["high"] = (
        np.concatenate(part) for part in zip(*(goodman(row) for row in cells.to_numpy()), strict=True)
    )
    flat["usual"] = np.tile(cells.sum().to_numpy() / of.sum(), len(cells))
    flat["expected"] = np.asarray(fitted.fittedvalues).ravel()
    flat["residual"] = np.asarray(fitted.standardized_resids).ravel()
    flat["p"] = two_sided(flat["residual"].to_numpy(float))
    judged = int((flat["expected"] >= EXPECTED).sum())
    whole = {"n": int(of.sum()), "groups": len(cells), "reasons": cells.shape[1]}
    return flat, {**whole, "statistic": test.statistic, "df": test.df, "p": float(test.pvalue), "judged": judged}


def _still_missing(table: pd.DataFrame) -> int:
    """How many more deals until five are expected in the fullest cell."""
    n, most = table["n"].sum(), table["expected"].max()
    return ceil(n * (EXPECTED / most - 1)) if most < EXPECTED else 0
