"""A small book with two teams, a hand-over, and two people of one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from salescoach.book import Book
from salescoach.sources import load_book

FILES = {
    "deals.csv": """\
deal_id,rep_id,stage,created_at,closed_at,amount,expected_close_on,account_id,name,probability,helper
D1,R1,Won,2025-01-01,2025-02-10,100.00,2025-02-01,A1,Alpha,1,Bob Stone
D2,R1,Quote,2025-01-05,,250.00,2025-05-01,A1,Beta with Bob Stone,0.5,
D3,R2,Lost,2025-01-10,2025-03-01,300.00,2025-03-01,A2,Gamma,0,Ann Reed
D4,R3,Won,2025-02-01,2025-03-15,400.00,2025-03-01,A2,Delta,1,
D5,R4,Contract,2025-02-05,,500.00,2025-06-01,A3,Epsilon for R12 and 李娜,0.8,
""",
    "stage_history.csv": """deal_id,entered_at,stage,rep_id
D1,2025-01-01,Prospecting,R2
D1,2025-01-20,Quote,R1
D1,2025-02-10,Won,R1
D2,2025-01-05,Prospecting,R1
D2,2025-03-05,Quote,R1
D3,2025-01-10,Prospecting,R2
D3,2025-03-01,Lost,R2
D4,2025-02-01,Prospecting,R3
D4,2025-03-15,Won,R3
D5,2025-02-05,Prospecting,R4
D5,2025-02-20,Contract,R4
""",
    "changes.csv": """deal_id,at,field,old,new
D1,2025-01-15,rep_id,R2,R1
D2,2025-02-15,amount,200.00,250.00
D2,2025-03-20,expected_close_on,2025-04-01,2025-05-01
D4,2025-02-10,rep_id,,R3
""",
    "reps.csv": """rep_id,name,team,manager
R1,Ann Reed,North,Gil Moor
R2,Bob Stone,North,Gil Moor
R3,李娜,South,Eva Lund
R4,Sam Hill,South,Eva Lund
R5,Sam Hill,South,Eva Lund
""",
    "accounts.csv": """account_id,name,rep_id
A1,Acme,R2
A2,Bolt,R3
A3,Cube,R4
""",
    "leads.csv": """lead_id,created_at,rep_id,first_response_at,converted_at,deal_id,status
L1,2025-01-01,R1,2025-01-02,2025-02-01,D1,converted
L2,2025-01-03,R2,,,,new
""",
    "activities.csv": """activity_id,rep_id,at,activity_type,deal_id
T1,R1,2025-01-02,call,D1
T2,R2,2025-01-03,call,D1
""",
    "targets.csv": """rep_id,team,metric,start_on,end_on,value
R1,North,won_amount,2025-01-01,2025-03-31,1000
,North,won_amount,2025-01-01,2025-03-31,5000
R3,South,won_amount,2025-01-01,2025-03-31,2000
""",
}
BAD = "D6,R1,Won,2025-02-30,,600.00,,A1,Zeta from Bob Stone,1,\nD7,R2,Won,2025-02-30,,700.00,,A1,Eta,1,\n"


@pytest.fixture
def book(tmp_path: Path) -> Book:
    folder = tmp_path / "export"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text + (BAD if name == "deals.csv" else ""), encoding="utf-8")
    return load_book(folder, as_of="2025-04-01")
