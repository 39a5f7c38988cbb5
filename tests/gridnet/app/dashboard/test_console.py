"""The console's door: logging in and out, whom it lets see what, and the headers of all that it answers."""

from __future__ import annotations

import gzip
import re

import pytest

from gridnet.app.dashboard.answers import POLICY
from gridnet.app.dashboard.files import FOLDER, Files
from gridnet.app.dashboard.login import COOKIE, own_path
from gridnet.app.dashboard.router import DEEDS, DOWNLOADS, FEEDS, PAGES
from gridnet.app.service.model import ROLES
from gridnet.app.service.people import TOKEN_S
from tests.gridnet.app.dashboard.visiting import SITE, Visits
from tests.gridnet.app.service.lived import Lived
from tests.gridnet.app.service.parts import OPERATOR, secret_of

ONE_OF = {"operator": "boss", "prosumer": "alice", "aggregator": "many", "device": "inverter", "auditor": "auditor"}
SHOWN = {
    "/network": {"operator", "prosumer"},
    "/dispatch": {"operator", "prosumer", "aggregator", "device"},
    "/home": {"operator", "prosumer"},
    "/audit": {"operator", "auditor"},
    "/audit/reports": {"operator", "auditor"},
    "/fraud": {"operator", "auditor"},
}
FIRST = {"operator": "/network", "prosumer": "/home", "aggregator": "/dispatch", "device": "/dispatch", "auditor": "/audit"}
DAY = "2090-06-13"


def test_every_page_of_the_menu_is_among_those_tried() -> None:
    assert {page.path for page in PAGES if "{" not in page.path} == set(SHOWN)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", SHOWN)
def test_a_page_is_for_its_roles_alone(visits: Visits, path: str, role: str) -> None:
    answer = visits.get(ONE_OF[role], path)

    assert answer.status_code == (200 if role in SHOWN[path] else 403)
    listed = {each for each in SHOWN if f'href="/console{each}"' in answer.text}
    assert listed == {each for each in SHOWN if role in SHOWN[each]}, "the menu offers what one may see"
    if role not in SHOWN[path]:
        assert f"known here as {'an' if role[0] in 'ao' else 'a'} {role}" in answer.text
        assert "<table" not in answer.text


@pytest.mark.parametrize("role", ROLES)
def test_the_bare_address_leads_to_the_first_page_of_a_role(visits: Visits, role: str) -> None:
    answer = visits.get(ONE_OF[role], "")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console" + FIRST[role])


@pytest.mark.parametrize("path", ["", "/network", f"/dispatch?day={DAY}&device=bat-00", "/no-such-page"])
def test_whoever_is_not_known_is_sent_to_the_login(visits: Visits, path: str) -> None:
    answer = visits.get(None, path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/login")


def test_the_login_knows_where_one_wanted_to_go(visits: Visits) -> None:
    sent = visits.get(None, f"/dispatch?day={DAY}&device=bat-00").headers["location"]
    page = visits.http.get(sent)
    assert f'name="next" value="/console/dispatch?day={DAY}&amp;device=bat-00"' in page.text


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/console/network?day=2090-06-13", True),
        ("https://example.org/console/network", False),
        ("//example.org/console/network", False),
        ("/console/login", False),
        ("/console/feeds/network/2090-06-13", False),
        ("/api/v1/devices", False),
        ("/console/network\r\nset-cookie: a=b", False),
        ("/console/\\example.org", False),
    ],
)
def test_nobody_is_led_off_the_console(wanted: str, led: bool) -> None:
    assert own_path(wanted) == (wanted if led else None)


def test_the_right_secret_gives_a_cookie_that_no_script_reads(own_visits: Visits) -> None:
    form = {"id": "alice", "secret": secret_of("alice"), "next": f"/console/dispatch?day={DAY}"}
    answer = own_visits.post(None, "/login", data=form)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/console/dispatch?day={DAY}")
    cookie, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert cookie.startswith(f"{COOKIE}=")
    assert {each.lower() for each in attributes.split("; ")} == {"httponly", "path=/", "samesite=strict", "secure"}
    assert own_visits.with_cookie(cookie.partition("=")[2], "/dispatch").status_code == 200


@pytest.mark.parametrize(("name", "secret"), [("alice", "not alice's secret"), ("nobody", "a secret of nobody"), ("", "")])
def test_a_wrong_secret_gives_nothing(own_visits: Visits, name: str, secret: str) -> None:
    answer = own_visits.post(None, "/login", data={"id": name, "secret": secret})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text
    assert secret == "" or secret not in answer.text


