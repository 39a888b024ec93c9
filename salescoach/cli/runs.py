"""Commands on what stands published: `verify` and `why`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from salescoach.cli.command import Command, tell


@click.command(cls=Command)
@click.argument("out", metavar="DIR")
def verify(out: str) -> None:
    """Hash everything that the newest run in DIR published, and say what is not as the run left it.

    \b
    Example:
      salescoach verify reports
    """
    from salescoach.batch.published import read_manifest
    from salescoach.batch.published import verify as problems_of

    problems = problems_of(out)
    for problem in problems:
        tell(problem, err=True)
    if problems:
        sys.exit(70)
    manifest: dict[str, Any] = read_manifest(out) or {}
    there, stale = manifest["done"] + manifest["stale"], manifest["stale"]
    kept = f", {stale} of them stale" if stale else ""
    tell(f"{there} reports are as the run of {manifest['made_at']} left them{kept}.")
    for purge in manifest.get("purged", []):
        tell(f"{purge['pages']} pages were purged on {purge['on']}.")


@click.command(cls=Command)
@click.argument("out", metavar="DIR")
@click.argument("subject", metavar="REP")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def why(out: str, subject: str, as_json: bool) -> None:
    """Explain the reports about one rep or team: from what they were made, how it went, what stands there now.

    \b
    Example:
      salescoach why reports "Ana Souza"
    """
    from salescoach.batch.published import why as reports_of

    reports = reports_of(out, subject)
    if as_json:
        tell(json.dumps(reports, ensure_ascii=False, indent=1))
        return
    for report in reports:
        tell(f"{report['file']}: {report['status']}, {report['seconds']:.1f} s")
        if report["error"]:
            tell(f"  error     {report['error']}")
        if report["stale"]:
            tell(f"  stands    the page of an earlier run, data as of {report['stale']['as_of'][:10]}")
        tell(f"  notebook  {report['notebook']} ({', '.join(f'{k}={v!r}' for k, v in report['parameters'].items())})")
        tell(f"  inputs    {report['key'][:16]}")
        if report["sha256"]:
            tell(f"  page      sha256 {report['sha256'][:16]}, {report['bytes']} bytes")
