"""Every route, for everybody: one table says who may, one gate asks it, and both are closed when in doubt."""

import asyncio
import itertools
import re
import threading
import time
from contextlib import closing

import httpx
import pytest
from offices import settings as make_settings
from offices import signed_in
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stream.archive.archive import Archive
from stream.display.server import Server, address, listen
from stream.web.account import Role
from stream.web.app import create_app
from stream.web.opening import open_office
from stream.web.permissions import NEEDED

SECRET = b"only behind the gate"
IN_THE_PLACE_OF = {"camera": "gate"}


def every_route(app):
    """What the application answers, each as "METHOD /path" or "WS /path"."""
    for route in app.router.routes:
        for method in getattr(route, "methods", None) or ["WS"]:
            if method != "HEAD":
                yield f"{method} {route.path}"


def called(client, route, **values):
    """The status of asking for a route; its body is empty, so that no handler gets far."""
    method, template = route.split(" ")
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda m: values.get(m[1], IN_THE_PLACE_OF.get(m[1], "0")), template)
    if method != "WS":
        return client.request(method, path).status_code
    try:
        with client.websocket_connect(f"ws://127.0.0.1{path}"):
            return 101
    except WebSocketDisconnect as closed:
        return 403 if closed.code == 1008 else 101


@pytest.fixture
def gated(opened, monkeypatch):
    """The application's own gate and table before routes that only say that they were reached."""
    app = create_app(*opened)

    class Reached:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close", "code": 1000})
                return
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": SECRET})

    app.add_middleware(Reached)
    app.user_middleware.append(app.user_middleware.pop(0))  # innermost: behind the gate
    return app


@pytest.fixture
def asks(opened, gated):
    """Makes clients of a role and cameras; role None: nobody."""

    def make(role=None, cameras=None):
        made = TestClient(gated, "http://127.0.0.1", headers={"x-unvizard": "page"}, follow_redirects=False)
        if role:
            made.cookies.set(*signed_in(*opened, role, cameras))
        return made

    return make


def test_every_route_is_in_the_table_and_the_table_has_no_other(gated):
    assert set(every_route(gated)) == set(NEEDED)


def test_each_role_reaches_what_the_table_gives_it_and_nothing_else(gated, asks):
    clients = {role: asks(role) for role in Role} | {None: asks()}
    wrong = []
    for route, (role, client) in itertools.product(every_route(gated), clients.items()):
        needed = NEEDED[route]
        reached = called(client, route) in (299, 101)
        if reached != (needed is None or (role is not None and role.covers(needed))):
            wrong.append((route, role, reached))
    assert not wrong


@pytest.mark.parametrize("role", list(Role))
def test_who_must_change_the_password_reaches_that_and_nothing_else(gated, opened, role):
    office, keeper = opened
    office.accounts.add("New", role, None, "violet anchor seventeen", "administrator")
    token = office.sessions.begin(office.accounts.known("New").id, "127.0.0.1")
    client = TestClient(gated, "http://127.0.0.1", headers={"x-unvizard": "page"}, follow_redirects=False)
    client.cookies.set(keeper.cookie, token)
    reached = {route for route in every_route(gated) if called(client, route) in (299, 101)}
    open_to_all = {route for route, needed in NEEDED.items() if needed is None}
    own = {"GET /account", "GET /api/account", "POST /api/account/password", "POST /api/sign-out"}
    assert reached == open_to_all | own
    assert {called(client, route) for route in set(NEEDED) - reached} == {403}
    assert called(client, "GET /no-such-page") == 403

    @gated.get("/api/forgotten")
    def forgotten():
        return SECRET

    assert called(client, "GET /api/forgotten") == 403


def test_nobody_reaches_a_camera_that_the_account_may_not_see(gated, asks):
    with_camera = [route for route in every_route(gated) if "{camera}" in route]
    assert with_camera
    for role in Role:
        client = asks(role, ("yard",))
        for route in with_camera:
            allowed = role.covers(NEEDED[route])
            assert called(client, route, camera="gate") == 403, (route, role)
            assert called(client, route, camera="yard") == (299 if allowed else 403), (route, role)