def test_logging_in_leads_nowhere_else(own_visits: Visits) -> None:
    form = {"id": "boss", "secret": secret_of("boss"), "next": "https://example.org/"}
    assert own_visits.post(None, "/login", data=form).headers["location"] == "/console/network"


def test_logging_out_ends_the_token_itself(own_visits: Visits) -> None:
    token = own_visits.token("boss")
    assert own_visits.with_cookie(token, "/network").status_code == 200
    answer = own_visits.post(None, "/logout", cookie=token)

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
    assert f'{COOKIE}="";' in answer.headers["set-cookie"]
    assert own_visits.with_cookie(token, "/network").status_code == 303, "who kept the cookie has nothing in it"


def test_a_login_ends_a_quarter_of_an_hour_after_its_last_request(own_visits: Visits, lived_own: Lived) -> None:
    token = own_visits.token("boss")
    for _ in range(4):
        lived_own.clock.forward(seconds=TOKEN_S - 60)
        assert own_visits.with_cookie(token, "/dispatch").status_code == 200
    lived_own.clock.forward(seconds=TOKEN_S + 1)
    assert own_visits.with_cookie(token, "/dispatch").status_code == 303


def test_a_login_ends_with_a_revocation(own_visits: Visits, lived_own: Lived) -> None:
    token = own_visits.token("alice")
    assert own_visits.with_cookie(token, "/network").status_code == 200
    lived_own.service.people.revoke(OPERATOR, "alice")
    assert own_visits.with_cookie(token, "/network").status_code == 303


@pytest.mark.parametrize("origin", [None, "null", "https://example.org", "http://testserver", "https://testserver.example.org"])
@pytest.mark.parametrize("path", ["/login", "/logout", *(deed.path for deed in DEEDS)])
def test_a_form_from_elsewhere_is_not_acted_on(own_visits: Visits, path: str, origin: str | None) -> None:
    token = own_visits.token("alice")
    form = {"id": "alice", "secret": secret_of("alice")}
    answer = own_visits.post(None, re.sub(r"\{.*?\}", "alice-bat-00", path), origin, data=form, cookie=token)

    assert answer.status_code == 403
    assert "did not come from a page of this site" in answer.text
    assert "set-cookie" not in answer.headers
    assert own_visits.with_cookie(token, "/network").status_code == 200, "the login holds"


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.path)
def test_a_form_wants_a_login(own_visits: Visits, deed: object) -> None:
    path = re.sub(r"\{.*?\}", "alice-bat-00", deed.path)  # type: ignore[attr-defined]
    assert own_visits.post(None, path).headers["location"].startswith("/console/login")


def test_what_is_no_form_is_refused_in_words(own_visits: Visits) -> None:
    answer = own_visits.post(None, "/login", data=None, json={"id": "boss"})
    assert answer.status_code == 422
    assert "the form can&#39;t be read" in answer.text
    assert own_visits.post(None, "/login", data=None, content=b"\xff", **{}).status_code == 422


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.path)
def test_a_feed_is_for_its_roles_alone(visits: Visits, feed: object, role: str) -> None:
    path = feed.path.replace("{day}", DAY).replace("{quarter}", "40")  # type: ignore[attr-defined]
    answer = visits.get(ONE_OF[role], f"/feeds{path}")
    allowed = role in feed.roles  # type: ignore[attr-defined]
    assert (answer.status_code == 403) == (not allowed)
    assert answer.headers["content-type"].startswith(("application/json", "application/problem+json"))


def test_a_feed_tells_a_script_that_the_login_has_ended(visits: Visits) -> None:
    answer = visits.get(None, f"/feeds/network/{DAY}")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_an_address_without_a_page_says_so(visits: Visits) -> None:
    answer = visits.get("boss", "/no/such/page")
    assert answer.status_code == 404
    assert "no page at this address" in answer.text


def _every_answer(visits: Visits) -> list[object]:
    asset = f"/assets/{Files().digest}/console.css"
    paths = [
        *SHOWN,
        "",
        "/login",
        "/no-such-page",
        "/network?day=nonsense",
        f"/feeds/network/{DAY}",
        asset,
        "/assets/0/console.css",
    ]
    answers = [visits.get("boss", path) for path in paths]
    return [*answers, visits.get("alice", "/audit"), visits.get(None, "/network"), visits.get(None, f"/feeds/network/{DAY}")]


