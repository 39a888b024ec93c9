"""Pages: the pieces of a report, and from an executed notebook one safe HTML file."""

from salescoach.reports.pages import overview_html, page_html
from salescoach.reports.report import Report, find_book, open_report
from salescoach.reports.stories import Story, find_story, stories

__all__ = [
    "Report",
    "Story",
    "find_book",
    "find_story",
    "open_report",
    "overview_html",
    "page_html",
    "stories",
]
