"""The coaching session in the browser: started on this machine only, stopped with Ctrl-C."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path

import click

from salescoach.cli.command import Command, open_any, tell
from salescoach.cli.options import book_option, language_option, ledger_option
from salescoach.errors import UsageError

PERIOD = "last 365 days"


@click.command(cls=Command)
@book_option
@click.option("--rep", default=None, metavar="R", help="A rep's own view (id or name): nothing of the others is in it.")
@click.option("--team", default="", metavar="T", help="Begin with this team.")
@click.option("--period", default=PERIOD, show_default=True, metavar="P", help="Begin with this period.")
@language_option
@ledger_option
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port on this machine (default: a free one).")
@click.option("--front", type=click.Choice(["voila", "lab"]), default=None, help="Voilà, or JupyterLab without it.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def app(
    book: str,
    rep: str | None,
    team: str,
    period: str,
    language: str,
    ledger: str,
    port: int | None,
    front: str | None,
    browser: bool,
) -> None:
    """The coaching session in the browser; Ctrl-C ends it.

    It listens on this machine alone, and its address holds a token. With --rep only that rep's slice of the data is
    given to it.
    """
    from salescoach.app.server import front_of, served, wait_for_end

    if rep and team:
        raise UsageError("Give a rep or a team, not both.")
    front = front_of(front)
    with tempfile.TemporaryDirectory(prefix="salescoach-session-") as private:
        parameters = _parameters(book, rep, team, period, language, ledger, Path(private))
        with served(parameters, port or 0, front) as running:
            tell("Open {url}", url=running.url)
            tell("Ctrl-C ends the session.")
            if browser:
                webbrowser.open(running.url)
            code = wait_for_end(running)
    if code:
        sys.exit(code)


def _parameters(
    book: str, rep: str | None, team: str, period: str, language: str, ledger: str, private: Path
) -> dict[str, object]:
    """What the notebook is opened with; of a rep's own view the slice alone."""
    from salescoach.book import write_folder
    from salescoach.coaching.ledger import ledger_of
    from salescoach.reports import open_report

    whole = open_any(book)
    kept = ledger or str(ledger_of(book).resolve())
    shared: dict[str, object] = {"period": period, "language": language, "ledger": kept}
    if rep is None:
        open_report(whole, team=team or None, period=period or None)
        place = book if book == "demo" else str(Path(book).resolve())
        return {**shared, "book": place, "team": team, "rep": "", "own": False}
    report = open_report(whole, rep=rep, period=period or None)
    slice_ = private / "book"
    slice_.mkdir()
    write_folder(report.book, slice_)
    rep_id = str(report.book.people["rep_id"].iloc[0])
    return {**shared, "book": str(slice_), "team": "", "rep": rep_id, "own": True}
