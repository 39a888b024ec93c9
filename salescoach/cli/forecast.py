"""`salescoach forecast`: what will be won, how sure that is, and how right such forecasts were before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from salescoach.cli.command import Command, open_any, print_json, put, scoped
from salescoach.cli.figures import print_table
from salescoach.cli.options import as_of_option, book_option, json_option, period_option, said_option
from salescoach.errors import Unavailable, UsageError
from salescoach.wording import N_

if TYPE_CHECKING:
    import pandas as pd

    from salescoach.book import Book
    from salescoach.models.fit import Advice
    from salescoach.models.forecast import Forecast
    from salescoach.models.forecast.bridge import Changes
    from salescoach.wording import Words

OF = {"company": N_("company"), "team": N_("teams"), "rep": N_("reps")}
MOST_DEALS = 10  # printed; --json has them all
AMOUNTS = ["value", "low", "high", "won", "open", "new", "n", "target", "to_reach", "rep_call", "manager_call"]
SCORES = ["method", "n_origins", "wape", "bias", "skill", "covered_50", "covered_80", "chosen", "as_good"]
DEALS = ["deal_id", "rep", "stage", "age_days", "amount", "chance", "expected", "similar_won", "similar_n"]


@click.command(cls=Command)
@book_option
@period_option
@click.option("--rep", default=None, metavar="R", help="Only this rep (id or name), seen within the whole company.")
@click.option("--team", default=None, metavar="T", help="Only this team and its reps, seen within the whole company.")
@click.option(
    "--since", default=None, metavar="DATE", help="Also what has changed since the forecast of that day (company)."
)
@as_of_option(N_("As it would have been on a past day, such as 2026-06-30."))
@said_option
@json_option
def forecast(
    book: str,
    period: str | None,
    rep: str | None,
    team: str | None,
    since: str | None,
    as_of: str | None,
    language: str,
    as_json: bool,
) -> None:
    """Forecast what will be won, with ranges and the record of each method on past days.

    The period is one that is not over; without --period, the quarter to come. In brackets: 80 % range.
    """
    from salescoach.models.forecast import fit_forecast
    from salescoach.models.forecast.bridge import forecast_changes
    from salescoach.wording import words

    if since and (rep or team):
        raise UsageError("--since is about the whole company: leave out --rep and --team.")
    whole = scoped(open_any(book), None, None, as_of)
    level, name = _asked(whole, rep, team)
    found = fit_forecast(whole, period)
    changes = forecast_changes(whole, since, now=found) if since else None
    say = words("en" if as_json else language)
    if as_json:
        print_json(as_dict(whole, found, level, name, changes, say))
    else:
        _print(whole, found, level, name, changes, say)


def _asked(book: Book, rep: str | None, team: str | None) -> tuple[str, str | None]:
    """The level of the forecast that is asked for, and whose. Raises UsageError for nobody of that name."""
    if rep and team:
        raise UsageError("Give --rep or --team, not both.")
    if rep:
        return "rep", str(book.for_rep(rep).people["rep_id"].iloc[0])
    if team:
        return "team", str(book.for_team(team).people["team"].iloc[0])
    return "company", None


def as_dict(
    book: Book, found: Forecast, level: str, name: str | None, changes: Changes | None, say: Words
) -> dict[str, Any]:
    """What --json prints: rows of `Forecast`, those of one team or rep alone where that was asked for."""
    from salescoach.cli.tables import records_of
    from salescoach.models.forecast.share import headline_of

    span = found.period
    content: dict[str, Any] = {
        "as_of": book.as_of_on.date().isoformat(),
        "currency": found.currency,
        "period": None if span is None else {"label": span.label, "start_on": span.start_on, "end_on": span.end_on},
        "lead": found.lead,
        "origins": found.origins,
        "headline": _said(headline_of(found, level), say),
        "warnings": [_said(w, say) for w in found.warnings],
        "table": records_of(_with_targets(book, _rows(found.table, level, name), found)),
        "deals": records_of(_rows(found.deals, level, name)),
        "scoreboard": records_of(found.scoreboard),
        "deal_scores": records_of(found.deal_scores),
        "calibration": records_of(found.calibration),
        "calls": records_of(found.calls),
    }
    if changes is not None and changes.since is not None:
        content["changes"] = {
            "since": changes.since.date().isoformat(),
            "then": changes.then,
            "now": changes.now,
            "lines": records_of(changes.table),
            "deals": records_of(changes.deals),
        }
    return content


def _rows(table: pd.DataFrame, level: str, name: str | None) -> pd.DataFrame:
    """All rows for the company, else those of one team and its reps, or of one rep."""
    return table if name is None else table[table["rep_id" if level == "rep" else "team"] == name]


def _with_targets(book: Book, rows: pd.DataFrame, found: Forecast) -> pd.DataFrame:
    """The rows with their target and the chance to reach it; null where none is set."""
    from salescoach.models.forecast import LEVELS, targets_of

    aims = {(level, name): aim for level in LEVELS for name, aim in targets_of(book, found, level).items()}
    told = [aims.get((row["level"], _name(row))) for row in rows.to_dict("records")]
    nan = float("nan")
    targets = [nan if aim is None else aim.amount for aim in told]
    chances = [nan if aim is None else aim.chance() for aim in told]
    return rows.assign(target=targets, to_reach=chances)


def _name(row: dict[Any, Any]) -> str:
    return {"rep": str(row["rep_id"]), "team": str(row["team"])}.get(row["level"], "")


def _print(book: Book, found: Forecast, level: str, name: str | None, changes: Changes | None, say: Words) -> None:
    from salescoach.models.forecast import METHODS
    from salescoach.models.forecast.share import headline_of

    put(_sentence(found.of(level, name).iloc[0], found, say))
    for line in (headline_of(found, level), *found.warnings):
        if line is not None:
            put(say(line.text, **line.values))
    below = {"company": "team", "team": "rep"}.get(level)
    rows = _rows(found.table, level, name)
    rows = _with_targets(book, rows[rows["level"].isin([level, below])], found)
    label = rows["rep"].where(rows["level"] == "rep", rows["team"]).fillna("(all)")
    told = [c for c in AMOUNTS if rows[c].notna().any()]
    _block(say("Forecast"), rows.assign(**{"": label})[["", *told]])
    board = found.scoreboard
    board = board[(board["lead"] == found.lead) & (board["level"] == level)]
    if len(board):
        names = board["method"].map(lambda method: say(METHODS[method]))
        title = say("{lead} days ahead, on past days ({level})", lead=found.lead, level=say(OF[level]))
        _block(title, board.assign(method=names)[SCORES])
    deals = _rows(found.deals, level, name)
    if len(deals):
        shown = deals.head(MOST_DEALS)[DEALS]
        _block(say("Open deals, {n} of {all}", n=len(shown), all=len(deals)), shown)
    if len(found.calls):
        _block(say("Own forecasts"), found.calls)
    if changes is not None:
        _print_changes(changes, found, say)


def _print_changes(changes: Changes, found: Forecast, say: Words) -> None:
    from salescoach.models.forecast.bridge import LINES

    assert changes.since is not None
    then, now = (say.money(amount, found.currency) for amount in (changes.then, changes.now))
    title = say("Since {day} the forecast went from {then} to {now}", day=say.date(changes.since), then=then, now=now)
    table = changes.table[(changes.table["n"] > 0) | (changes.table["value_minor"] != 0)]
    _block(title, table.assign(line=table["line"].map(lambda line: say(LINES[line])))[["line", "n", "value"]])


def _block(title: str, table: pd.DataFrame) -> None:
    put(f"\n{title}")
    print_table(table)


def _sentence(row: pd.Series, found: Forecast, say: Words) -> str:
    from salescoach.reports.forecast import SENTENCE

    if found.period is None:
        raise Unavailable("nothing is forecast without a period")
    who = say("All teams") if row["level"] == "company" else row[row["level"]]
    amounts = {c: say.money(row[c], found.currency) for c in ("value", "low", "high", "won", "open", "new")}
    return say(SENTENCE, who=who, period=found.period.label, n=say.number(row["n"]), **amounts)


def _said(advice: Advice | None, say: Words) -> str | None:
    return None if advice is None else say(advice.text, **advice.values)
