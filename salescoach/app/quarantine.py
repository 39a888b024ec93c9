"""The rows that could not be used: where each stands, why, and the correction to be made at its source."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from html import escape

import ipywidgets as widgets
import pandas as pd

from salescoach.app.show import put, said, shown
from salescoach.book import Book, quarantine_as_saved
from salescoach.sources.hints import sentence_of
from salescoach.wording import N_, Words

MOST = 50
NOTHING_OUT = N_("No row was set aside: everything that was read is used.")
SAVED = N_("{n} corrections noted. Save them as a file for whoever keeps the data.")
PLACE = ("table", "file", "line", "column", "value")


class QuarantinePanel:
    """A list of the rows set aside, by table and reason, and a correction for each that can be saved.

    `corrections` is the table of what was noted: the columns of the quarantine and `correction`.
    """

    def __init__(self, book: Book, say: Words) -> None:
        self.book, self.say = book, say
        self.rows = book.quarantine.reset_index(drop=True)
        self.noted: dict[int, str] = {}
        if self.rows.empty:
            self.widget = shown(said(say(NOTHING_OUT)))
            return
        reasons = self.rows["reason"].astype("str").value_counts()
        choices = [(say("{text} ({note})", text=reason, note=n), reason) for reason, n in reasons.items()]
        self.reason = widgets.Dropdown(options=choices, description=say("Reason"), layout=widgets.Layout(width="auto"))
        self.reason.observe(lambda _: self._list(), "value")
        self.list, self.saved = widgets.VBox([]), shown("")
        self.widget = widgets.VBox([self.reason, self.list, self.saved])
        self._list()

    def _list(self) -> None:
        chosen = self.rows[self.rows["reason"].astype("str") == self.reason.value].head(MOST)
        self.list.children = tuple(self._row(int(place), row) for place, row in chosen.iterrows())

    def _row(self, place: int, row: pd.Series) -> widgets.HBox:
        where = " · ".join(_printed(row[c]) for c in PLACE if pd.notna(row[c]))
        hint = _printed(self.say(sentence_of(str(row["hint"])))) if pd.notna(row["hint"]) else ""
        told = f'<span class="note">{escape(hint)}</span>' if hint else ""
        text = widgets.Text(
            value=self.noted.get(place, ""),
            placeholder=self.say("Correct value"),
            continuous_update=False,
            layout=widgets.Layout(width="260px"),
        )
        text.observe(lambda change: self.note(place, change["new"]), "value")
        return widgets.HBox([shown(f"<p>{escape(where)} {told}</p>"), text])

    def note(self, place: int, correction: str) -> None:
        """Keep the correction of one row; an empty one takes it back."""
        if correction.strip():
            self.noted[place] = correction.strip()
        else:
            self.noted.pop(place, None)
        put(self.saved, self._download() if self.noted else "")

    @property
    def corrections(self) -> pd.DataFrame:
        found = self.rows.loc[sorted(self.noted)]
        return found.assign(correction=[self.noted[place] for place in sorted(self.noted)])

    def _download(self) -> str:
        file = io.StringIO()
        quarantine_as_saved(self.corrections).to_csv(file, index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
        data = b64encode(file.getvalue().encode("utf-8-sig")).decode("ascii")
        text, label = self.say(SAVED, n=len(self.noted)), self.say("Save the corrections")
        link = f'<a download="corrections.csv" href="data:text/csv;base64,{data}">{escape(label)}</a>'
        return f"{said(text)}<p>{link}</p>"


def _printed(value: object) -> str:
    """A value as it may stand on a page: what cannot be printed is spelt out."""
    text = str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in (text if len(text) <= 120 else text[:119] + "…"))