def test_no_answer_names_a_camera_that_the_account_may_not_see(tmp_path, monkeypatch):
    monkeypatch.setattr("stream.web.overlay._BACK_WITHIN_S", 0.1)  # there is no overlay to wait for
    cameras = [{"name": name, "url": f"rtsp://127.0.0.1:1/{name}"} for name in ("zwinger", "yard")]
    settings = make_settings(tmp_path, cameras=cameras)
    with Archive.open(settings.recording.folder, write=True):
        pass
    office, keeper = open_office(settings, tmp_path)
    with closing(office), closing(keeper):
        app = create_app(office, keeper)
        client = TestClient(
            app, "http://127.0.0.1", headers={"x-unvizard": "page"}, raise_server_exceptions=False
        )
        client.cookies.set(*signed_in(office, keeper, "reviewer", ("yard",)))
        plain = [each for each in every_route(app) if each.startswith("GET") and "{" not in each]
        asked = [each for each in plain if (NEEDED[each] or Role.VIEWER) is not Role.ADMINISTRATOR]
        assert len(asked) > 5
        assert [each for each in asked if b"zwinger" in client.get(each.split()[1]).content] == []


def test_a_route_that_nobody_listed_is_refused_to_everybody(gated, asks):
    @gated.get("/api/forgotten")
    def forgotten():
        return SECRET

    for role in (None, *Role):
        assert called(asks(role), "GET /api/forgotten") == 403


def test_what_changes_something_needs_the_header_of_the_pages_or_a_key(gated, asks, opened):
    office, _ = opened
    client = asks("administrator")
    owner = office.accounts.all()[0]
    _, key = office.keys.add("script", owner, Role.ADMINISTRATOR, None, "test")
    del client.headers["x-unvizard"]
    changing = [route for route in every_route(gated) if route.split()[0] not in ("GET", "WS")]
    assert changing
    for route in changing:
        assert called(client, route) == 403, route
    bare = asks()
    del bare.headers["x-unvizard"]
    bare.headers["authorization"] = f"Bearer {key}"
    for route in changing:
        assert called(bare, route) == 299, route


def test_a_page_asked_for_by_nobody_leads_to_the_sign_in_page_and_a_call_gets_401(asks):
    answer = asks().get("/accounts", headers={"accept": "text/html,*/*"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    answer = asks().get("/api/accounts")
    assert (answer.status_code, answer.json()) == (401, {"detail": "sign in first"})
    assert asks().get("/no-such-page").status_code == 401


def test_a_long_connection_ends_when_its_account_may_no_longer_have_it(opened, monkeypatch):
    office, keeper = opened
    monkeypatch.setattr("stream.web.revocation._EVERY_S", 0.02)
    app = create_app(office, keeper)

    async def endless(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "a picture"})
            if (await receive())["type"] == "websocket.disconnect":
                return

    app.router.routes[:] = [route for route in app.router.routes if route.path != "/ws"]
    app.router.add_websocket_route("/ws", lambda socket: endless(socket.scope, socket.receive, socket.send))
    client = TestClient(app, "http://127.0.0.1", headers={"x-unvizard": "page"})
    client.cookies.set(*signed_in(office, keeper, "viewer"))
    with client.websocket_connect("ws://127.0.0.1/ws") as socket:
        assert socket.receive_text() == "a picture"
        office.sessions.end_all(office.accounts.known("viewer").id)
        deadline = time.monotonic() + 30
        with pytest.raises(WebSocketDisconnect) as closed:
            while time.monotonic() < deadline:
                socket.send_text("more")
                socket.receive_text()
        assert closed.value.code == 1008


def test_a_stream_of_pictures_is_broken_off_when_its_account_is_removed(opened, monkeypatch):
    office, keeper = opened
    monkeypatch.setattr("stream.web.revocation._EVERY_S", 0.02)
    app = create_app(office, keeper)
    route = "/api/cameras/{camera}/stream.mjpg"
    app.router.routes[:] = [each for each in app.router.routes if each.path != route]
    ended = threading.Event()

    async def pictures():
        try:
            while True:
                yield b"a picture"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    app.router.add_route(route, lambda request: StreamingResponse(pictures()))
    cookie, token = signed_in(office, keeper, "viewer", ("gate",))
    with closing(listen("127.0.0.1", 0)) as listener:
        server = Server(app, listener)
        server.start()
        with (
            closing(server),
            httpx.Client(base_url=address(listener), cookies={cookie: token}) as client,
            client.stream("GET", "/api/cameras/gate/stream.mjpg") as answer,
        ):
            coming = answer.iter_raw()
            assert b"a picture" in next(coming)
            with office.store.writing() as connection:
                connection.execute("DELETE FROM account WHERE name = 'viewer'")
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in coming:
                    pass
            assert ended.wait(30)
