"""A process file drafted from the stage names in the data, for a person to edit."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from slugify import slugify

from salescoach.errors import Sentence, commas, counted, joined
from salescoach.process import Pipeline, Process, Stage, StageName, Words, fold_name
from salescoach.sources.toml_text import commented, quoted, quoted_list, remark
from salescoach.wording import N_

# words of a stage name or status that say how a deal ended
ENDINGS = {
    "won": re.compile(r"\bwon\b|\bwin\b|赢|(?<![未不没])成交|成单|中标|签约成功"),
    "lost": re.compile(r"\blost\b|\blose\b|输|丢单|失单|流失|战败|未成交|未中标"),
    "void": re.compile(r"\b(void|duplicate|invalid|cancell?ed|disqualified|test)\b|作废|无效|取消|重复|测试"),
}
ALIKE = 0.85
ENOUGH_DEALS = 50_000
MOMENT = 1 / 86_400  # of a day: a shorter stay is the order of two entries, no time
STAYS = 5  # so many completed stays are needed to speak of a median
CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclass
class Seen:
    """What the data tell of the stages of one pipeline.

    names        stage names as written, in the order of their first appearance, with how many deals stand there
    before       (folded name, folded name) -> deals that entered the first before the second
    medians      folded name -> median days and number of completed stays
    probability  folded name -> median probability
    ended        folded name -> the one outcome that all its deals have, by a status column
    """

    names: dict[str, int] = field(default_factory=dict)
    before: Counter[tuple[str, str]] = field(default_factory=Counter)
    medians: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    probability: Mapping[str, float] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)


def ending(name: str) -> str | None:
    """The outcome that a stage name or status speaks of."""
    folded = fold_name(name)
    said = [outcome for outcome, words in ENDINGS.items() if words.search(folded)]
    return "lost" if "lost" in said else said[0] if said else None


def log_told(log: pd.DataFrame) -> tuple[Counter[tuple[str, str]], dict[str, tuple[float, int]]]:
    """Which stage comes before which, and how long deals stay: from deal_id, at, name (folded)."""
    some = log["deal_id"].drop_duplicates().head(ENOUGH_DEALS)
    entries = log[log["deal_id"].isin(some)].sort_values(["deal_id", "at"], kind="stable")
    entries = entries[(entries["deal_id"] != entries["deal_id"].shift()) | (entries["name"] != entries["name"].shift())]
    same = entries["deal_id"] == entries["deal_id"].shift(-1)
    days = (entries["at"].shift(-1) - entries["at"]).where(same).dt.total_seconds() / 86_400
    stays = days[days > MOMENT].groupby(entries["name"]).agg(["median", "count"]).dropna()
    medians = {str(n): (float(m), int(c)) for n, m, c in stays.itertuples(name=None) if c >= STAYS}
    first = entries.drop_duplicates(["deal_id", "name"])
    pairs = first.merge(first, on="deal_id")
    pairs = pairs[pairs["at_x"] < pairs["at_y"]]
    return Counter(zip(pairs["name_x"], pairs["name_y"], strict=True)), medians


# --- the draft -------------------------------------------------------------------------------------


@dataclass
class StageDraft:
    """One stage with a remark for each name, and what a person should check."""

    stage: Stage
    names: list[tuple[StageName, str]]
    remarks: dict[str, str] = field(default_factory=dict)


def process_text(base: Process, seen: Mapping[str, Seen], files: Sequence[str]) -> tuple[Sentence, list[str]]:
    """The text of a process file, and what a person must check. `seen` is by pipeline of the base."""
    doubts: list[str] = []
    parts = [_head(base, files)]
    for key, pipeline in base.pipelines.items():
        stages, left_out = _stages(pipeline, seen.get(key, Seen()), doubts)
        parts.append(_pipeline_text(key, pipeline, left_out))
        parts += [_stage_text(key, s) for s in stages]
    zone = base.calendar.timezone
    doubts.append(
        Sentence(
            "The time zone: {zone}, as in the process this draft starts from. Nothing in the data says it.", zone=zone
        )
    )
    return joined(parts, "\n"), doubts


def _stages(pipeline: Pipeline, seen: Seen, doubts: list[str]) -> tuple[list[StageDraft], list[Stage]]:
    """The stages of a pipeline, in order, and those of the base that the data do not have."""
    known = {n: pipeline.resolve(n) for n in seen.names}
    found = {s.key: [n for n, k in known.items() if k == s.key] for s in pipeline.stages}
    drafts = {s.key: StageDraft(s, _names_of(s, found[s.key], seen)) for s in pipeline.stages}
    fresh = [n for n, k in known.items() if k is None]
    closing = {n: end for n in fresh if (end := ending(n) or seen.ended.get(fold_name(n))) is not None}
    for name, end in closing.items():
        target = {"won": pipeline.won, "lost": pipeline.lost[0], "void": pipeline.void}[end]
        if target is not None:
            why = Sentence("its words") if ending(name) else Sentence("the status of its deals")
            drafts[target.key].names.append(
                (StageName(name=name), Sentence("check: taken for {end} by {why}", end=end, why=why))
            )
            doubts.append(Sentence("{name!r} is taken for {end} by {why}.", name=name, end=end, why=why))
    own = [n for n in fresh if n not in closing or (closing[n] == "void" and pipeline.void is None)]
    if not own:
        return [_with_all_names(d) for d in drafts.values()], []
    used = [_with_dated_names(d) for d in drafts.values() if d.stage.outcome is None and d.names]
    left_out = [d.stage for d in drafts.values() if d.stage.outcome is None and not d.names]
    taken = {f for s in pipeline.stages for f, _ in s.meanings()} | {fold_name(n) for n in own}
    for name in own:
        key = _key(name, taken)
        taken.add(key)
        used.append(_own_stage(key, name, seen, pipeline))
    by, how = _order(used, pipeline, seen)
    working = [used[i] for i in by]
    listed = commas(repr(n) for n in own)
    doubts.append(
        Sentence(
            "Stages of your own, as the process does not know their names: {listed}. Their order: {how}.",
            listed=listed,
            how=how,
        )
    )
    for outcome in ("won", "lost"):
        if not any(d.names for d in drafts.values() if d.stage.outcome == outcome) and not seen.ended:
            doubts.append(
                Sentence("No stage in the data reads as {outcome}. Put its name under {outcome}.", outcome=outcome)
            )
    closed = [_with_all_names(d) for d in drafts.values() if d.stage.outcome is not None]
    return [*working, *closed], left_out


def _names_of(stage: Stage, found: Iterable[str], seen: Seen) -> list[tuple[StageName, str]]:
    """The names found, with the dates that the base gives them."""
    dated = {fold_name(n.name): n for n in stage.names}
    return [(dated.get(fold_name(n), StageName(name=n)), _many(seen.names[n])) for n in found]


def _with_all_names(draft: StageDraft) -> StageDraft:
    """The names found first, then those that the base knows as well."""
    have = {fold_name(n.name) for n, _ in draft.names}
    draft.names += [(n, "") for n in draft.stage.names if fold_name(n.name) not in have]
    return draft


def _with_dated_names(draft: StageDraft) -> StageDraft:
    """Names that meant this stage for a time only belong together with those of another stage."""
    dated = any(n.since or n.until for n in draft.stage.names)
    return _with_all_names(draft) if dated else draft


def _own_stage(key: str, name: str, seen: Seen, pipeline: Pipeline) -> StageDraft:
    label = Words(zh=name) if CHINESE.search(name) else Words(en=name)
    median = seen.medians.get(fold_name(name))
    stage = Stage(key=key, label=label, expect_days=None if median is None else float(max(1, round(median[0]))))
    owners = {f: s.key for s in pipeline.stages for f, _ in s.meanings()}
    near = difflib.get_close_matches(fold_name(name), list(owners), n=1, cutoff=ALIKE)
    here = _many(seen.names[name])
    if near:
        here = Sentence("{here}; check: the same as a name of {stage}?", here=here, stage=owners[near[0]])
    why = "" if median is None else Sentence("the median of {n:,} stays in the data: check", n=median[1])
    return StageDraft(stage, [(StageName(name=name), here)], {"expect_days": why})


def _many(deals: int) -> str:
    if not deals:
        return Sentence("in the stage history")
    return counted(deals, N_("{n:,} deal here"), N_("{n:,} deals here"))


def _key(name: str, taken: set[str]) -> str:
    """A short name that fits the rules of a process file and no other stage has."""
    slug = slugify(name, separator="_", max_length=30)
    slug = slug if re.match(r"[a-z]", slug) else f"stage_{slug}".rstrip("_")
    keys = (slug if number == 1 else f"{slug}_{number}" for number in range(1, len(taken) + 2))
    return next(key for key in keys if key not in taken - {fold_name(name)})


def _order(drafts: Sequence[StageDraft], pipeline: Pipeline, seen: Seen) -> tuple[list[int], str]:
    """The places of the stages in the order that the data suggest, and what suggests it."""
    folded = [{fold_name(n.name) for n, _ in d.names} for d in drafts]
    given = [pipeline.order(d.stage.key) if d.stage.key in pipeline.keys else len(pipeline.keys) for d in drafts]
    places = range(len(drafts))

    def ahead(one: int, other: int) -> int:
        counts = [sum(seen.before[a, b] for a in folded[i] for b in folded[j]) for i, j in ((one, other), (other, one))]
        return (counts[0] > counts[1]) - (counts[0] < counts[1])

    wins = [sum(ahead(i, j) for j in places if j != i) for i in places]
    if any(wins):
        return sorted(places, key=lambda i: (-wins[i], given[i])), Sentence("as deals went through them")
    chances = [[seen.probability[f] for f in names if f in seen.probability] for names in folded]
    if all(chances) and len({min(c) for c in chances}) > 1:
        return sorted(places, key=lambda i: (min(chances[i]), given[i])), Sentence("by their probability")
    return sorted(places, key=lambda i: given[i]), Sentence("as found, because nothing in the data tells it: check")


# --- the text --------------------------------------------------------------------------------------


def _head(base: Process, files: Sequence[str]) -> str:
    calendar = base.calendar
    lines = [
        Sentence(
            "# Drafted by `salescoach init --from-data` from {files}. It is yours: edit it.",
            files=commas(map(remark, files)),
        ),
        Sentence("# Stages stand in the order in which a deal goes through them; see templates/process/standard.toml."),
        "",
        "version = 1",
        f"name = {_words(base.name)}",
        "",
        "[calendar]",
        commented(
            f"timezone = {quoted(calendar.timezone)}", Sentence("check: stamps without a zone are read in this one")
        ),
        f"workdays = {quoted_list(calendar.workdays)}",
    ]
    if calendar.hours:
        lines.append(f"hours = {quoted_list(calendar.hours)}")
    if calendar.holidays and not calendar.holidays.casefold().endswith(".csv"):
        lines.append(commented(f"holidays = {quoted(calendar.holidays)}", Sentence("check")))
    for key in ("days_off", "days_on"):
        days = getattr(calendar, key)
        lines += [f"{key} = [{', '.join(d.isoformat() for d in days)}]"] if days else []
    year = calendar.fiscal_year
    weeks = f"pattern = {quoted(year.pattern or '')}, ends = {quoted(year.ends or '')}"
    start = weeks if year.start_month is None else f"start_month = {year.start_month}"
    return joined([*lines, f"fiscal_year = {{ {start}, label = {quoted(year.label)} }}", ""], "\n")


def _words(words: Words) -> str:
    return "{ " + ", ".join(f"{k} = {quoted(v)}" for k, v in (("en", words.en), ("zh", words.zh)) if v) + " }"


def _pipeline_text(key: str, pipeline: Pipeline, left_out: Sequence[Stage]) -> str:
    lines = [f"[pipelines.{key}]", f"label = {_words(pipeline.label)}"]
    if pipeline.match is not None:
        lines.append(f"match = {{ pipeline = {quoted_list(pipeline.match.pipeline)} }}")
    if left_out:
        keys = commas(s.key for s in left_out)
        lines.append(Sentence("# Not in the data and left out: {keys}.", keys=keys))
    return joined([*lines, ""], "\n")


def _stage_text(pipeline: str, draft: StageDraft) -> str:
    stage = draft.stage
    lines = [f"[[pipelines.{pipeline}.stages]]", f"key = {quoted(stage.key)}"]
    lines += [f"outcome = {quoted(stage.outcome)}"] if stage.outcome else []
    lines += [f"label = {_words(stage.label)}"]
    if draft.names:
        lines += ["names = [", *(commented(f"  {_name(n)},", r) for n, r in draft.names), "]"]
    for key in ("expect_days", "first_response_hours", "touch_every_days"):
        value = getattr(stage, key)
        lines += [commented(f"{key} = {value:g}", draft.remarks.get(key, ""))] if value is not None else []
    lines += [f"enter = {quoted_list(stage.enter)}"] if stage.enter else []
    lines += [f"exit = {quoted_list(stage.exit)}"] if stage.exit else []
    lines += [f"coach = {_words(stage.coach)}"] if stage.coach else []
    return joined([*lines, ""], "\n")


def _name(name: StageName) -> str:
    extra = [f"{k} = {d}" for k, d in (("since", name.since), ("until", name.until)) if d is not None]
    extra += ["retired = true"] if name.retired else []
    return f"{{ name = {quoted(name.name)}, {', '.join(extra)} }}" if extra else quoted(name.name)
