"""Each rep's page goes to that rep's address, once, and nowhere else; a real mail server takes it."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import ssl
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from salescoach.batch import Mail, Order, PlanFile, deliver, read_manifest, run_batch
from salescoach.errors import InputError, UsageError
from salescoach.reports import find_book
from salescoach.wording import words

SECRET = "a-password-of-nobody"


class Post:
    """A mail server that keeps what it is given, and refuses or breaks off where it is told to."""

    def __init__(self):
        self.letters, self.refused, self.hang_up_after = [], set(), None
        self.secret, self.asked = [], 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refused:
            return f"550 5.1.1 no {address} here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.hang_up_after is not None and len(self.letters) >= self.hang_up_after:
            server.transport.close()
            return "421 broken off"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append((tuple(envelope.rcpt_tos), message))
        self.secret.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 OK"

    def __call__(self, server, session, envelope, mechanism, data):
        self.asked += 1
        right = isinstance(data, LoginPassword) and data.password == SECRET.encode()
        return AuthResult(success=right, handled=False)


@pytest.fixture
def post():
    handler = Post()
    server = Controller(handler, hostname="127.0.0.1", port=0, authenticator=handler, auth_require_tls=False)
    server.port = free_port()
    server.start()
    handler.mail = Mail(host="127.0.0.1", port=server.port, security="none", sender="coach@example.com")
    yield handler
    server.stop()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


NOTEBOOK = """{"cells": [
 {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Who is it?"},
 {"cell_type": "code", "id": "b", "metadata": {"tags": ["parameters"]}, "execution_count": null, "outputs": [],
  "source": "book: str = \\"demo\\"  # book\\nrep: str = \\"\\"  # rep\\nperiod: str = \\"\\"  # period\\nlanguage: str = \\"en\\"  # language"},
 {"cell_type": "code", "id": "c", "metadata": {}, "execution_count": null, "outputs": [],
  "source": "from salescoach.book import open_book\\nprint(rep, sorted(open_book(book).table(\\"reps\\").columns))"}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""  # noqa: E501
ADDRESSES = {"R01": "r01@example.com", "R02": "r02@example.com", "R03": "r03@example.com"}


def with_addresses(book, addresses):
    reps = book.table("reps").drop(columns="email", errors="ignore")
    given = reps["rep_id"].astype(str).map(addresses).astype("str")
    return replace(book, tables={**book.tables, "reps": reps.assign(email=given)})


@pytest.fixture(scope="module")
def whole():
    return with_addresses(find_book("demo"), ADDRESSES)


@pytest.fixture(scope="module")
def published(whole, tmp_path_factory):
    """Three reps' pages, and the page of a team."""
    folder = tmp_path_factory.mktemp("mail")
    (folder / "who.ipynb").write_text(NOTEBOOK, encoding="utf-8")
    order = Order(notebook=str(folder / "who.ipynb"), per="rep", only=tuple(ADDRESSES))
    team = Order(notebook="quota", per="company")
    run = run_batch(whole, PlanFile(reports=(order, team)), folder / "out", workers=1)
    assert not run.failed
    return folder / "out"


@pytest.fixture
def out(published, tmp_path):
    import shutil

    return Path(shutil.copytree(published, tmp_path / "out", symlinks=True))


def page_of(out, rep):
    [report] = [r for r in read_manifest(out)["reports"] if r["subject"] == rep]
    return out / "current" / report["file"]


def test_each_gets_their_own_page_and_nobody_elses(out, whole, post):
    said = deliver(out, whole, post.mail)
    assert (said.sent, said.before, said.unsent) == (3, 0, ())
    assert sorted(to for to, _ in post.letters) == sorted((a,) for a in ADDRESSES.values())
    for (to,), letter in post.letters:
        rep = next(r for r, a in ADDRESSES.items() if a == to)
        [page] = letter.iter_attachments()
        assert page.get_payload(decode=True) == page_of(out, rep).read_bytes()
        assert page.get_content_type() == "text/html" and letter["To"] == to
        assert "30 Sept 2026" in letter["Subject"]
        everything = letter.as_string()
        assert not [other for other in ADDRESSES.values() if other != to and other in everything]


def test_no_page_knows_an_address(out):
    for rep in ADDRESSES:
        text = page_of(out, rep).read_text(encoding="utf-8")
        assert f"{rep} [" in text and "rep_id" in text, "the cell has run"
        assert "email" not in text and "@example.com" not in text


def test_the_same_page_is_sent_once(out, whole, post):
    deliver(out, whole, post.mail)
    again = deliver(out, whole, post.mail)
    assert (again.sent, again.before, again.unsent) == (0, 3, ()) and len(post.letters) == 3
    moved = deliver(out, with_addresses(whole, {**ADDRESSES, "R02": "new@example.com"}), post.mail)
    assert (moved.sent, moved.before) == (1, 2) and post.letters[-1][0] == ("new@example.com",)
    assert "@" not in (out / "mail.jsonl").read_text(encoding="utf-8"), "the record holds no address"


def test_a_server_that_breaks_off_gets_the_rest_next_time(out, whole, post):
    post.hang_up_after = 1
    first = deliver(out, whole, post.mail)
    assert first.sent == 1 and len(first.unsent) == 2 and not any("@" in reason for reason in first.unsent)
    post.hang_up_after = None
    second = deliver(out, whole, post.mail)
    assert (second.sent, second.before, second.unsent) == (2, 1, ())
    assert len({letter["Message-ID"] for _, letter in post.letters}) == 3


def test_a_letter_taken_but_not_noted_keeps_its_name(out, whole, post):
    deliver(out, whole, post.mail)
    (out / "mail.jsonl").write_bytes(b"")  # as after a power cut before the line was on the disk
    deliver(out, whole, post.mail)
    assert len(post.letters) == 6 and len({letter["Message-ID"] for _, letter in post.letters}) == 3


def test_one_refused_address_holds_up_nobody(out, whole, post):
    post.refused = {"r02@example.com"}
    said = deliver(out, whole, post.mail)
    assert said.sent == 2
    [reason] = said.unsent
    assert "refused" in reason and "@" not in reason


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ({"R01": ""}, "no address for R01"),
        ({"R01": "no address"}, "the address of R01 is no address"),
        ({"R01": "a@b.example\nBcc: all@example.com"}, "the address of R01 is no address"),
        ({"R01": "a@b.example, c@d.example"}, "the address of R01 is no address"),
        ({"R01": "@example.com"}, "the address of R01 is no address"),
        ({"R01": "R02@example.com"}, "the address of R01 is also that of somebody else"),
    ],
)
def test_an_address_that_is_not_surely_theirs_gets_nothing(out, whole, post, addresses, reason):
    said = deliver(out, with_addresses(whole, {**ADDRESSES, **addresses}), post.mail)
    assert any(reason in line for line in said.unsent)
    sent = [to for tos, _ in post.letters for to in tos]
    assert "r03@example.com" in sent and set(sent) <= {"r02@example.com", "r03@example.com"}


def test_two_addresses_are_not_chosen_between(out, whole, post):
    reps = whole.table("reps")
    twice = pd.concat([reps, reps[reps["rep_id"] == "R01"].assign(email="second@example.com")], ignore_index=True)
    said = deliver(out, replace(whole, tables={**whole.tables, "reps": twice}), post.mail)
    assert any("several addresses for R01" in line for line in said.unsent) and said.sent == 2


def test_without_addresses_nobody_gets_anything(out, post):
    said = deliver(out, find_book("demo"), post.mail)
    assert said.sent == 0 and len(said.unsent) == 3 and not post.letters


def test_a_page_that_was_changed_or_is_stale_is_not_sent(out, whole, post):
    page = page_of(out, "R01")
    page.chmod(0o600)
    page.write_text("somebody else's", encoding="utf-8")
    manifest = out / "current" / "manifest.json"
    content = read_manifest(out)
    next(r for r in content["reports"] if r["subject"] == "R02")["stale"] = {"as_of": "2026-06-30", "key": "x"}
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(content), encoding="utf-8")
    said = deliver(out, whole, post.mail)
    assert said.sent == 1 and post.letters[0][0] == ("r03@example.com",) and len(said.unsent) == 2


