"""How the documentation is built: sphinx-build -W docs site."""

project = "salescoach"
author = "The salescoach authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "salescoach"
html_last_updated_fmt = None
exclude_patterns = ["site"]
suppress_warnings = ["misc.highlighting_failure"]  # a crontab and a cell with ! have no lexer