def test_every_answer_keeps_others_out(visits: Visits) -> None:
    expected = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    assert expected == POLICY
    for answer in _every_answer(visits):
        headers = answer.headers  # type: ignore[attr-defined]
        assert headers["content-security-policy"] == expected
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        kept = "immutable" in headers["cache-control"]
        assert kept == (headers.get("content-type", "").startswith("text/css"))
        assert kept or headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", [*SHOWN, "/login", "/no-such-page", f"/dispatch?day={DAY}&device=bat-01"])
def test_a_page_has_no_code_of_its_own_and_names_no_other_host(visits: Visits, path: str) -> None:
    text = visits.get("boss", path).text
    assert re.findall(r"<script(?![^>]* src=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []
    for address in re.findall(r"(?:src|href|action)=\"([^\"]*)\"", text):
        assert address.startswith(("/console", "#", "?")), address


SVG_NAMES = "http://www.w3.org/2000/svg"
"""The name of a language, which nothing is loaded from."""


def test_scripts_load_from_beside_them_alone() -> None:
    for file in FOLDER.glob("*.js"):
        text = file.read_text(encoding="utf-8").replace(SVG_NAMES, "")
        assert re.findall(r"https?://|//cdn|\beval\(|new Function|innerHTML|\.style\s*=|setAttribute\(\"style", text) == [], (
            file.name
        )
        loaded = re.findall(r"(?:^import [^;]*? from|\bimport\()\s*[\"']([^\"']+)[\"']", text, re.MULTILINE)
        assert len(loaded) == len(re.findall(r"^import |\bimport\(", text, re.MULTILINE)), "this test no longer knows imports"
        assert [name for name in loaded if not (file.parent / name).is_file() or not name.startswith("./")] == [], file.name


def test_what_is_borrowed_comes_with_its_licence() -> None:
    assert "MIT License" in (FOLDER / "vendor" / "uPlot.LICENSE").read_text(encoding="utf-8")
    assert "Leon Sorokin" in (FOLDER / "vendor" / "uPlot.LICENSE").read_text(encoding="utf-8")


def test_a_file_is_the_same_compressed(visits: Visits) -> None:
    path = f"/assets/{Files().digest}/network.js"
    plain = visits.get(None, path, headers={"accept-encoding": "identity"})
    squeezed = visits.get(None, path, headers={"accept-encoding": "gzip"})

    assert plain.content == squeezed.content == (FOLDER / "network.js").read_bytes()
    assert "content-encoding" not in plain.headers
    assert squeezed.headers["content-encoding"] == "gzip"
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("name", ["../router.py", "%2e%2e/router.py", "vendor", "no-such.js", ""])
def test_nothing_but_files_is_handed_out(visits: Visits, name: str) -> None:
    assert visits.get(None, f"/assets/{Files().digest}/{name}").status_code in (303, 404)


def test_a_change_to_any_file_changes_every_address(tmp_path: object) -> None:
    folder = tmp_path / "assets"  # type: ignore[operator]
    folder.mkdir()
    (folder / "a.js").write_text("1")
    (folder / "b.css").write_text("2")
    before = Files(folder)
    (folder / "b.css").write_text("3")
    after = Files(folder)
    assert before.address("a.js") != after.address("a.js")
    assert after.get(before.digest, "a.js") is None
    found = after.get(after.digest, "b.css")
    assert found is not None
    assert gzip.decompress(found.gzipped) == found.body == b"3"
    with pytest.raises(KeyError, match=r"c\.js"):
        after.address("c.js")


@pytest.mark.parametrize("path", SHOWN)
def test_a_service_that_has_decided_nothing_has_pages_too(young: Visits, path: str) -> None:
    for role in SHOWN[path]:
        assert young.get(ONE_OF[role], path).status_code == 200


def test_where_there_is_no_live_feeder_there_is_no_console(tmp_path: object) -> None:
    from tests.gridnet.app.service.parts import calling

    with calling(tmp_path) as call:  # type: ignore[arg-type]
        assert call.http.get("/console/login").status_code == 404


def test_every_download_is_for_those_who_audit_or_hold(visits: Visits) -> None:
    for download in DOWNLOADS:
        assert set(download.roles) <= {"operator", "auditor", "prosumer"}
        assert visits.get("inverter", re.sub(r"\{.*?\}", "x", download.path)).status_code == 403


def test_the_site_is_told_by_scheme_and_host_together(own_visits: Visits) -> None:
    assert own_visits.post("boss", "/logout", SITE + ":8443").status_code == 403
    assert own_visits.post("boss", "/logout", SITE).status_code == 303