def test_a_server_that_is_not_there_is_told_without_addresses(out, whole):
    nobody = Mail(host="127.0.0.1", port=free_port(), security="none", sender="coach@example.com")
    said = deliver(out, whole, nobody)
    assert said.sent == 0 and len(said.unsent) == 3 and "ConnectionRefusedError" in said.unsent[0]


def test_the_password_comes_from_the_environment_alone(out, whole, post, monkeypatch):
    known = post.mail.model_copy(update={"user": "coach", "password_env": "SMTP_PASSWORD"})
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    with pytest.raises(UsageError, match=r"SMTP_PASSWORD is not set\. Nothing was sent"):
        deliver(out, whole, known)
    monkeypatch.setenv("SMTP_PASSWORD", "wrong")
    wrong = deliver(out, whole, known)
    assert wrong.sent == 0 and "SMTPAuthenticationError 535" in wrong.unsent[0]
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    assert deliver(out, whole, known).sent == 3


def test_a_server_without_encryption_gets_nothing_unless_asked(out, whole, post):
    careful = post.mail.model_copy(update={"security": "starttls"})
    said = deliver(out, whole, careful)
    assert said.sent == 0 and "SMTPNotSupportedError" in said.unsent[0] and not post.letters


# --- encrypted: certificates made here, by an authority that is known or is not ------------------------


