"""Leakage audit: which columns of the deals know the outcome, and which were edited after the close."""

from __future__ import annotations

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.book.texts import looked_up
from salescoach.metrics.estimate import wilson
from salescoach.metrics.visits import deals_of
from salescoach.wording import N_

KEEP_OUT, AS_OF, OK = N_("keep out"), N_("as of"), N_("ok")
CANNOT_TELL = N_("cannot tell: no change log")
AT_CLOSE = pd.Timedelta("1min")  # what the CRM writes while it closes the deal is no later edit
ENOUGH = 20
PRESENT_ONLY_DECIDED = 0.9  # share of presence by which decided deals differ from open ones …
PRESENT_BY_OUTCOME = 0.5  # … or won ones from lost ones, before the presence itself tells the outcome
TOLERATED = 0.05
ANY = "(any)"

# what is written at the close or because of it
OF_THE_CLOSE = (
    *("stage", "stage_raw", "stage_changed_at", "outcome", "closed_at", "updated_at", "probability"),
    *("forecast_category", "won_reason", "lost_reason", "lost_stage"),
)
# what is settled when the deal is entered: nobody edits an id or the day of creation
OF_THE_ENTRY = ("deal_id", "created_at", "lead_id")
WOUND_BACK = ("rep_id", "amount", "expected_close_on")  # what `Book.at` takes as it was where its changes are logged
COLUMNS = [
    "field",
    "deals",
    "edited_after_close",
    "share",
    "low",
    "high",
    "edits",
    "raised",
    "lowered",
    "verdict",
    "why",
]

WHY = {
    "close": N_("written at the close or because of it"),
    "presence": N_("whether it is filled in tells the outcome"),
    "logged": N_("its changes are logged: take it as it was on the day asked about"),
    "entry": N_("settled when the deal is entered"),
    "untouched": N_("hardly a deal was changed at all after its close"),
    "seldom": N_("its changes are logged, and hardly one came after the close"),
    "often": N_("it was edited after the close, and a day before it cannot be gone back to"),
    "unknown": N_("nothing says whether it was edited after the close"),
    "any": N_("the deal was changed after its close, nobody knows what"),
}


def audit(book: Book) -> pd.DataFrame:
    """What each column of the deals gives away of the outcome, judged on the won and lost deals.

    Returns one row per field, and "(any)" for the CRM's `updated_at`: field, deals (won and lost deals with a close
    date), edited_after_close (of them), share, low, high (95 % Wilson; null where nothing is logged), edits (in all),
    raised and lowered (of amounts and dates, by the last value before the close against the last one; null for
    others), verdict ("keep out", "as of": use `Book.at` the day asked about, "ok", "cannot tell: no change log"), why.
    """
    deals = deals_of(book)
    decided = deals[deals["outcome"].isin(["won", "lost"]) & deals["closed_at"].notna()]
    late = _late_edits(book, decided)
    fields = [c for c in deals.columns if not c.endswith(("_minor", "_on")) or c == "expected_close_on"]
    fields = list(dict.fromkeys([*(c for c in fields if deals[c].notna().any()), *late["field"].unique()]))
    logged = set(book.tables["changes"]["field"].unique()) if book.has("changes", "at") else set()
    touched = _touched_since(decided)
    calm = touched is not None and _seldom(touched, len(decided))
    rows = [_judged(deals, len(decided), late[late["field"] == f], f, f in logged, calm) for f in fields]
    if touched is not None:
        rows.insert(0, {"field": ANY, **_counts(len(decided), touched), "verdict": OK if calm else CANNOT_TELL})
        rows[0]["why"] = WHY["untouched"] if calm else WHY["any"]
    counts = ("edited_after_close", "edits", "raised", "lowered")
    return pd.DataFrame(rows, columns=COLUMNS).astype({"deals": "int64", **dict.fromkeys(counts, "Int64")})


def safe_columns(book: Book, doubtful: bool = False) -> list[str]:
    """The columns of the deals that a model of the outcome may use, as they were on the day asked about.

    doubtful   also those of which nothing says whether they were edited after the close
    """
    wanted = (OK, AS_OF, CANNOT_TELL) if doubtful else (OK, AS_OF)
    table = audit(book)
    kept = table[table["verdict"].isin(wanted) & (table["field"] != ANY)]
    return [c for c in book.tables["deals"].columns if c in set(kept["field"])]


