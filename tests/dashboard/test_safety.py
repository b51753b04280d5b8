"""What is refused, whoever asks."""

from __future__ import annotations

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from pgqueue import App
from pgqueue.dashboard import VERBS, Access, allow_all, dashboard
from pgqueue.dashboard.entry import COOKIE, OneTimeLink, Password
from pgqueue.dashboard.redaction import HIDDEN, redacted, redacted_json
from pgqueue.dashboard.routes import FOLDER, routes
from pgqueue.dashboard.site import Dashboard


@pytest.fixture
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(f"sqlite:///{tmp_path_factory.mktemp('store')}/jobs.db")


def all_routes(app: App) -> list[Route]:
    return list(routes(Dashboard(app, allow_all, read_only=False, name="", colour="indigo")))


def path_of(route: Route) -> str:
    return route.path.replace("{id:int}", "1").replace("{name:path}", "mail")


def test_every_route_refuses_who_lacks_its_verb(app: App) -> None:
    found = all_routes(app)
    assert {route.name for route in found} == VERBS - {"reveal"}
    for verb in VERBS:
        lacking = Access("bob", VERBS - {verb})
        site = dashboard(app, authorize=lambda _, access=lacking: access)
        asks = TestClient(site, headers={"sec-fetch-site": "none"})
        for route in found:
            if route.name == verb:
                [method] = route.methods - {"HEAD"} if route.methods else ()
                assert asks.request(method, path_of(route)).status_code == 403, route.path


def test_nobody_is_let_in_where_authorize_says_none(app: App) -> None:
    site = TestClient(dashboard(app, authorize=lambda _: None))
    for route in all_routes(app):
        path = path_of(route)
        assert (
            site.request("GET" if "GET" in (route.methods or ()) else "POST", path).status_code
            == 403
        )


def test_without_authorize_there_is_no_dashboard(app: App) -> None:
    with pytest.raises(TypeError, match="authorize"):
        dashboard(app)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="authorize"):
        dashboard(app, authorize=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="delete"):
        Access("ann", frozenset({"delete"}))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 409),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver"}, 409),
        ({}, 403),
        ({"authorization": "Bearer x"}, 409),
    ],
)
def test_a_post_from_another_site_is_refused(
    app: App, headers: dict[str, str], status: int
) -> None:
    site = TestClient(dashboard(app, authorize=allow_all))

    assert site.post("/retry", headers=headers).status_code == status


def test_under_a_foreign_name_it_answers_421(app: App) -> None:
    site = TestClient(dashboard(app, authorize=lambda _: None, hosts=["127.0.0.1", "localhost"]))

    assert site.get("/", headers={"host": "evil.example"}).status_code == 421
    assert site.get("/", headers={"host": "127.0.0.1.evil.example:80"}).status_code == 421
    assert site.get("/", headers={"host": "127.0.0.1:8765"}).status_code == 403
    assert site.get("/", headers={"host": "LOCALHOST"}).status_code == 403


def test_every_answer_says_what_a_browser_may_do_with_it(app: App) -> None:
    site = TestClient(dashboard(app, authorize=lambda _: None, hosts=["testserver"]))
    for path in ("/", "/static/style.css", "/nothing"):
        headers = site.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_no_template_opts_out_of_escaping() -> None:
    templates = list((FOLDER / "templates").iterdir())
    assert len(templates) > 8
    for template in templates:
        text = template.read_text("utf-8")
        for unsafe in ("|safe", "autoescape", "style=", "<script>", "onclick", "javascript:"):
            assert unsafe not in text.replace(" ", ""), template.name


def test_a_link_lets_one_browser_in_once(app: App) -> None:
    link = OneTimeLink("ann")
    site = link.guard(dashboard(app, authorize=link.authorize))
    first, second = (TestClient(site, follow_redirects=False) for _ in range(2))
    path = link.path

    assert first.get("/").status_code == 403
    entered = first.get(path)
    assert entered.status_code == 303
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert "samesite=strict" in entered.headers["set-cookie"].lower()
    assert second.get(path).status_code == 403
    assert second.get("/", cookies={COOKIE: "guess"}).status_code == 403
    assert first.get("/nothing").status_code == 404
    assert first.get(path).status_code == 303  # the same browser, by the back button


def test_a_password_is_asked_for(app: App) -> None:
    entry = Password("ann", "secret:with:colons")
    site = TestClient(entry.guard(dashboard(app, authorize=entry.authorize)))

    assert site.get("/").status_code == 401
    assert site.get("/nothing", auth=("ann", "wrong")).status_code == 401
    assert site.get("/nothing", headers={"authorization": "Basic ???"}).status_code == 401
    assert site.get("/nothing", auth=("ann", "secret:with:colons")).status_code == 404


def test_secrets_are_found_by_name_and_by_looks_at_every_depth() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    given = {
        "user": "ann",
        "password": "x",
        "deep": [{"api_key": {"inner": 1}, "note": f"see {token}"}],
        "url": "postgresql://ann:pw@host/db",
        "passenger": "bob",
        "key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
        "empty_password": "",
    }

    hidden = redacted(given)

    assert hidden["password"] == HIDDEN
    assert hidden["deep"] == [{"api_key": HIDDEN, "note": f"see {HIDDEN}"}]
    assert hidden["url"] == f"postgresql://{HIDDEN}@host/db"
    assert hidden["key"] == HIDDEN
    assert (hidden["user"], hidden["passenger"], hidden["empty_password"]) == ("ann", "bob", "")


def test_secrets_are_found_in_arguments_that_are_cut() -> None:
    assert redacted_json('{"a":1,"password":"x"}') == f'{{"a":1,"password":"{HIDDEN}"}}'
    for cut in ('"x', '"x\\"y', "12", '{"in":"x', '["x'):
        text = f'{{"note":"of a \\"token\\": b","api_key":{cut}'
        assert redacted_json(text).endswith(f'"api_key":"{HIDDEN}"'), cut
        assert '"note":"of a' in redacted_json(text)
    assert redacted_json('{"secret":"x","b":[1,') == f'{{"secret":"{HIDDEN}","b":[1,'
    assert "eyJ" not in redacted_json('{"a":"eyJhbGciOiJIUzI1NiJ9.eyJz')
