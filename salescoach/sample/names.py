"""The invented names of the simulated world."""

from __future__ import annotations

TEAMS = ("Harbour", "Summit", "锐进", "远航")
REGIONS = ("North", "West", "华东", "华南")
MANAGERS = ("Grace Liu 刘静", "Mark Jensen", "陈建国", "赵丽")

REPS = (
    "Ana Souza",
    "Tom Becker",
    "Priya Nair",
    "Li Wei 李伟",
    "Grace O'Connor",
    "Daniel Novak",
    "Sofia Rossi",
    "James Carter",
    "Chen Jie 陈洁",
    "Emma Lind",
    "Omar Haddad",
    "Julia Weber",
    "王芳",
    "张伟",
    "刘洋",
    "陈静",
    "Huang Lei 黄磊",
    "周婷",
    "吴军",
    "徐丽",
    "孙鹏",
    "马涛",
    "朱琳",
    "郭敏",
)

PRODUCTS = (
    # product, family, list price in CNY, share of deals
    ("CloudDesk Pro", "CloudDesk", 24_000, 0.34),
    ("CloudDesk Team", "CloudDesk", 9_800, 0.26),
    ("DataBridge", "Data", 46_000, 0.18),
    ("客户通", "CRM", 18_000, 0.14),
    ("Insight+ Suite", "Data", 98_000, 0.08),
)

COMPETITORS = ("Bluepeak", "Kestrelsoft", "云帆软件")
LEAD_SOURCES = ("website", "referral", "partner", "exhibition", "cold_call")
WEBINAR_TOPICS = ("migration", "pricing", "security", "roadmap")
INDUSTRIES = ("manufacturing", "retail", "logistics", "healthcare", "education", "software")

# Legal, but hard on anything that does not quote or escape.
AWKWARD_ACCOUNTS = (
    "Smith, Jones & Partners",
    'O\'Neill "Fast" Freight',
    "A<B Analytics",
    "Müller & Söhne",
    "R&D; Labs",
    '北京"新"元,科技',
    "=Equal Design",
    "100% Fresh",
    "<b>Bold</b> Foods",
    "上海 O'Brien 咨询",
    "$5 Tools_$",
    "名创／工贸",
)
ENGLISH_FIRST = (
    "Alder",
    "Beacon",
    "Cedar",
    "Delta",
    "Ember",
    "Falcon",
    "Granite",
    "Hazel",
    "Iris",
    "Juniper",
    "Keystone",
    "Lantern",
    "Maple",
    "Nimbus",
    "Orchid",
    "Pioneer",
    "Quartz",
    "Raven",
    "Sable",
    "Tundra",
    "Umber",
    "Vista",
    "Willow",
    "Xenon",
    "Yarrow",
    "Zephyr",
)
ENGLISH_LAST = (
    "Foods",
    "Freight",
    "Textiles",
    "Clinics",
    "Motors",
    "Paper",
    "Optics",
    "Robotics",
    "Schools",
    "Hotels",
    "Software",
    "Plastics",
    "Energy",
    "Printing",
    "Trading",
    "Tools",
    "Media",
    "Dairy",
)
CHINESE_FIRST = (
    "华盛",
    "恒达",
    "瑞丰",
    "中宁",
    "天泽",
    "明德",
    "金桥",
    "永康",
    "安信",
    "博雅",
    "东升",
    "海川",
    "嘉禾",
    "凯力",
    "隆昌",
    "南方",
    "清源",
    "荣泰",
    "顺和",
    "同创",
    "万利",
    "新宇",
    "远景",
    "正大",
)
CHINESE_LAST = (
    "机械",
    "物流",
    "食品",
    "医药",
    "电子",
    "服饰",
    "建材",
    "教育",
    "软件",
    "包装",
    "化工",
    "农业",
    "文化",
    "能源",
    "贸易",
    "印务",
)
ENGLISH_PLACES = ("", "Group", "Asia", "Holdings")
CHINESE_PLACES = ("", "上海", "深圳", "成都")


def account_name(number: int) -> str:
    """The name of the account with this running number; no two are alike."""
    if number % 150 == 7 and number // 150 < len(AWKWARD_ACCOUNTS):
        return AWKWARD_ACCOUNTS[number // 150]
    half, chinese = divmod(number, 2)
    first: tuple[str, ...] = CHINESE_FIRST if chinese else ENGLISH_FIRST
    last: tuple[str, ...] = CHINESE_LAST if chinese else ENGLISH_LAST
    places = CHINESE_PLACES if chinese else ENGLISH_PLACES
    # 101 has no divisor in common with either number of pairs: every pair comes once before one repeats.
    round_number, pair = divmod(half, len(first) * len(last))
    family, kind = divmod(pair * 101 % (len(first) * len(last)), len(last))
    place = places[round_number] if round_number < len(places) else str(round_number + 1)
    if chinese:
        return f"{place}{first[family]}{last[kind]}有限公司"
    return f"{first[family]} {last[kind]} {place}".rstrip()


def cycle(names: tuple[str, ...], number: int, label: str) -> str:
    """The name at this position, or `label` and the number where the list is too short."""
    return names[number] if number < len(names) else f"{label} {number + 1}"