def _late_edits(book: Book, decided: pd.DataFrame) -> pd.DataFrame:
    """Logged changes after the close: deal_id, field, at, old, new; repeats of the same value left out."""
    if not book.has("changes", "at"):
        return pd.DataFrame({c: pd.Series(dtype="str") for c in ("deal_id", "field", "old", "new")})
    changes = book.table("changes").reindex(columns=["deal_id", "at", "field", "old", "new"])
    closed = looked_up(changes["deal_id"], decided.set_index("deal_id")["closed_at"])
    same = (changes["old"] == changes["new"]).fillna(False).astype(bool) & changes["old"].notna()
    return changes[(changes["at"] > closed + AT_CLOSE) & ~same]


def _judged(
    deals: pd.DataFrame, decided: int, late: pd.DataFrame, name: str, logged: bool, calm: bool
) -> dict[str, object]:
    """One field: its edits after the close, and the verdict on it."""
    edited = late["deal_id"].nunique() if logged else None
    row: dict[str, object] = {"field": name, **_counts(decided, edited)}
    if logged:
        row["edits"] = len(late)
        row["raised"], row["lowered"] = _directions(name, late)
    row["verdict"], row["why"] = _verdict(deals, name, decided, edited, calm)
    return row


def _counts(n: int, edited: int | None) -> dict[str, object]:
    if edited is None:
        return {"deals": n}
    share, low, high = (float(v) for v in wilson(edited, n))
    return {"deals": n, "edited_after_close": edited, "share": share, "low": low, "high": high}


def _directions(name: str, own: pd.DataFrame) -> tuple[int | None, int | None]:
    """How many deals ended with more, and with less, than they had at their close."""
    if name not in ("amount", "list_price", "probability", "expected_close_on", "closed_at"):
        return None, None
    ordered = own.sort_values("at", kind="stable").groupby("deal_id")
    before, after = (_as_numbers(name, v) for v in (ordered["old"].first(), ordered["new"].last()))
    return int((after > before).sum()), int((after < before).sum())


def _as_numbers(name: str, texts: pd.Series) -> pd.Series:
    if name in ("expected_close_on", "closed_at"):
        return pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    return pd.to_numeric(texts, errors="coerce")


def _verdict(deals: pd.DataFrame, name: str, decided: int, edited: int | None, calm: bool) -> tuple[str, str]:
    """`edited`: deals edited after the close, None where that is not logged; `calm`: hardly any deal was."""
    if name in OF_THE_CLOSE:
        return KEEP_OUT, WHY["close"]
    if name in OF_THE_ENTRY:
        return OK, WHY["entry"]
    if name in deals and _presence_tells(deals, name):
        return KEEP_OUT, WHY["presence"]
    if edited is not None:
        if name in WOUND_BACK:
            return AS_OF, WHY["logged"]
        return (OK, WHY["seldom"]) if _seldom(edited, decided) else (KEEP_OUT, WHY["often"])
    return (OK, WHY["untouched"]) if calm else (CANNOT_TELL, WHY["unknown"])


def _seldom(edited: int, decided: int) -> bool:
    """Whether at most 1 deal in 20 is edited after its close, chance included."""
    return decided > 0 and float(wilson(edited, decided)[2]) <= TOLERATED


def _presence_tells(deals: pd.DataFrame, name: str) -> bool:
    """Whether a column is filled in of decided deals and not of open ones, or of won ones and not of lost ones."""
    there = deals[name].notna()
    groups = {o: there[deals["outcome"].isin(names)] for o, names in _SETS.items()}
    share = {o: float(v.mean()) if len(v) >= ENOUGH else np.nan for o, v in groups.items()}
    decided = share["decided"] - share["open"]
    return bool(decided >= PRESENT_ONLY_DECIDED or abs(share["won"] - share["lost"]) >= PRESENT_BY_OUTCOME)


_SETS = {"won": ["won"], "lost": ["lost"], "decided": ["won", "lost"], "open": ["open"]}


def _touched_since(decided: pd.DataFrame) -> int | None:
    """How many decided deals the CRM says were changed after their close; None where it does not say."""
    if "updated_at" not in decided or not decided["updated_at"].notna().any():
        return None
    return int((decided["updated_at"] > decided["closed_at"] + AT_CLOSE).sum())
