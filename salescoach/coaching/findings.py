"""Findings about one rep: what goes better or worse than usual beyond luck, what it is worth, what it calls for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.coaching.habits import HABITS, habits, more_than_usual
from salescoach.errors import Unavailable, joined
from salescoach.metrics import count_interval, currency_of, stage_flow, win_rate
from salescoach.metrics.compare import ENOUGH
from salescoach.metrics.lapses import QUOTE
from salescoach.metrics.registry import as_period
from salescoach.metrics.support import coach_hint
from salescoach.metrics.visits import deals_of
from salescoach.models import GapFit, find_bottleneck, fit_gap
from salescoach.models.gap_parts import WIN_RATE
from salescoach.process import Period
from salescoach.wording import N_, Words, is_known, words

SURE, VERY_SURE = 0.9, 0.975  # probability of the sign from which on a finding is spoken of, and is strong
MANY = 30  # records from which on a finding may be strong
# a stage against its own past is not drawn towards anything, and after a good period usually comes a lesser one
SURE_OF_ITSELF, VERY_SURE_OF_ITSELF = 0.975, 0.995
HABIT_WORTH = 0.1  # of the amounts that stand behind a habit: what a habit is worth is not measured
UNKNOWN_WORTH = 0.01  # of what was won: so that a finding without a known amount still has its place, behind the others

# how much of it a rep can change within a quarter: a judgement, from habits (all) to what the market decides (little)
MOVABLE = {
    **dict.fromkeys(HABITS, 1.0),
    "stage_flow": 0.7,
    "win_rate": 0.6,
    "price": 0.6,
    "worse": 0.7,
    "lowest": 0.5,
    "volume": 0.3,
    "size": 0.3,
    "products": 0.2,
}
GAP_KEYS = {"volume": "volume", "conversion": "stage_flow", "size": "size", "products": "products", "price": "price"}

SENTENCES = {
    "stage_flow": N_("{value} of the deals that ended in {stage} went on; usual for the same kinds of deals: {usual}"),
    "win_rate": N_("{value} of the decided deals were won; usual for the same kinds of deals: {usual}"),
    "volume": N_("{value} deals were begun; usual: {usual}"),
    "size": N_("A win brought {value} of what is usual for the same kinds of deals"),
    "products": N_("What was sold lists at {value} of what is usual for the same kinds of deals"),
    "price": N_("Sold at {value} of list price; usual: {usual}"),
    "worse": N_("{value} of the deals that ended in {stage} went on; in the period before: {usual}"),
    "lowest": N_("{stage} lets the fewest deals through: {value} of those that ended there"),
    "response_time": N_("{value} of the leads were answered in time; usual: {usual}"),
    "missed_quotes": N_("{value} of the deals due a quote got none in time; usual: {usual}"),
    "forgotten_followups": N_("{value} of the customers' contacts waited too long for an answer; usual: {usual}"),
    "overdue_next_steps": N_("The next step of {value} of the open deals is overdue; usual: {usual}"),
    "silences": N_("In {value} of the stays in a stage the customer heard nothing for too long; usual: {usual}"),
    "time_in_stage": N_("{value} of the stays in a stage lasted longer than the process expects; usual: {usual}"),
    "missing_evidence": N_("{value} of the deals that went on lacked what the stage asks for; usual: {usual}"),
    "pushes": N_("The expected close of {value} of the deals was put off; usual: {usual}"),
}
HELP = {
    "stage_flow": N_("Go through two deals of that stage together; sit in on the next meeting."),
    "win_rate": N_("Compare a lost deal with the won one most like it, day by day."),
    "volume": N_("Look at where the deals came from, and plan the hours for finding new ones."),
    "size": N_("Prepare together how the next deals can grow: who else needs it, what else belongs to it."),
    "products": N_("Look at which products were offered to whom, and why."),
    "price": N_("Practise the negotiation: trade, do not give."),
    "worse": N_("Ask what has changed since, before looking for a cause."),
    "lowest": N_("Go through two deals of that stage together; sit in on the next meeting."),
    "response_time": N_("Find out what comes in between, and who can answer in the meantime."),
    "missed_quotes": N_("Look at what delays a quote; offer a template or a second pair of hands."),
    "forgotten_followups": N_("Agree on a fixed hour for answers each day."),
    "overdue_next_steps": N_("Agree on the next date while still talking to the customer."),
    "silences": N_("Agree on a reason to call for each quiet deal."),
    "time_in_stage": N_("Decide for each of these deals: the next step, or an end."),
    "missing_evidence": N_("Agree on what must be known before a deal moves on."),
    "pushes": N_("Ask for each date who at the customer's named it."),
}
ROWS = {
    "stage_flow": "stage_flow",
    "worse": "stage_flow",
    "lowest": "stage_flow",
    "win_rate": "win_rate",
    "volume": "pipeline_created",
    "size": "sales",
    "products": "sales",
    "price": "discount",
    "response_time": "response_time",
    "missed_quotes": "missed_quotes",
    "forgotten_followups": "forgotten_followups",
    "overdue_next_steps": "overdue_next_steps",
    "silences": "conformance",
    "time_in_stage": "conformance",
    "missing_evidence": "conformance",
    "pushes": "slips",
}
COLUMNS = ["key", "good", "pipeline", "stage", "n", "value", "low", "high", "usual", "p", "grade", "money"]
COLUMNS += ["movable", "score", "sentence", "topic", "help", "rows"]


@dataclass(frozen=True)
class Findings:
    """What may be said about one rep, the first thing to talk about on top.

    table       one row per finding: key, good (better than usual), pipeline and stage (null: of none), n (records
                behind it), value, low, high (95 %), usual, p (probability that the sign is right), grade ("strong",
                "some", "thin"), money (what the difference goes with in the period; null: unknown),
                movable (0..1), score (evidence × money × movable), sentence, topic (for questions), help (what it calls
                for), rows (the metric whose rows are behind it)
    more        about how many more closed deals would let one stage be told from luck; None where that is not known
    unavailable key -> why nothing can be said
    """

    table: pd.DataFrame
    more: int | None = None
    unavailable: Mapping[str, Unavailable] = field(default_factory=dict)

    @property
    def spoken(self) -> pd.DataFrame:
        """What has the evidence to be spoken of."""
        return self.table[self.table["grade"] != "thin"]

    @property
    def skill(self) -> dict[str, Any] | None:
        """The one thing to work on; None: nothing to conclude yet."""
        return _first(self.spoken[~self.spoken["good"]])

    @property
    def strength(self) -> dict[str, Any] | None:
        """The one thing that goes better than usual, by the same evidence; None: nothing to conclude yet."""
        return _first(self.spoken[self.spoken["good"]])


def _first(table: pd.DataFrame) -> dict[str, Any] | None:
    return None if table.empty else {str(k): v for k, v in table.iloc[0].to_dict().items()}


def coaching_findings(book: Book, period: str | Period | None = None, language: str = "en") -> Findings:
    """Everything that can be said about the rep whose slice the book is, ranked by evidence × money × movability.

    Parts of the gap against the others (`fit_gap`: like for like and drawn towards all), habits against the others
    (`habits`, `more_than_usual`), and stages that became worse than in the period before (`find_bottleneck`; without
    figures of the others also the stage that lets the fewest through). Evidence is 2 p - 1; a finding is spoken of from
    p = .9 and 10 records on ("some"), and is "strong" from p = .975 and 30 records on; all others are "thin". A stage
    that became worse needs more: .975 and .995.
    """
    span, say = as_period(book, period), words(language)
    if len(book.people) != 1:
        return Findings(_ranked(book, span, pd.DataFrame()), None, {"gap": Unavailable("findings are about one rep")})
    gap, untold = _gap(book, span)
    own = _own(book, span)
    found = [*(_gap_rows(book, span, gap, own) if gap else ()), *_habit_rows(book, span, own)]
    try:
        found += _stage_rows(book, span, own, alone="gap" not in book.peers)
    except Unavailable as reason:
        untold["stage_flow"] = reason
    table = _ranked(book, span, pd.DataFrame(found))
    table["sentence"] = [sentence_of(book, row, say) for row in table.to_dict("records")]
    table["help"] = [_help(book, row, say) for row in table.to_dict("records")]
    table["rows"] = table["key"].map(ROWS)
    return Findings(table[COLUMNS].astype({"sentence": "str", "help": "str"}), _more(own, gap), untold)


def _row(key: str, good: bool, n: float, value: float, usual: float, p: float, **further: Any) -> dict[str, Any]:
    blank = {"low": np.nan, "high": np.nan, "pipeline": None, "stage": None, "money": np.nan}
    return {"key": key, "good": good, "n": int(n), "value": value, "usual": usual, "p": p, **blank, **further}


SHARE = ("n", "value", "low", "high")


@dataclass(frozen=True)
class _Own:
    """What the rep reached: the row of `win_rate`, and per (pipeline, stage) the share that went on."""

    wins: dict[str, Any]
    flow: dict[tuple[str, str], dict[str, Any]]


def _own(book: Book, span: Period) -> _Own:
    flow: dict[tuple[str, str], dict[str, Any]] = {}
    wins: dict[str, Any] = {"n": 0, "won": 0}
    try:
        wins |= _records(win_rate(book, (), span))[0]
        flow = {(r["pipeline"], r["stage"]): {c: r[c] for c in SHARE} for r in _records(stage_flow(book, (), span))}
    except Unavailable:
        pass  # what then cannot be said is said by the fits, with the reason
    return _Own(wins, flow)


# --- against the others ----------------------------------------------------------------------------


def _gap(book: Book, span: Period) -> tuple[GapFit | None, dict[str, Unavailable]]:
    try:
        return fit_gap(book, "rep", span, "peers"), {}
    except Unavailable as reason:
        return None, {"gap": reason}


def _gap_rows(book: Book, span: Period, fit: GapFit, own: _Own) -> Iterator[dict[str, Any]]:
    """Parts of the gap that have a probability, each with its own figure beside the usual one.

    The number of deals is usual for the whole period: of somebody who was not there all the time it says nothing.
    """
    told = set(GAP_KEYS) if _there_all_the_time(book, span) else set(GAP_KEYS) - {"volume"}
    for part in fit.table[fit.table["part"].isin(told) & fit.table["p_below"].notna()].to_dict("records"):
        key = GAP_KEYS[str(part["part"])]
        good = bool(part["value"] > 0)
        row = _row(key, good, part["n"], part["own"], part["usual"], max(part["p_below"], 1 - part["p_below"]))
        row |= {"money": abs(part["value"]), "topic": key}
        if key == "stage_flow" and part["stage"] == WIN_RATE:
            row |= {"key": "win_rate", "topic": "win_rate", **{c: own.wins[c] for c in SHARE}}
        elif key == "stage_flow":
            row |= {"pipeline": part["pipeline"], "stage": part["stage"]}
            row |= own.flow.get((part["pipeline"], part["stage"]), {})
        elif key == "volume":
            row["low"], row["high"] = (float(end) for end in count_interval(part["n"]))
        yield row


def _there_all_the_time(book: Book, span: Period) -> bool:
    person = book.people.iloc[0]
    first = span.start_on is None or not is_known(person["start_on"]) or person["start_on"].date() <= span.start_on
    last = min(span.end_on, book.as_of_on.date())
    return bool(first and (not is_known(person["end_on"]) or person["end_on"].date() >= last))


def _habit_rows(book: Book, span: Period, own: _Own) -> Iterator[dict[str, Any]]:
    usual = book.peers.get("habits")
    if usual is None:
        return
    known = usual[~usual["hidden"]]
    usuals = {str(h): (float(v), float(s)) for h, v, s in known[["habit", "value", "spread"]].itertuples(index=False)}
    for row in _records(habits(book, span)):
        name = str(row["habit"])
        if name not in usuals:
            continue
        value, spread = usuals[name]
        likely, above = more_than_usual(row["n"], row["hits"], value, spread)
        good = (likely > value) == HABITS[name].good and likely != value
        pipeline, stage = _place(book, name)
        yield _row(
            name,
            good,
            row["n"],
            row["value"],
            value,
            max(above, 1 - above),
            low=row["low"],
            high=row["high"],
            pipeline=pipeline,
            stage=stage,
            money=_behind(book, own, name, row["n"] * abs(likely - value)),
            topic=name,
        )


def _place(book: Book, habit: str) -> tuple[str | None, str | None]:
    """The stage that a habit belongs to, where it is one alone."""
    for key, line in book.process.pipelines.items():
        for stage in line.working:
            if habit == "response_time" and stage.first_response_hours is not None:
                return key, stage.key
            if habit == "missed_quotes" and any(QUOTE in rule for rule in stage.exit):
                return key, stage.key
    return None, None


def _behind(book: Book, own: _Own, habit: str, records: float) -> float:
    """What so many records usually go with: a tenth of the mean win × the chance to win, of leads also to become deals.

    Of stays in stages, as many stand behind a deal as the process has stages.
    """
    wins = own.wins
    if not wins["won"] or not is_known(wins["won_amount"]):
        return np.nan
    each = float(wins["won_amount"]) / float(wins["won"]) * float(wins["value"])
    if HABITS[habit].of == "leads":
        each *= _usual_share(book, "lead_conversion")
    if HABITS[habit].of == "stays":
        each /= max(len(line.working) for line in book.process.pipelines.values())
    return HABIT_WORTH * each * records


def _usual_share(book: Book, metric: str) -> float:
    peers = book.peers.get("peers")
    rows = peers.loc[peers["metric"] == metric, "value"].dropna() if peers is not None else pd.Series(dtype="float64")
    return float(rows.iloc[0]) if len(rows) else 0.5


# --- against oneself -------------------------------------------------------------------------------


def _stage_rows(book: Book, span: Period, own: _Own, alone: bool) -> Iterator[dict[str, Any]]:
    """Stages that have become worse; where nobody else can be looked at, also the one that lets the fewest through."""
    fit = find_bottleneck(book, span)
    for row in _records(fit.table):
        at = (row["pipeline"], row["stage"])
        place = {"pipeline": at[0], "stage": at[1], "topic": "stage_flow", **own.flow.get(at, {})}
        point = row["point"] * _quarters(book, span)
        if is_known(row["p_worse"]) and row["p_worse"] > 0.5:
            worth = point * 100 * abs(row["before"] - row["value"])
            yield _row("worse", False, row["n"], row["value"], row["before"], row["p_worse"], money=worth) | place
        if alone and fit.named.get(at[0]) == at[1]:
            yield _row("lowest", False, row["n"], row["value"], np.nan, row["p_lowest"], money=point) | place


def _quarters(book: Book, span: Period) -> float:
    start = span.start_on or book.local_days(book.deals["created_at"]).min().date()
    return float(((min(span.end_on, book.as_of_on.date()) - start).days + 1) / 91.25)


# --- in order and in words -------------------------------------------------------------------------


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _ranked(book: Book, span: Period, found: pd.DataFrame) -> pd.DataFrame:
    """With grade, movability and score, the highest score first; equal ones in the order of keys and stages."""
    if found.empty:
        return pd.DataFrame({c: pd.Series(dtype="object") for c in COLUMNS}).astype({"good": "bool", "grade": "str"})
    past = found["key"] == "worse"
    sure = found["p"] > np.where(past, SURE_OF_ITSELF, SURE)
    strong = (found["p"] >= np.where(past, VERY_SURE_OF_ITSELF, VERY_SURE)) & (found["n"] >= MANY)
    few = (found["n"] < ENOUGH) | ~sure
    found["grade"] = pd.Series(np.select([few, strong], ["thin", "strong"], "some"), found.index, dtype="str")
    found["movable"] = found["key"].map(MOVABLE).astype("float64")
    closed = deals_of(book)
    won = closed.loc[closed["outcome"] == "won", "amount"].sum() if "amount" in closed else 0.0
    worth = found["money"].fillna(UNKNOWN_WORTH * max(float(won), 1.0))
    movable = found["movable"].mask(found["good"], 1.0)  # praise is for what is done, whatever could be changed
    found["score"] = (2 * found["p"] - 1) * worth * movable
    order = found.assign(_thin=found["grade"] == "thin", _stage=found["stage"].fillna(""))
    order = order.sort_values(["_thin", "score", "key", "_stage"], ascending=[True, False, True, True], kind="stable")
    return order.drop(columns=["_thin", "_stage"]).reset_index(drop=True)


def sentence_of(book: Book, row: Mapping[Any, Any], say: Words) -> str:
    """A finding as one sentence with its range and n."""
    key = str(row["key"])
    whole = key == "volume"
    told = {c: say.number(row[c]) if whole else say.percent(row[c]) for c in ("value", "usual", "low", "high")}
    if is_known(row["stage"]):
        told["stage"] = book.process.stage_label(str(row["pipeline"]), str(row["stage"]), say.language)
    text = say(SENTENCES[key], **told)
    if is_known(row["low"]) and is_known(row["high"]):
        n, low, high = say.number(row["n"]), told["low"], told["high"]
        return say("{finding} (range {low}–{high}, n = {n}).", finding=text, n=n, low=low, high=high)
    return say("{finding} (n = {n}).", finding=text, n=say.number(row["n"]))


def money_of(book: Book, row: Mapping[Any, Any], say: Words) -> str:
    """What a finding goes with, in words; empty where it is not known."""
    if not is_known(row["money"]) or row["money"] <= 0:
        return ""
    return say("goes with about {amount}", amount=say.short_money(_two_digits(row["money"]), currency_of(book)))


def _two_digits(amount: float) -> float:
    return float(f"{amount:.2g}")


def _help(book: Book, row: Mapping[Any, Any], say: Words) -> str:
    """What a finding calls for: the hint of its stage in the process file, else what usually helps."""
    general = say(HELP[str(row["key"])])
    if not is_known(row["stage"]):
        return general
    hint = coach_hint(book, str(row["pipeline"]), str(row["stage"]), say.language)
    return say(joined([hint, general], " ")) if hint else general


def _more(own: _Own, gap: GapFit | None) -> int | None:
    """About how many more closed deals would let a first stage be told from luck, at as many passages per closed deal
    as there were in the period; rounded up to five.
    """
    if gap is None:
        return None
    closed = float(own.wins["n"])
    steps = gap.table[gap.table["part"] == "conversion"]
    lacking = [
        (gap.needed[r["pipeline"], r["stage"]] - r["n"]) * closed / r["n"]
        for r in _records(steps)
        if r["n"] > 0 and gap.needed[r["pipeline"], r["stage"]] > r["n"]
    ]
    if not lacking or not closed:
        needed = list(gap.needed.values())
        return None if closed or not needed else _fives(min(needed))
    return _fives(min(lacking))


def _fives(number: float) -> int:
    return 5 * ceil(number / 5)
