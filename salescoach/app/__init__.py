"""The coaching session: what a manager opens, and its parts for notebooks of one's own (needs ipywidgets)."""

from salescoach.app.session import Choice, Session, session

__all__ = ["Choice", "Session", "session"]
