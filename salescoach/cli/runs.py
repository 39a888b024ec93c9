"""Commands on what stands published: `verify` and `why`."""

from __future__ import annotations

import sys
from typing import Any

import click

from salescoach.cli.command import Command, print_json, tell
from salescoach.errors import Sentence, commas

STATUSES = {"done": Sentence("done"), "failed": Sentence("failed")}


@click.command(cls=Command)
@click.argument("out", metavar="DIR")
def verify(out: str) -> None:
    """Hash everything that the newest run in DIR published, and say what is not as the run left it."""
    from salescoach.batch.published import read_manifest
    from salescoach.batch.published import verify as problems_of

    problems = problems_of(out)
    for problem in problems:
        tell(problem, err=True)
    if problems:
        sys.exit(70)
    manifest: dict[str, Any] = read_manifest(out) or {}
    there, stale = manifest["done"] + manifest["stale"], manifest["stale"]
    kept: str = Sentence(", {n} of them stale", n=stale) if stale else ""
    tell(
        "{there} reports are as the run of {made_at} left them{kept}.",
        there=there,
        made_at=manifest["made_at"],
        kept=kept,
    )
    for purge in manifest.get("purged", []):
        tell("{pages} pages were purged on {on}.", pages=purge["pages"], on=purge["on"])


@click.command(cls=Command)
@click.argument("out", metavar="DIR")
@click.argument("subject", metavar="REP")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, in English.")
def why(out: str, subject: str, as_json: bool) -> None:
    """Explain the reports about one rep or team: from what they were made, how it went, what stands there now."""
    from salescoach.batch.failures import failure
    from salescoach.batch.published import why as reports_of

    reports = reports_of(out, subject)
    if as_json:
        print_json(reports, indent=1)
        return
    for report in reports:
        tell(
            "{file}: {status}, {seconds:.1f} s",
            file=report["file"],
            status=STATUSES.get(report["status"], report["status"]),
            seconds=report["seconds"],
        )
        if report["error"]:
            tell("  error     {error}", error=failure(report["error"]))
        if report["stale"]:
            tell(
                "  stands    the page of an earlier run, data as of {as_of}",
                as_of=report["stale"]["as_of"][:10],
            )
        tell(
            "  notebook  {notebook} ({parameters})",
            notebook=report["notebook"],
            parameters=commas(f"{k}={v!r}" for k, v in report["parameters"].items()),
        )
        tell("  inputs    {key}", key=report["key"][:16])
        if report["sha256"]:
            tell(
                "  page      sha256 {sha256}, {bytes} bytes",
                sha256=report["sha256"][:16],
                bytes=report["bytes"],
            )