all_is_secret = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # without STARTTLS: it is TLS from the start


@pytest.fixture
def safe_post(request, tmp_path):
    """A mail server that takes a password and a letter only when it is spoken to in secret, as the plan's `security`
    has it; its certificate is for 127.0.0.1, by an authority whose own stands in the file `authority`.
    """
    security, name = request.param
    authority, handler = trustme.CA(), Post()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    secret = {"ssl_context": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
    server = Controller(
        handler,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=handler,
        auth_required=True,
        auth_require_tls=security == "starttls",
        **secret,
    )
    server.loop.set_exception_handler(lambda *_: None)  # of who hangs up on a bad certificate
    # it would knock at its own door with a context that is a server's
    server._trigger_server = lambda: socket.create_connection((server.hostname, server.port)).close()
    server.start()
    handler.authority = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(handler.authority))
    handler.mail = Mail(
        host="127.0.0.1",
        port=server.port,
        security=security,
        sender="coach@example.com",
        user="coach",
        password_env="SMTP_PASSWORD",
    )
    yield handler
    server.stop()


@all_is_secret
@pytest.mark.parametrize("safe_post", [("starttls", "127.0.0.1"), ("tls", "127.0.0.1")], indirect=True)
def test_a_server_with_a_known_certificate_gets_the_letters_in_secret(out, whole, safe_post, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    monkeypatch.setenv("SSL_CERT_FILE", str(safe_post.authority))
    said = deliver(out, whole, safe_post.mail)
    assert (said.sent, said.unsent) == (3, ()) and len(safe_post.letters) == 3
    assert safe_post.secret == [True] * 3


@all_is_secret
@pytest.mark.parametrize(
    ("safe_post", "known"),
    [
        (("starttls", "127.0.0.1"), False),
        (("tls", "127.0.0.1"), False),
        (("starttls", "mail.example.com"), True),
        (("tls", "mail.example.com"), True),
    ],
    indirect=["safe_post"],
    ids=["unknown authority", "unknown authority, tls", "another name", "another name, tls"],
)
def test_a_server_with_another_certificate_gets_neither_letter_nor_password(out, whole, safe_post, known, monkeypatch):
    monkeypatch.setenv("SMTP_PASSWORD", SECRET)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(safe_post.authority))
    said = deliver(out, whole, safe_post.mail)
    assert said.sent == 0 and len(said.unsent) == 3
    assert all("SSLCertVerificationError" in why for why in said.unsent)
    assert not safe_post.letters and not safe_post.asked
    assert deliver(out, whole, safe_post.mail).before == 0  # and is not noted as sent


def test_a_page_in_chinese_comes_with_a_chinese_letter(out, whole, post):
    manifest, content = out / "current" / "manifest.json", read_manifest(out)
    for report in content["reports"]:
        report["language"] = "zh"
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(content), encoding="utf-8")
    deliver(out, whole, post.mail)
    _, letter = post.letters[0]
    day = words("zh").date(whole.as_of_on)
    assert letter["Subject"] == f"您的一对一谈话页，数据截至 {day}"
    assert "附件" in letter.get_body().get_content()


def test_a_password_in_the_plan_is_refused(tmp_path):
    from salescoach.batch import read_plan

    plan = tmp_path / "p.toml"
    mail = '[mail]\nhost = "h"\nsender = "a@b.c"\npassword = "x"\n'
    plan.write_text(mail + '[[reports]]\nnotebook = "funnel"\nper = "company"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"mail\.password: no key of a plan"):
        read_plan(plan)
