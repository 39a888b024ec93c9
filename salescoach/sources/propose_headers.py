"""Which header of an unknown export is which column of ours: by spelling, by its words, by what the column holds."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import pandas as pd

from salescoach.book import OUTCOMES, TABLES
from salescoach.errors import InputError, Sentence, commas
from salescoach.process import Process, fold_name
from salescoach.sources import parse
from salescoach.sources.detect import fold_header
from salescoach.sources.layout import TableFormat, TableSource, presets
from salescoach.sources.place import Place, name_of, title
from salescoach.sources.propose_formats import Writing
from salescoach.sources.propose_process import ending
from salescoach.sources.read import read_header, read_raw

NEAR = 0.85
SKIPPED = 10  # lines above the header that are looked through
STAGES_AT_MOST = 25
OPEN_WORDS = re.compile(r"\b(open|active|in progress|running|pending)\b|进行|跟进|在谈|未结束|未成交")
DATE_LIKE = r"\d{1,4}[-/.年]\d{1,2}|\d{5}|\d{1,2}[ -][A-Za-z]{3}|[A-Za-z]{3,} \d{1,2}"
NUMBER_LIKE = r"[^\d]{0,5}\d[\d,. ]*\s?(%|％|万|亿|元|[A-Za-z]{3}|[€£$])*"
IN_BRACKETS = r"\s*[(\[（].*?[)\]）]"
# words by which people call a column, tried where no preset spells it so; the first that holds such values counts
WORDS = {
    "deal_id": r"\b(id|ref|reference|number|no)\b|编号|单号",
    "stage": r"\b(stage|phase|step)\b|阶段|环节",
    "rep_id": r"\b(rep|seller|agent|owner|salesperson|responsible|assigned)\b|负责|销售员|业务员|顾问|归属",
    "expected_close_on": r"\b(expected|planned|forecast|target)\b|预计|预期|计划",
    "created_at": r"\b(created|opened|open|start|started|begin)\b|创建|录入|建档|登记|立项",
    "closed_at": r"\b(closed|closing|close|won on|signed)\b|成交|关闭|签约|结束|结单",
    "entered_at": r"\b(date|time|when|at|entered|changed)\b|时间|日期",
    "amount": r"\b(amount|value|worth|sum|total|price|revenue)\b|金额|价格|总价",
    "account_id": r"\b(account|company|customer|client|organisation|organization)\b|客户|公司",
    "probability": r"\b(prob|probability|likelihood|chance)\b|概率|可能性|赢率",
    "lead_source": r"\b(source|channel|origin)\b|来源|渠道",
    "lost_reason": r"\b(lost|loss) reason\b|(输|丢|失)单原因|失败原因",
    "name": r"\b(name|title|subject|topic)\b|名称|主题",
    "outcome": r"\b(status|state|result|outcome)\b|状态|结果",
}
EXACT, LIKE, BY_WORD, LAST = range(4)


@dataclass
class TableDraft:
    """One table: its files as one text table, and which header is taken for which column of ours.

    known    the table of the preset that fits, with its formats and words; None where all is guessed
    guesses  columns of ours whose header was guessed
    """

    name: str
    places: list[Place]
    text: pd.DataFrame
    columns: dict[str, str]
    known: TableSource | None = None
    guesses: set[str] = field(default_factory=set)
    skip: int = 0
    writings: dict[str, Writing] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)

    @property
    def format(self) -> TableFormat:
        return self.known.format if self.known is not None else TableFormat()

    def values(self, ours: str) -> pd.Series:
        """One column as text, blanks null, with the words of the preset in ours."""
        text = parse.blank_to_null(self.text[self.columns[ours]], self.format.for_column(ours).null or ())
        words = {} if self.known is None else {fold_name(k): v for k, v in self.known.values.get(ours, {}).items()}
        return (
            parse.blank_to_null(text.map(lambda v: words.get(fold_name(v), v), na_action="ignore")) if words else text
        )


def text_of(places: Sequence[Place], written: TableFormat) -> pd.DataFrame:
    """The records of several files as one text table."""
    f = written
    raws = [read_raw(p, "", f.skip, f.skip_footer, f.sheet, f.delimiter, f.encoding) for p in places]
    return pd.concat([r.frame for r in raws], ignore_index=True).fillna("")


@cache
def _spellings(table: str) -> dict[str, Counter[str]]:
    """ours -> folded header -> how many presets spell it so."""
    known: dict[str, Counter[str]] = {}
    for preset in presets().values():
        if table in preset.tables:
            for ours, theirs in preset.tables[table].columns.items():
                if ours in TABLES[table].readable:
                    known.setdefault(ours, Counter()).update({fold_header(t) for t in theirs})
    return known


def from_headers(places: Sequence[Place]) -> dict[str, TableDraft]:
    """The table that each file fits best; files with the same headers are of one table."""
    texts: dict[tuple[str, ...], tuple[list[Place], pd.DataFrame, int]] = {}
    for place in places:
        skip = _lines_above(place)
        text = text_of([place], TableFormat(skip=skip))
        same = texts.setdefault(tuple(sorted(map(str, text.columns))), ([], text.head(0), skip))
        same[0].append(place)
        texts[tuple(sorted(map(str, text.columns)))] = (same[0], pd.concat([same[1], text], ignore_index=True), skip)
    groups = list(texts.values())
    deals = max(groups, key=lambda g: (_title_says(g[0][0], "deals"), len(_guess("deals", g[1], {}))))
    drafts = {"deals": TableDraft("deals", deals[0], deals[1], {}, skip=deals[2])}
    drafts["deals"].columns = _guess("deals", deals[1], {})
    drafts["deals"].guesses = set(drafts["deals"].columns)
    for group in groups:
        if group is not deals and (best := _other_table(group[0][0], group[1], set(drafts))) is not None:
            columns = _guess(best, group[1], {})
            drafts[best] = TableDraft(best, group[0], group[1], columns, guesses=set(columns), skip=group[2])
    return drafts


def _lines_above(place: Place) -> int:
    """How many lines stand above the header: it is the line with the most headers that some preset knows."""
    everything = {s for t in TABLES for spelled in _spellings(t).values() for s in spelled}

    def known(skip: int) -> tuple[int, int]:
        try:
            header = read_header(place, skip)
        except InputError:
            return 0, 0
        return sum(fold_header(h) in everything for h in header), len(header)

    first, width = known(0)
    if first > 1:
        return 0
    below = {skip: hits for skip in range(1, SKIPPED) for hits, wide in [known(skip)] if wide >= width}
    best = max(below, key=lambda skip: below[skip], default=0)
    return best if below.get(best, 0) > max(first, 1) else 0


def _title_says(place: Place, table: str) -> bool:
    return fold_header(title(place)).startswith(table.rstrip("s"))


def _other_table(place: Place, text: pd.DataFrame, taken: set[str]) -> str | None:
    scored = []
    for name, table in TABLES.items():
        if name in taken:
            continue
        columns = _guess(name, text, {})
        whole = all(m in columns for m in table.mandatory) and len(columns) > 1
        key = columns.get(table.mandatory[0])
        unique = len(table.key) > 1 or key is None or text[key].str.strip().is_unique
        if whole and (unique or name == "activities"):
            scored.append((len(columns), _title_says(place, name), name))
    return max(scored)[2] if scored else None


def _guess(table: str, text: pd.DataFrame, have: Mapping[str, str], most: int = LAST) -> dict[str, str]:
    """ours -> header, for headers that are spelled like ours and whose columns hold what ours does.

    have   what is mapped already
    most   how far a guess may go: EXACT, LIKE or BY_WORD; LAST is what the values of a status suggest
    """
    order = list(TABLES[table].readable)
    hits: list[tuple[int, int, int, str, str]] = []
    for header in (str(h) for h in text.columns if h not in have.values()):
        for ours, (tier, votes) in _alike(table, header).items():
            if ours not in have and _holds(table, ours, text[header]):
                decided = table == "deals" and ours == "stage" and _is_status(text[header])
                hits.append((LAST if decided else tier, -votes, order.index(ours), ours, header))
                if decided and "outcome" not in have:
                    hits.append((BY_WORD, 0, order.index("outcome"), "outcome", header))
    columns: dict[str, str] = {}
    for tier, _, _, ours, header in sorted(hits):
        if tier <= most and ours not in columns and header not in columns.values():
            columns[ours] = header
    return columns


def _alike(table: str, header: str) -> dict[str, tuple[int, int]]:
    """Columns of ours that a header may mean: how far the guess goes, and how many presets spell it so."""
    exact = fold_header(header)
    plain = re.sub(IN_BRACKETS, "", re.sub(r"([a-z])([A-Z])", r"\1 \2", header))
    plain = fold_header(re.sub(r"[_.\-]+", " ", plain))
    found: dict[str, tuple[int, int]] = {}
    for ours, votes in _spellings(table).items():
        near = exact if exact in votes else plain if plain in votes else _nearest(plain, votes)
        if near is not None:
            found[ours] = (EXACT if near == exact else LIKE, votes[near])
    said = [o for o, words in WORDS.items() if o in TABLES[table].readable and re.search(words, plain)]
    return found or {ours: (BY_WORD, -place) for place, ours in enumerate(said)}


def _is_status(text: pd.Series) -> bool:
    """Whether a column only says how deals ended."""
    values = parse.blank_to_null(text).dropna().unique()
    return len(values) > 0 and all(outcome_of(v) is not None for v in values)


def _nearest(header: str, spellings: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(header, list(spellings), n=1, cutoff=NEAR)
    return close[0] if close else None


def _holds(table: str, ours: str, text: pd.Series) -> bool:
    """Whether most of a column looks like what ours is to hold."""
    filled = parse.blank_to_null(text).dropna().head(1_000)
    role = TABLES[table].readable[ours]
    if filled.empty:
        return role not in ("id", "stage")
    if ours == "deal_id" and table == "deals":
        return bool(filled.nunique() >= 0.9 * len(filled))
    if role in ("instant", "date"):
        return bool(filled.str.contains(DATE_LIKE).mean() > 0.5)
    if role in ("money", "number", "share"):
        return bool(filled.str.fullmatch(NUMBER_LIKE).mean() > 0.5)
    if role == "outcome":
        return all(outcome_of(v) is not None for v in filled.unique())
    return role != "stage" or bool(filled.nunique() <= STAGES_AT_MOST)


def outcome_of(word: str) -> str | None:
    """The outcome that a word of a status column means."""
    folded = fold_name(word)
    if folded in OUTCOMES:
        return folded
    return "open" if OPEN_WORDS.search(folded) else ending(word)


def guess_more(draft: TableDraft, base: Process) -> None:
    """Headers for what is still missing: by spelling, then for the id and stage of deals by what the columns hold."""
    more = {} if draft.known is None else _guess(draft.name, draft.text, draft.columns, most=LIKE)
    if draft.name == "deals":
        for ours, search in (("stage", _stage_column), ("deal_id", _id_column)):
            have = {**draft.columns, **more}
            if ours not in have:
                more[ours] = search(draft, base, have)
        if "stage" in more and more["stage"] == draft.columns.get("outcome"):  # the one column there is says both
            del draft.columns["outcome"]
    order = [*TABLES[draft.name].readable, *draft.columns]
    draft.columns = dict(sorted({**draft.columns, **more}.items(), key=lambda item: order.index(item[0])))
    draft.guesses |= set(more)
    if "outcome" in draft.columns and (draft.known is None or "outcome" in more):
        words = parse.blank_to_null(draft.text[draft.columns["outcome"]]).dropna().unique()
        draft.outcomes = {w: end for w in words if (end := outcome_of(w)) is not None and w not in OUTCOMES}


def _stage_column(draft: TableDraft, base: Process, have: Mapping[str, str]) -> str:
    """The column with the most names that the process knows or that speak of an end; else the status."""
    known = {n for p in base.pipelines.values() for n in p.name_index}
    scores: dict[str, int] = {}
    for header in (str(h) for h in draft.text.columns if h not in have.values()):
        names = parse.blank_to_null(draft.text[header]).dropna().unique()
        if 2 <= len(names) <= STAGES_AT_MOST:
            scores[header] = sum(fold_name(n) in known or ending(n) is not None for n in names)
    best = max(scores, key=lambda h: scores[h], default="")
    if scores.get(best):
        return best
    if "outcome" in have:
        return have["outcome"]
    raise InputError(_nothing_like("stage", draft))


def _id_column(draft: TableDraft, _: Process, have: Mapping[str, str]) -> str:
    """The first column whose values are all there and all different."""
    for header in (str(h) for h in draft.text.columns):
        values = draft.text[header].str.strip()
        if header not in have.values() and (values != "").all() and values.is_unique:
            return header
    if "name" in have:
        return have["name"]
    raise InputError(_nothing_like("deal_id", draft))


def _nothing_like(ours: str, draft: TableDraft) -> str:
    what = {"stage": Sentence("names of stages"), "deal_id": Sentence("ids: filled in and different in every row")}[
        ours
    ]
    return Sentence(
        "{file}: none of its columns ({columns}) holds {what}. Copy templates/sources/generic.toml, say which "
        "column is `{ours}`, and give it with --source.",
        file=name_of(draft.places[0]),
        columns=commas(map(str, draft.text.columns)),
        what=what,
        ours=ours,
    )
