"""Names that try to break out of the place where they are written: over three hundred, in families."""

from __future__ import annotations

from itertools import product

SAMPLE_STEP = 19  # the default tier takes every nineteenth name

_RUN = "alert(1)"
_TAGS = [
    "script", "img", "svg", "math", "iframe", "object", "embed", "link", "meta", "base", "style", "form", "input",
    "button", "textarea", "select", "video", "audio", "body", "html", "head", "title", "table", "td", "tr", "caption",
    "template", "details", "marquee", "frameset", "applet", "noscript", "plaintext", "xmp",
]  # fmt: skip
_EVENTS = [
    "onerror", "onload", "onclick", "onmouseover", "onfocus", "onbegin", "ontoggle", "onanimationstart",
    "onpointerenter",
]  # fmt: skip
_ENDS = [
    "</title>", "</script>", "</style>", "</td></tr></table>", "</main></body></html>", "-->", "]]>", "</textarea>",
    "</p>", "</noscript>",
]  # fmt: skip
_QUOTES = ('"', "'", "`", '">', "'>", '" ', "&quot;", "&#34;", '\\"', "\\'")
_CONTROLS = [*(chr(i) for i in (*range(1, 9), 11, 12, *range(14, 32), 127)), "\x85", "\x9b", "\x00"]
_UNSEEN = [
    0xad, 0x61c, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e,
    0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff, 0xfe0f, 0xe0041,
]  # fmt: skip

FAMILIES: dict[str, list[str]] = {
    "element": [f"<{tag} src=x href=x>{_RUN}</{tag}>" for tag in _TAGS],
    "event": [f'<img src=x {event}={_RUN}>' for event in _EVENTS],
    "attribute": [f"{quote} {event}={_RUN} x={quote}" for quote, event in product(_QUOTES, _EVENTS[:3])],
    "end": [f"{end}<h1>Out</h1>" for end in _ENDS],
    "unfinished": [
        "<", "<<", "<a", "<!--", "<![CDATA[", "<?xml", "<!DOCTYPE html>", "</", "<img src=", "&", "&#", "&lt",
    ],
    "entity": [
        "&lt;script&gt;", "&amp;lt;", "&#x3c;b&#x3e;", "&#60b>", "&nbsp;", "&NewLine;", "&colon;",
        "Smith & Sons &amp; Co", "&#0;", "&#x110000;", "&ltimg src=x&gt", "&copy",
    ],
    "address": [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)", "//evil.example/x.js",
        "https://evil.example/?q=", "file:///etc/passwd", "\\\\evil\\share", "blob:https://evil.example/1",
        "mailto:a@b.example?bcc=c@d.example", "%3Cscript%3E", "%2e%2e%2f",
    ],
    "style": [
        "expression(alert(1))", "};*{display:none}", "url(https://evil.example/x)",
        "@import 'https://evil.example/x.css'", "/**/</style><b>", "red;background:url(//evil.example)",
        "\\3c script\\3e", "-moz-binding:url(x)",
    ],
    "template": [
        "{{ 7 * 7 }}", "{% raw %}", "{% include 'style.css' %}", "{# gone #}", "{{ config }}", "${7*7}", "#{7*7}",
        "<%= 7*7 %>", "{{''.__class__.__mro__}}", "{%- endmacro %}", "{{ super() }}", "{% for x in y %}",
    ],
    "format": [
        "{x}", "{", "}", "{}", "{0}", "{name!r}", "{n:>999999999}", "{0.__class__}", "%s", "%(x)s", "%", "%n%n",
        "%99999999d", "{{}}", "{who}: {what}", "{error}",
    ],
    "mathtext": [
        "$", "$$", "$\\frac{$", "$\\frac{1}{2}$", "\\$5 for $6", "$x^{$", "a_b^c", "\\", "\\\\", "\\alpha",
        "\\N{BULLET}", "$\\unknown$", "$" * 40, "50 % $ off $", "_Ann", "__init__", "_", "_nolegend_", "_child0",
    ],
    "markdown": [
        "# Title", "**bold**", "`code`", "[x](javascript:alert(1))", "![x](https://evil.example/x.png)", "<b>",
        "* * *", "| a | b |", "> quoted", "~~gone~~", "1. one", "\\*", "[x]: javascript:alert(1)", "```\nfence\n```",
        "$$x$$", "<https://evil.example>",
    ],
    "formula": [
        "=1+1", "=HYPERLINK(\"https://evil.example\",\"x\")", "+1+1", "-1+1", "@SUM(A1:A9)", "\t=1+1", "\r=1+1",
        "\n=1+1",
        "=cmd|' /C calc'!A0", "＝1+1", "＋1", "－1", "＠SUM(A1)", "====", "=", "+", "-", "@", "'=1+1", "\"=1+1",
        ",=1+1", ";=1+1", "#REF!", "#N/A", "#DIV/0!", "\x00=1+1", "{=1+1}", "=\n1", "+49 89 1234", "-", "TRUE", "1E5",
        "000123", "2026-01-01", "\u200b=1+1", "\ufeff=1+1", " =1+1",
    ],
    "statement": [
        "'; DROP TABLE deals; --", "\" OR 1=1 --", "1; SELECT 1", "$(touch x)", "`touch x`", "; rm -rf x", "| cat",
        "a && b", "$HOME",
    ],
    "path": [
        "../escaped", "..", ".", "../../etc/passwd", "a/b", "a\\b", "/etc/passwd", "C:\\x", "CON", "NUL", "con.html",
        "AUX", "COM1", "LPT1.csv", "~", "~root", "-rf", "--help", "index.html", ".hidden", "a:b", "a?b*c", "x ", "x.",
        "reps/x", "manifest.json", "....//",
    ],
    "terminal": [
        "\x1b[31mred", "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x07x\x1b]8;;\x07", "\x9b31m",
        "\x1b[1A\x1b[2K", "\x08\x08\x08gone", "\x1bP+q\x1b\\", "\x1b[?1049h",
    ],
    "break": ["a\nb", "a\r\nb", "a\rb", "\n\n\n", "a\tb", "a\vb", "a\fb", "a\n- b", "x\r\nBcc: c@d.example", "\n<b>"],
    "control": [f"An{c}n" for c in _CONTROLS],
    "unseen": [f"An{chr(c)}n" for c in _UNSEEN],
    "direction": [
        "\u202egnitekraM", "\u202egnitekraM\u202c", "\u2067x\u2066y", "שלום", "مرحبا 123", "a\u202eb\u2066c",
    ],
    "script of the world": [
        "销售一部",
        "𠮷田", "Ａｎｎ", "ﬁﬂ", "e\u0301", "Z\u0335\u0321" * 8, "नमस्ते", "สวัสดี", "李\u3000雷", "ÍõÎ°", "İı", "ß",
        "\ufffd", "\ue000",
    ],
    "emoji": ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "1️⃣", "⚠️ hot"],
    "long": ["x" * 300, "W" * 5_000, "长" * 400, "<b>" * 200, "a b " * 300, "&" * 300],
    "blank": [" ", "\u3000", "\xa0", "  Ann  "],
    "looks like nothing": [
        "nan", "NaT", "None", "null", "<NA>", "N/A", "–", "0", "undefined", "(unassigned)", "(none)", "(all)",
    ],
}  # fmt: skip
HOSTILE = list(dict.fromkeys(name for family in FAMILIES.values() for name in family))
SAMPLE = HOSTILE[::SAMPLE_STEP]
TWIN = "Ann Reed"  # in the place of each of them
