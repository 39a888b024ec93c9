"""Free text: reasons that people wrote in their own words, sorted into groups that are shown by their own sentences."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.counts import count_table
from salescoach.metrics.estimate import wilson
from salescoach.metrics.losses import Of
from salescoach.metrics.money import known_amount, money_keys
from salescoach.metrics.outcomes import decided_deals
from salescoach.models.fit import Advice, Fit
from salescoach.process import Period
from salescoach.wording import N_

FEWEST_TEXTS = 30
PER_GROUP = 8  # texts that a group has on average at least
MOST_GROUPS = 12
DRAWS = 10  # parts of the texts that are grouped anew
PART = 0.8
CLEAR = 0.7  # agreement (adjusted Rand index) between the groups of all texts and those of their parts
TRIED = 500  # texts on which numbers of groups are compared; all are grouped
SHOWN_TEXTS, SHOWN_WORDS = 3, 5
LONG_TEXT = 12  # median display width from which a column holds texts rather than choices
DIFFERENT = 0.5  # different texts per filled field, likewise, or as many as can be grouped
REST = 0  # number of the group of texts that stand in none

LATIN = re.compile(r"[^\W\d_]+")
CHINESE = re.compile(r"[㐀-鿿]+")
ENDINGS = ("ing", "ied", "ies", "ed", "es", "s")
KEPT = frozenset(("system", "interest", "bill", "call", "amount", "detail", "serious"))  # in sklearn's list of fillers
COURTESY = frozenset(("hi", "hello", "dear", "hope", "thanks", "thank", "best", "regards", "love", "like", "name"))
FILLERS = frozenset(("我们", "他们", "对方", "没有", "一个", "已经", "因为", "所以", "还是", "之后", "最后", "但是"))
MANY = N_("Of {n} different texts, {tried} chosen evenly settled the number of groups.")


@dataclass(frozen=True)
class Grouping:
    """Texts in groups.

    group       per text its number, the largest group first from 1; 0: it stands in none
    fit         per text how typical it is of its group
    stability   agreement (adjusted Rand index, 1: complete) between these groups and those made anew of random parts
    """

    group: np.ndarray[Any, np.dtype[np.int64]]
    fit: np.ndarray[Any, np.dtype[np.float64]]
    stability: float

    @property
    def clear(self) -> bool:
        return self.stability >= CLEAR


@dataclass(frozen=True)
class TextGroups(Fit):
    """Groups of free texts; see `fit_free_text`.

    column      where the texts stand
    sentences   group, place (1: most typical), text, deal_id
    stability   see `Grouping`
    """

    column: str = ""
    sentences: pd.DataFrame | None = None
    stability: float = float("nan")


def _sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise Unavailable(
            "grouping free texts needs the library `scikit-learn`, which is not installed: run "
            "`pip install 'salescoach[text]'`"
        ) from None


# --- texts to groups -------------------------------------------------------------------------------


def group_texts(texts: Sequence[str]) -> Grouping:
    """Texts into groups by the words they share, English and Chinese in one go; the same texts give the same groups.

    Words (without endings and fillers) and pairs of Chinese characters are weighed by TF-IDF and factored by
    non-negative matrices (Lee & Seung 1999, NNDSVDA start); each text goes to its strongest factor. The number of
    groups, 2 to 12, is the one whose groups agree best with those of ten random parts of the texts (Ben-Hur et al.
    2002). Raises Unavailable for fewer than 30 different texts and where scikit-learn is not installed.
    """
    _sklearn()
    known = sorted(set(texts))
    if len(known) < FEWEST_TEXTS:
        raise Unavailable(
            "there are {n} different texts; from about {needed} on they can be grouped",
            n=len(known),
            needed=FEWEST_TEXTS,
        )
    weights = _weights(known)
    if weights.shape[1] < 2:
        raise Unavailable("the texts have next to no word in common")
    group, fit, stability = _most_stable(weights)
    place = {text: i for i, text in enumerate(known)}
    at = np.array([place[text] for text in texts], dtype=np.int64)
    sizes = Counter(group[at].tolist())
    ranked = sorted((g for g in sizes if g >= 0), key=lambda g: (-sizes[g], g))
    numbered = np.array([ranked.index(g) + 1 if g >= 0 else REST for g in group.tolist()], dtype=np.int64)
    return Grouping(numbered[at], fit[at], stability)


def _most_stable(weights: Any) -> tuple[Any, Any, float]:
    """The groups and fits of the number of groups that is most stable, and its stability."""
    from threadpoolctl import threadpool_limits

    few = weights[:: -(-weights.shape[0] // TRIED)]
    most = min(MOST_GROUPS, few.shape[0] // PER_GROUP, weights.shape[1] - 1)
    with threadpool_limits(limits=1):  # many small products: sharing them out costs more than they do
        tried = {groups: _stability(few, groups) for groups in range(2, max(most, 2) + 1)}
        best = max(tried, key=lambda groups: tried[groups])
        return *_factors(weights, best), tried[best]


def _weights(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer=_terms, min_df=2, max_df=0.5, sublinear_tf=True)
    try:
        return vectors.fit_transform(texts)
    except ValueError:  # no word stands in two texts
        raise Unavailable("the texts have next to no word in common") from None


def _terms(text: str) -> list[str]:
    """The words of a text without their endings, and every two neighbouring Chinese characters."""
    return [_stem(word) for word in _words(text)] + [p for p in _phrases(text, 2) if p not in FILLERS]


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [w for w in LATIN.findall(CHINESE.sub(" ", plain)) if len(w) > 1 and w not in _fillers()]


@cache
def _fillers() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return (frozenset(ENGLISH_STOP_WORDS) - KEPT) | COURTESY


def _stem(word: str) -> str:
    ending = next((e for e in ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), "")
    return word[: len(word) - len(ending)]


def _phrases(text: str, *lengths: int) -> list[str]:
    runs = CHINESE.findall(unicodedata.normalize("NFKC", text))
    return [run[i : i + n] for run in runs for n in lengths for i in range(len(run) - n + 1)]


def _factors(weights: Any, groups: int) -> tuple[Any, Any]:
    """Each text's strongest factor (-1: it shares no word with any) and its cosine to that factor's words."""
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(groups, init="nndsvda", random_state=0, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the groups have settled long before the last digit
        strength = model.fit_transform(weights)
    length = np.linalg.norm(model.components_, axis=1)
    strength = strength * length
    group = np.where(strength.max(axis=1) > 0, strength.argmax(axis=1), -1)
    cosine = weights @ (model.components_ / np.where(length > 0, length, 1)[:, None]).T
    return group, np.asarray(cosine)[np.arange(len(group)), np.maximum(group, 0)]


def _stability(weights: Any, groups: int) -> float:
    from sklearn.metrics import adjusted_rand_score

    whole, _ = _factors(weights, groups)
    chance = np.random.default_rng(0)
    agreements = []
    for _ in range(DRAWS):
        some = np.sort(chance.permutation(weights.shape[0])[: int(PART * weights.shape[0])])
        agreements.append(adjusted_rand_score(whole[some], _factors(weights[some], groups)[0]))
    return float(np.mean(agreements))


def typical_words(texts: Iterable[str], others: Iterable[str], most: int = SHOWN_WORDS) -> list[str]:
    """The words that stand in many of the texts and few of the others, as they are written most often.

    Chinese words are runs of two to four characters; of those that share a character the most typical one is kept.
    """
    _sklearn()
    inside, outside = ([_spoken(text) for text in part] for part in (texts, others))
    here, there = (Counter(key for found in part for key in found) for part in (inside, outside))
    spelled: dict[str, Counter[str]] = {}
    for found in inside:
        for key, word in found.items():
            spelled.setdefault(key, Counter())[word] += 1
    lift = {
        key: (n / max(len(inside), 1) - there[key] / max(len(outside), 1)) * (1 + 0.2 * (_is_chinese(key) * len(key)))
        for key, n in here.items()
        if n > 1
    }
    chosen: list[str] = []
    for key in sorted(lift, key=lambda k: (-lift[k], k)):
        if lift[key] > 0 and not any(_is_chinese(key) and set(key) & set(c) for c in chosen):
            chosen.append(key)
    return [min(spelled[key], key=lambda w: (-spelled[key][w], w)) for key in chosen[:most]]


def _spoken(text: str) -> dict[str, str]:
    """Each word's stem and the word; a Chinese phrase is its own."""
    return {_stem(w): w for w in _words(text)} | {p: p for p in _phrases(text, 2, 3, 4) if p not in FILLERS}


