"""The page to open first, from what the manifest of a run says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from salescoach.batch.failures import failure
from salescoach.reports import overview_html
from salescoach.wording import N_, Words

SEARCHED_FROM = 12  # subjects on one index
SECTIONS = (
    ("company", N_("Company"), N_("For the management."), N_("For")),
    ("team", N_("Teams"), N_("For each team's manager. The roster names people: do not pass it on."), N_("Team")),
    ("rep", N_("Reps"), N_("One page for each one-to-one. A rep's folder holds only what is theirs."), N_("Rep")),
)


def index_page(manifest: Mapping[str, Any], say: Words) -> str:
    """What was made, for whom, what failed, is stale or was purged, and whom the book has none of."""
    reports, book, sections = manifest["reports"], manifest["book"], []
    for per, title, note, who in SECTIONS:
        rows = _rows([report for report in reports if report["per"] == per], say)
        if rows:
            sections.append(
                {"title": say(title), "note": say(note), "who": say(who), "report": say("Open"), "rows": rows}
            )
    failed = sum(report["status"] != "done" for report in reports)
    day = date.fromisoformat(book.get("as_of_on", book["as_of"][:10]))
    facts = [say("Data as of {day}", day=say.date(day)), say("{n} reports made", n=len(reports) - failed)]
    if failed:
        facts.append(say("{n} reports failed", n=failed))
    facts += [say(gap) for gap in manifest["gaps"]]
    facts += [
        say("{n} pages were purged on {day}", n=purge["pages"], day=say.date(date.fromisoformat(purge["on"])))
        for purge in manifest.get("purged", [])
    ]
    purpose = [
        say("Numbers are prompts for a conversation, not a verdict: n and range stand beside each of them."),
        say("salescoach {version} · data {hash}", version=manifest["salescoach"], hash=book["content_hash"][:12]),
    ]
    search = say("Search for a name") if len({report["subject"] for report in reports}) > SEARCHED_FROM else ""
    return overview_html(say("Coaching reports"), say.language, facts, sections, purpose, search)


def _rows(reports: Sequence[Mapping[str, Any]], say: Words) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for report in reports:
        links = rows.setdefault(report["subject"], {"name": report["name"] or say("All teams"), "links": []})["links"]
        question, href = say(report["question"]), quote(report["file"])
        if report["status"] == "done":
            links.append({"text": question, "href": href})
            continue
        if report["stale"]:
            day = say.date(date.fromisoformat(report["stale"]["as_of"][:10]))
            links.append({"text": say("{report}: stale, as of {day}", report=question, day=day), "href": href})
        links.append(
            {"text": say("{report}: failed ({error})", report=question, error=failure(report["error"])), "href": ""}
        )
    return list(rows.values())
