"""Twins: for a deal that was lost, or is open, the won deal that is most like it, and where the two first differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable, UsageError, commas, suggestion
from salescoach.metrics.contacts import contacts, knows_contacts
from salescoach.metrics.flow import need_stages
from salescoach.metrics.kept import per_book
from salescoach.metrics.outcomes import decided_deals
from salescoach.metrics.slips import knows_moves, pushes
from salescoach.metrics.timeline import quote_days, spans
from salescoach.metrics.visits import deals_of, passages
from salescoach.process import Period

Of = Literal["lost", "open"]
Whole = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

ALIKE = ("currency", "segment", "deal_type")  # in these a twin does not differ at all
APART = {"product": 1.0, "lead_source": 1.0}  # each weighs so much where it differs
SIZE, PATH = 2.0, 2.0
EIGHTFOLD = np.log(8.0)  # an amount so many times as large counts as a size wholly different
NEAR = 1 / 3
SLACK = 1e-12  # of sums of shares that are compared
CHUNK = 4_000_000  # distances held at a time
TOLERANCE_DAYS, TOLERANCE_TIMES = 7.0, 2.0
KINDS = ("stage", "skipped", "quote", "silence", "push", "none")

TWINS = ["deal", "deal_id", "rep_id", "pipeline", "stage", "amount_minor", "currency", "twin", "twin_id", "distance"]
TWINS += ["path_apart", "product_differs", "lead_source_differs", "amount_ratio"]
DIFFERENCE = ["kind", "day", "stage", "own", "twins", "shared_stage", "shared_own", "shared_twin"]


def twins(book: Book, period: str | Period | None = None, of: Of = "lost", near: float = NEAR) -> pd.DataFrame:
    """For each deal lost in the period (of="open": for each open deal) the nearest won deal of the book.

    A twin is of the same pipeline, currency, segment and deal type, as far as the deal's own are known. Among these the
    distance is the mean (Gower 1971), over what is known of the deal, of
      size         |ln(amount / twin's amount)| / ln 8, weight 2
      path         stages up to the deepest one of the deal that one of the two stayed in and the other passed over, as
                   a share of these stages, weight 2
      product      0 where equal, else 1, weight 1
      lead_source  likewise, weight 1
    What is unknown of the win alone counts as different; a win without an amount is no twin of a deal that has one.
    Of wins equally near the one decided last is taken, of these the first by deal_id. Beyond `near` no win is a twin.

    Returns one row per deal, the largest first: deal and twin (rows in `book.deals`; twin -1: none is near enough),
    deal_id, rep_id, pipeline, stage (the deepest that it reached), amount_minor, currency, twin_id, distance (0..1),
    path_apart (stages), product_differs, lead_source_differs (null: unknown), amount_ratio (twin's over own; null: one
    is unknown). Raises Unavailable where the stages of lost deals are unknown, or where nothing was won.
    """
    if of not in get_args(Of):
        raise UsageError(
            "of={of!r} is unknown.{hint} Deals: {known}.",
            of=of,
            hint=suggestion(of, get_args(Of)),
            known=commas(get_args(Of)),
        )
    need_stages(book)
    deals = deals_of(book)
    asked = deals.index[deals["outcome"] == "open"] if of == "open" else _lost(book, period)
    seen = _traits(book)
    won = np.flatnonzero(((deals["outcome"] == "won") & (seen["reach"] >= 0)).to_numpy())
    if not len(won):
        raise Unavailable("nothing was won, so there is no deal to compare with")
    own = np.asarray(asked, dtype=np.int64)
    own = own[(seen["reach"].to_numpy() >= 0)[own]]
    twin, distance = _nearest(seen, own, won, near)
    return _described(book, seen, own, twin, distance)


def _lost(book: Book, period: str | Period | None) -> pd.Index:
    rows = decided_deals(book, period)
    return rows.index[rows["outcome"] == "lost"]


@per_book
def _traits(book: Book) -> pd.DataFrame:
    """What makes deals alike, as numbers, in the order of `book.deals`; -1: unknown.

    Codes of line (the pipeline) and of what the data know of ALIKE and APART; size (logarithm of the amount), path (a
    bit for each stage with a stay), reach (place of the deepest stage), recent (0: the one decided last).
    """
    deals = deals_of(book)
    seen = pd.DataFrame(index=deals.index)
    seen["line"] = deals["pipeline"].map({key: i for i, key in enumerate(book.process.pipelines)})
    for column in (*ALIKE, *APART):
        known = column in deals
        seen[column] = pd.factorize(deals[column], sort=True)[0] if known else np.full(len(deals), -1)
    amount = deals["amount_minor"].astype("float64")
    seen["size"] = np.log(amount.where(amount > 0))
    gone = passages(book)
    deal, order = gone["deal"].to_numpy(), gone["order"].to_numpy(np.int64)
    stayed = ~gone["skipped"].to_numpy()
    path, reach = np.zeros(len(deals), dtype=np.int64), np.full(len(deals), -1)
    np.bitwise_or.at(path, deal[stayed], 1 << order[stayed])
    np.maximum.at(reach, deal[stayed], order[stayed])
    seen["path"], seen["reach"] = path, reach
    order_of = deals.assign(_row=np.arange(len(deals))).sort_values(
        ["closed_at", "deal_id"], ascending=[False, True], kind="stable"
    )
    seen.loc[order_of.index, "recent"] = np.arange(len(deals))
    return seen.astype({"recent": "int64"})


def _nearest(seen: pd.DataFrame, own: Whole, won: Whole, near: float) -> tuple[Whole, Floats]:
    """The twin of each of `own` (-1: none) and its distance.

    Deals alike in everything but their size form a cell; in each cell of wins, sorted by size, the nearest stands
    beside the place of the deal's own size. So the cost is a search per deal and cell that may be near enough.
    """
    twin, distance = np.full(len(own), -1), np.full(len(own), np.nan)
    line, reach = seen["line"].to_numpy(), seen["reach"].to_numpy()
    for key in np.unique(line[own]):
        for stop in np.unique(reach[own[line[own] == key]]):
            here = np.flatnonzero((line[own] == key) & (reach[own] == stop))
            wins = _Wins.of(seen, won[line[won] == key], int(stop))
            for part in _cells(seen, own[here], int(stop)):
                rows = here[part]
                twin[rows], distance[rows] = wins.near_to(seen, own[rows], near)
    return twin, distance


def _cell_columns(seen: pd.DataFrame, rows: Whole, stop: int) -> Whole:
    """One line of codes per deal: what must be alike, what may differ, and the path up to a stage."""
    path = seen["path"].to_numpy()[rows] & ((2 << stop) - 1)
    return np.column_stack([*(seen[c].to_numpy(np.int64)[rows] for c in (*ALIKE, *APART)), path])


def _cells(seen: pd.DataFrame, rows: Whole, stop: int) -> Iterator[Whole]:
    """The places of the deals that are alike in everything but their size, and that all have a size or none."""
    known = seen["size"].notna().to_numpy()[rows]
    _, cell = np.unique(np.column_stack([_cell_columns(seen, rows, stop), known]), axis=0, return_inverse=True)
    order = np.argsort(cell.ravel(), kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(cell.ravel()[order])) + 1)


@dataclass(frozen=True)
class _Wins:
    """The wins of one pipeline in cells, within each by size; of wins of one size the latest.

    cells          the codes of each cell
    cell, size     of each win; first: where each cell begins
    deal, recent   which deal it is, and how many were decided later
    latest         of each cell the latest win, with a size or without
    """

    stop: int
    cells: Whole
    sizes: Floats
    key: Whole
    size: Floats
    cell: Whole
    deal: Whole
    recent: Whole
    latest: Whole

    @classmethod
    def of(cls, seen: pd.DataFrame, won: Whole, stop: int) -> _Wins:
        cells, cell = np.unique(_cell_columns(seen, won, stop), axis=0, return_inverse=True)
        cell, size = cell.ravel(), seen["size"].to_numpy()[won]
        recent = seen["recent"].to_numpy()[won]
        by_age = np.lexsort((recent, cell))
        latest = by_age[np.unique(cell[by_age], return_index=True)[1]]
        order = np.lexsort((recent, size, cell))
        order = order[~np.isnan(size[order])]
        again = (np.diff(cell[order], prepend=-1) == 0) & (np.diff(size[order], prepend=-np.inf) == 0)
        order = order[~again]
        sizes, rank = np.unique(size[order], return_inverse=True)
        key = cell[order] * (len(sizes) + 1) + rank
        return cls(stop, cells, sizes, key, size[order], cell[order], won[order], recent[order], won[latest])

    def near_to(self, seen: pd.DataFrame, own: Whole, near: float) -> tuple[Whole, Floats]:
        """The nearest win of each of these deals of one cell, -1 where none is within `near`."""
        codes = _cell_columns(seen, own[:1], self.stop)[0]
        apart, total = self._apart(codes)
        sized = not np.isnan(seen["size"].to_numpy()[own[0]])
        total += SIZE * sized
        candidates = np.flatnonzero(apart <= near * total + SLACK)
        twin, distance = np.full(len(own), -1), np.full(len(own), np.nan)
        if not len(candidates) or (sized and not len(self.key)):
            return twin, distance
        if not sized:
            found = self.latest[candidates]
            best = np.lexsort((seen["recent"].to_numpy()[found], np.round(apart[candidates] / total, 12)))[0]
            return np.full(len(own), found[best]), np.full(len(own), apart[candidates][best] / total)
        step = max(CHUNK // (2 * len(candidates)), 1)
        for start in range(0, len(own), step):
            part = slice(start, start + step)
            size = seen["size"].to_numpy()[own[part]]
            twin[part], distance[part] = self._by_size(size, candidates, apart[candidates], total)
        far = ~(distance <= near + SLACK)
        twin[far], distance[far] = -1, np.nan
        return twin, distance

    def _apart(self, codes: Whole) -> tuple[Floats, float]:
        """How far each cell is from these codes but for size (infinite: no twin), and the weight of what is known."""
        apart, total = np.zeros(len(self.cells)), PATH
        for place in range(len(ALIKE)):
            if codes[place] >= 0:
                apart[self.cells[:, place] != codes[place]] = np.inf
        for place, weight in enumerate(APART.values(), start=len(ALIKE)):
            if codes[place] >= 0:
                apart += weight * (self.cells[:, place] != codes[place])
                total += weight
        differing = np.bitwise_count(self.cells[:, -1] ^ codes[-1])
        return apart + PATH * differing / (self.stop + 1), total

    def _by_size(self, size: Floats, cells: Whole, apart: Floats, total: float) -> tuple[Whole, Floats]:
        """The nearest win of these cells for each size: in each cell the one below or the one above."""
        rank = np.searchsorted(self.sizes, size)
        above = np.searchsorted(self.key, cells[None, :] * (len(self.sizes) + 1) + rank[:, None])
        places = np.stack([above - 1, above], axis=2)
        inside = np.clip(places, 0, len(self.key) - 1)
        known = (places == inside) & (self.cell[inside] == cells[None, :, None])
        far = SIZE * np.abs(self.size[inside] - size[:, None, None]) / EIGHTFOLD
        distance = np.where(known, (apart[None, :, None] + far) / total, np.inf).reshape(len(size), -1)
        nearest = distance.min(axis=1)
        tied = distance <= nearest[:, None] + SLACK
        recent = np.where(tied, self.recent[inside].reshape(len(size), -1), np.iinfo(np.int64).max)
        best = recent.argmin(axis=1)
        return self.deal[inside.reshape(len(size), -1)[np.arange(len(size)), best]], nearest


def _described(book: Book, seen: pd.DataFrame, own: Whole, twin: Whole, distance: Floats) -> pd.DataFrame:
    deals, found = deals_of(book), twin >= 0
    table = deals.take(own)[["deal_id", "rep_id", "pipeline", "amount_minor", "currency"]].reset_index(drop=True)
    table["deal"], table["twin"], table["distance"] = own, twin, distance
    table["twin_id"] = deals["deal_id"].take(np.maximum(twin, 0)).reset_index(drop=True).where(found)
    reach = seen["reach"].to_numpy()[own]
    stages = {(k, i): s.key for k, line in book.process.pipelines.items() for i, s in enumerate(line.working)}
    at = pd.MultiIndex.from_arrays([table["pipeline"], reach])
    table["stage"] = pd.Series(stages, dtype="str").reindex(at).to_numpy()
    path = seen["path"].to_numpy()
    apart = np.bitwise_count((path[own] ^ path[twin]) & ((2 << reach) - 1)).astype("int64")
    table["path_apart"] = pd.Series(apart, dtype="Int64").where(found)
    for column in APART:
        mine, its = (seen[column].to_numpy()[rows] for rows in (own, twin))
        table[f"{column}_differs"] = pd.Series(mine != its, dtype="boolean").where(found & (mine >= 0) & (its >= 0))
    size = seen["size"].to_numpy()
    table["amount_ratio"] = np.where(found, np.exp(size[twin] - size[own]), np.nan)
    order = table.assign(_known=table["amount_minor"].isna())
    order = order.sort_values(["_known", "amount_minor", "deal_id"], ascending=[True, False, True], kind="stable")
    return table.loc[order.index, TWINS].reset_index(drop=True)


def worth_a_look(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many of the pairs in `twins`: large deals with a twin close to them first.

    In the order of amount times closeness (1 - distance / NEAR); deals without an amount last, then by deal_id.
    """
    pairs = table[table["twin"] >= 0]
    worth = pairs["amount_minor"].astype("float64") * (1 - pairs["distance"] / NEAR)
    order = pd.DataFrame({"worth": worth, "distance": pairs["distance"], "deal_id": pairs["deal_id"]})
    order = order.sort_values(["worth", "distance", "deal_id"], ascending=[False, True, True], na_position="last")
    return pairs.loc[order.index].head(most).reset_index(drop=True)


# --- the first difference --------------------------------------------------------------------------


def first_differences(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    """Where each deal and its twin (columns deal, twin) first differ, both told from the day of their first entry.

    Ends of a tolerance of TOLERANCE_DAYS and TOLERANCE_TIMES count as the difference's day. kind is
      stage    the deal stays in a stage for longer than twice as long as its twin and 7 days more than it
      skipped  it passes over a stage that its twin stayed in
      quote    7 days later in the stage than its twin had its quote, it has none
      silence  nobody contacts the customer for longer than twice as long as its twin's longest silence and 7 days more
      push     its expected close is put off once more than its twin's ever was
      none     nothing of that before the deal ended

    Returns, with the index of `pairs`: kind, day, stage (of stage, skipped, quote), own and twins (the deal's figure
    and its twin's: days in the stage; day of the quote counted from the deal's beginning, null: never; days of silence;
    pushes), shared_stage (the deepest that both had entered by then), shared_own, shared_twin (on which day each).
    """
    marks = [part(book, pairs) for part in (_slower, _passed_over, _unquoted, _silent, _put_off)]
    found = pd.concat(marks, ignore_index=True)
    found["_kind"] = found["kind"].map({kind: i for i, kind in enumerate(KINDS)})
    found = found.sort_values(["pair", "day", "_kind", "order"], kind="stable").drop_duplicates("pair")
    found = found.set_index("pair").reindex(pairs.index)
    life = spans(book)["days"].reindex(pairs["deal"]).to_numpy()
    found["kind"] = found["kind"].astype("str").fillna("none")
    found["day"] = found["day"].fillna(pd.Series(life, pairs.index))
    found["stage"] = found["stage"].astype("str")
    return _with_shared(book, pairs, found)[DIFFERENCE]


@per_book
def _ways(book: Book) -> pd.DataFrame:
    """Each deal's passages with their days since its beginning: deal, order, stage, skipped, start, end, days."""
    gone, life = passages(book), spans(book)
    began = life["began_on"].to_numpy()[gone["deal"]]
    ended = gone["ended_on"].mask(gone["fate"] == "open", book.as_of_on)
    start = (gone["entered_on"].fillna(ended) - began).dt.days.astype("float64")
    end = (ended - began).dt.days.astype("float64")
    rows = gone[["deal", "order", "stage", "skipped"]].assign(start=start, end=end)
    rows["days"] = (rows["end"] - rows["start"]).clip(lower=0)
    return rows


def _both(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row per pair and stage that both reached: pair, order, stage, and the rest of `_ways`, of the twin as twin_…"""
    ways = _ways(book)
    asked = ways[ways["deal"].isin(pairs["deal"]) | ways["deal"].isin(pairs["twin"])]
    named = pairs[["deal", "twin"]].rename_axis("pair").reset_index()
    mine = named.merge(asked, on="deal")
    its = asked.rename(columns={c: f"twin_{c}" for c in ("skipped", "start", "end", "days")})
    its = its.rename(columns={"deal": "twin"}).drop(columns="stage")
    return mine.merge(its, on=["twin", "order"])


def _beyond(usual: pd.Series) -> pd.Series:
    """How long is still like so many days."""
    return (usual * TOLERANCE_TIMES).clip(lower=usual + TOLERANCE_DAYS)


def _marked(kind: str, rows: pd.DataFrame, day: pd.Series, own: pd.Series, twins: pd.Series) -> pd.DataFrame:
    marks = pd.DataFrame({"pair": rows["pair"], "day": day.astype("float64"), "own": own, "twins": twins})
    marks["stage"] = rows["stage"] if "stage" in rows else pd.Series(None, rows.index, dtype="str")
    marks["order"] = rows.get("order", 0)
    return marks.astype({"own": "float64", "twins": "float64"}).assign(kind=kind)


def _slower(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    rows = _both(book, pairs)
    rows = rows[~rows["skipped"] & (rows["days"] > _beyond(rows["twin_days"]))]
    return _marked("stage", rows, rows["start"] + _beyond(rows["twin_days"]), rows["days"], rows["twin_days"])


def _passed_over(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    rows = _both(book, pairs)
    rows = rows[rows["skipped"] & ~rows["twin_skipped"] & rows["end"].notna()]
    return _marked("skipped", rows, rows["end"], rows["days"], rows["twin_days"])


def _first_quotes(book: Book, deals: pd.Series) -> pd.Series:
    """The day of each deal's first quote in its life, counted from its beginning; null: none."""
    quotes, life = quote_days(book), spans(book)
    quotes = quotes[quotes["deal"].isin(deals)]
    its = life.loc[quotes["deal"]].set_axis(quotes.index)
    quotes = quotes[(quotes["on"] >= its["began_on"]) & (quotes["on"] <= its["ended_on"])]
    first = quotes.drop_duplicates("deal").set_index("deal")["on"]
    days = (first - life["began_on"].reindex(first.index)).dt.days
    return days.reindex(deals).set_axis(deals.index).astype("float64")


def _unquoted(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    rows = _both(book, pairs)
    rows["own"] = _first_quotes(book, pairs["deal"]).reindex(rows["pair"]).to_numpy()
    rows["twins"] = _first_quotes(book, pairs["twin"]).reindex(rows["pair"]).to_numpy()
    life = pd.Series(spans(book)["days"].reindex(pairs["deal"]).to_numpy(), pairs.index)
    rows["life"] = life.reindex(rows["pair"]).to_numpy()
    # the stage in which the twin had its quote: the last that it had entered by then
    rows = rows[(rows["twin_start"] <= rows["twins"]) & ~rows["twin_skipped"]]
    rows = rows.sort_values(["pair", "order"]).drop_duplicates("pair", keep="last")
    due = rows["start"] + (rows["twins"] - rows["twin_start"]) + TOLERANCE_DAYS
    late = ~(rows["own"] <= due) & (due <= rows["life"])
    return _marked("quote", rows[late], due[late], rows.loc[late, "own"], rows.loc[late, "twins"])


def _silences(book: Book, deals: pd.Series) -> pd.DataFrame:
    """Stretches without a contact in the life of each deal: deal, from (day since its beginning), days."""
    life = spans(book).loc[deals.drop_duplicates()]
    said = contacts(book)
    said = said[said["deal"].isin(life.index)]
    on = book.local_days(said["at"])
    days = (on - life["began_on"].loc[said["deal"]].set_axis(said.index)).dt.days.astype("float64")
    inside = (days >= 0) & (days <= life["days"].loc[said["deal"]].set_axis(said.index))
    deal = life.index.to_series()
    edges = [
        pd.DataFrame({"deal": deal, "day": 0.0}),
        pd.DataFrame({"deal": said["deal"], "day": days})[inside],
        pd.DataFrame({"deal": deal, "day": life["days"]}),
    ]
    rows = pd.concat(edges, ignore_index=True).dropna().sort_values(["deal", "day"], kind="stable", ignore_index=True)
    last = rows["deal"].shift(-1) != rows["deal"]
    rows["days"] = rows["day"].shift(-1) - rows["day"]
    return rows[~last].rename(columns={"day": "from"})


def _silent(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    if not knows_contacts(book):
        return _marked("silence", pairs.iloc[:0].assign(pair=0), *[pd.Series(dtype="float64")] * 3)
    since = book.local_days(book.table("activities")["at"]).min()
    began = spans(book)["began_on"]
    told = [began.reindex(pairs[c]).to_numpy() >= since for c in ("deal", "twin")]
    spoken = pairs["twin"].isin(contacts(book)["deal"]).to_numpy()  # else the silence is one of the records
    pairs = pairs[told[0] & told[1] & spoken].rename_axis("pair").reset_index()
    gaps = _silences(book, pd.concat([pairs["deal"], pairs["twin"]]))
    longest = gaps.groupby("deal")["days"].max()
    pairs["usual"] = longest.reindex(pairs["twin"]).to_numpy()
    rows = pairs[["pair", "deal", "usual"]].merge(gaps, on="deal")
    rows = rows[rows["days"] > _beyond(rows["usual"])]
    return _marked("silence", rows, rows["from"] + _beyond(rows["usual"]), rows["days"], rows["usual"])


def _put_off(book: Book, pairs: pd.DataFrame) -> pd.DataFrame:
    if not knows_moves(book):
        return _marked("push", pairs.iloc[:0].assign(pair=0), *[pd.Series(dtype="float64")] * 3)
    moves, began = pushes(book).sort_values(["deal", "at"], kind="stable"), spans(book)["began_on"]
    moves["nth"] = moves.groupby("deal").cumcount() + 1
    named = pairs[["deal", "twin"]].rename_axis("pair").reset_index()
    usual = moves.groupby("deal").size()
    named["usual"] = usual.reindex(named["twin"]).fillna(0).to_numpy()
    rows = named.merge(moves[["deal", "moved_on", "nth"]], on="deal")
    rows = rows[rows["nth"] == rows["usual"] + 1]
    day = (rows["moved_on"] - began.reindex(rows["deal"]).to_numpy()).dt.days
    return _marked("push", rows, day, rows["nth"], rows["usual"])


def _with_shared(book: Book, pairs: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """`found` with the deepest stage that both had entered by its day."""
    rows = _both(book, pairs)
    day = found["day"].reindex(rows["pair"]).to_numpy()
    rows = rows[~rows["skipped"] & ~rows["twin_skipped"] & (rows["start"] <= day)]
    rows = rows.sort_values(["pair", "order"], kind="stable").drop_duplicates("pair", keep="last").set_index("pair")
    shared = rows[["stage", "start", "twin_start"]].reindex(found.index)
    shared.columns = pd.Index(["shared_stage", "shared_own", "shared_twin"])
    return found.join(shared)