def _is_chinese(key: str) -> bool:
    return bool(CHINESE.match(key))


# --- of a book -------------------------------------------------------------------------------------


def free_text_columns(book: Book, of: Of = "lost") -> list[str]:
    """The columns that hold the reasons of lost (or won) deals in free words: of `lost_reason`, `lost_notes` and
    `loss_notes` (or `won_reason`, `won_notes`, `win_notes`) those with long texts, many of them different."""
    notes = {"lost": "loss_notes", "won": "win_notes"}[of]
    deals = decided_deals(book)
    deals = deals[deals["outcome"] == of]
    named = (f"{of}_reason", f"{of}_notes", notes)
    return [c for c in named if c in deals and _is_free_text(deals[c].dropna().astype("str"))]


def _is_free_text(texts: pd.Series) -> bool:
    if texts.empty:
        return False
    width = texts.map(lambda text: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text))
    return bool(texts.nunique() >= min(DIFFERENT * len(texts), FEWEST_TEXTS) and width.median() >= LONG_TEXT)


def fit_free_text(
    book: Book, column: str | None = None, period: str | Period | None = None, of: Of = "lost"
) -> TextGroups:
    """Groups of the reasons that were written in free words, each shown by its own sentences.

    column   where the texts of lost (or won) deals stand; nothing: the first of `free_text_columns`

    Returns a table with one row per group, the largest first, per currency if there are several: group (1, 2, …; 0:
    texts that stand in no group), words (its most typical words), n (deals with a text), value (n / all deals with a
    text), low, high (95 % Wilson), amount (units of the currency; null where none is known), without_amount. Raises
    Unavailable where there are too few texts, no clear groups, or no such column; UsageError for an unknown column.
    """
    found = [column] if column else free_text_columns(book, of)
    if not found:
        raise Unavailable("no column holds reasons in free words: name one with `column`")
    deals = decided_deals(book, period)
    deals = deals[deals["outcome"] == of]
    if found[0] not in deals:
        known = [str(c) for c in deals if deals[c].dtype == "str"]
        raise UsageError(
            "`deals` has no column {found!r}.{hint} Texts: {known}.",
            found=found[0],
            hint=suggestion(found[0], known),
            known=commas(known),
        )
    texts = deals[found[0]].astype("str").str.strip()
    deals = deals.assign(text=texts)[texts.notna() & (texts != "")]
    made = group_texts(deals["text"].tolist())
    if not made.clear:
        raise Unavailable(
            "the {n} texts fall into no clear groups: part of them grouped anew gives other groups (agreement "
            "{agreement}; {needed} and more is clear)",
            n=len(deals),
            agreement=f"{made.stability:.2f}",
            needed=CLEAR,
        )
    deals = deals.assign(group=made.group, fit=made.fit)
    different = deals["text"].nunique()
    warnings = (Advice(MANY, {"n": different, "tried": TRIED}),) if different > TRIED else ()
    table = _sizes(book, deals)
    return TextGroups(table, len(deals), warnings, found[0], _sentences(deals), made.stability)


