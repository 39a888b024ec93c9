"""On a machine without any Chinese font charts show Chinese: the font that comes with salescoach is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# nothing but the fonts inside matplotlib is left of its list
DRAWN = """
import os, warnings
warnings.simplefilter("error")
import matplotlib
from matplotlib import font_manager
fonts = font_manager.fontManager.ttflist
fonts[:] = [f for f in fonts if f.fname.startswith(os.path.dirname(matplotlib.__file__))]
from matplotlib.ft2font import FT2Font
import pandas as pd
from salescoach import charts
from salescoach.charts.drawing import font_families
files = [font_manager.findfont(name, fallback_to_default=False) for name in font_families()]
assert len(files) == 2 and not [f for f in files if f.startswith(("/usr/share", "/usr/local/share"))], files
known = set().union(*(FT2Font(f).get_charmap() for f in files))
assert not set(map(ord, "销售机会赢单输单报价合同李伟上海华盛教育有限公司，。？")) - known
table = pd.DataFrame({"name": ["李伟", "Ana"], "value": [0.2, 0.3], "low": [0.1, 0.2], "high": [0.3, 0.4], "n": [5, 6]})
with charts.style():
    print(len(charts.to_drawing(charts.plot_intervals(table, "name", "成交率是多少？", "比例"), "成交率").png))
"""


def test_chinese_is_drawn_without_a_system_font(tmp_path: Path) -> None:
    (tmp_path / "fonts").mkdir()
    config = tmp_path / "fonts.conf"
    config.write_text(f'<?xml version="1.0"?><fontconfig><dir>{tmp_path / "fonts"}</dir></fontconfig>', "utf-8")
    bare = {"FONTCONFIG_FILE": str(config), "MPLCONFIGDIR": str(tmp_path), "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", DRAWN], env={**os.environ, **bare}, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 10_000


def test_a_missing_sign_would_be_found(tmp_path: Path) -> None:
    latin_only = 'charts.drawing.font_families = lambda: ("DejaVu Sans",)\nwith charts.style():'
    without = DRAWN.replace("with charts.style():", latin_only)
    run = subprocess.run(
        [sys.executable, "-c", without],
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode and "missing from font" in run.stderr
