"""What goes upstairs beside the metrics: the running quarter, and how far the figures could be off. No rep is named."""

from __future__ import annotations

import pandas as pd

from salescoach.book import Book
from salescoach.errors import Unavailable
from salescoach.metrics.bounds import trust_bounds
from salescoach.process import Period, period_of
from salescoach.reports.blocks import Block, render, text_table
from salescoach.wording import Words


class Upstairs:
    """The pieces of a report that speak of teams alone."""

    book: Book
    say: Words
    period: Period

    @property
    def quarter(self) -> str:
        """The company's quarter in which the data end, as a period."""
        return str(period_of(pd.Series([self.book.as_of_on]), "fiscal_quarter", self.book.process).iloc[0])

    def ranges(self) -> Block:
        """How far each defect of the data could move a figure; those of single reps are left out."""
        say, caption = self.say, self.say("How far could the figures be off?")
        try:
            found = trust_bounds(self.book, self.period, self.say.language)
        except Unavailable as reason:
            because = say(reason.said)
            text = say("{metric}: unavailable, because {because}.", metric=caption, because=because)
            return render("empty", caption, text)
        found = found[found["rep_id"].isna() & (found["low"] < found["high"])]
        if found.empty:
            text = say("Nothing was found in the data that could move a figure; the ranges of chance remain.")
            return render("empty", caption, text)
        rows = [[r["sentence"], r["n"]] for r in found.to_dict("records")]
        note = say(
            "Each range holds whatever the records in doubt turn out to be; the ranges of chance, in brackets beside "
            "the figures, come on top."
        )
        return text_table(say, caption, [say("Range"), say("Records in doubt")], rows, [1], [note])