def _sizes(book: Book, deals: pd.DataFrame) -> pd.DataFrame:
    keys = [*money_keys(deals), "group"]
    table = count_table(deals, keys, money="amount_minor")
    table["value"], table["low"], table["high"] = wilson(table["n"], len(deals))
    table["amount"] = known_amount(book, table, "amount_minor", "n", "n_amount")
    table["without_amount"] = table["n"] - table["n_amount"]
    words = {g: _named_by(deals, g) for g in deals["group"].unique()}
    table["words"] = table["group"].map(words).astype("str")
    order = table.assign(last=table["group"] == REST).sort_values([*keys[:-1], "last", "group"], kind="stable").index
    shown = [*keys, "words", "n", "value", "low", "high", "amount", "without_amount"]
    return table.loc[order, shown].reset_index(drop=True)


def _named_by(deals: pd.DataFrame, group: int) -> str:
    here = deals["group"] == group
    if group == REST:
        return ""
    return " · ".join(typical_words(deals.loc[here, "text"].unique(), deals.loc[~here, "text"].unique()))


def _sentences(deals: pd.DataFrame) -> pd.DataFrame:
    """The most typical different texts of each group."""
    rows = deals[deals["group"] != REST].sort_values(
        ["group", "fit", "text", "deal_id"], ascending=[True, False, True, True]
    )
    rows = rows.drop_duplicates(["group", "text"])
    rows["place"] = rows.groupby("group").cumcount() + 1
    return rows.loc[rows["place"] <= SHOWN_TEXTS, ["group", "place", "text", "deal_id"]].reset_index(drop=True)
