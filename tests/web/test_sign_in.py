"""Signing in and out over real sockets."""

import http.client
import json
import ssl
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from offices import settings as make_settings

from stream.config import ConfigError, parse
from stream.display.server import Server, address, listen
from stream.fault import Fault
from stream.web.account import Role
from stream.web.app import create_app
from stream.web.journal import Filter
from stream.web.opening import open_office
from stream.web.tls import tls_files

GOOD = "violet anchor seventeen"


@pytest.fixture
def ada(office):
    return office.accounts.add("Ada", Role.ADMINISTRATOR, None, GOOD, "test", must_change=False)


@pytest.fixture
def http_client(server):
    with httpx.Client(base_url=server.url, headers={"x-unvizard": "page"}, timeout=60) as made:
        yield made


def sign_in(client, name="Ada", password=GOOD, **options):
    return client.post("/api/sign-in", json={"name": name, "password": password}, **options)


def test_a_session_begins_with_the_right_password_and_ends_with_signing_out(http_client, ada, office):
    assert http_client.get("/api/account").status_code == 401
    answer = sign_in(http_client)
    assert answer.json() == {"name": "Ada", "must_change_password": False}
    cookie = answer.headers["set-cookie"]
    for word in ("unvizard_session=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert word in cookie
    assert "Secure" not in cookie
    told = http_client.get("/api/account").json()
    assert (told["name"], told["role"], told["cameras"]) == ("Ada", "administrator", None)
    assert [(each["peer"], each["current"]) for each in told["sessions"]] == [("127.0.0.1", True)]
    kept = dict(http_client.cookies)
    assert http_client.post("/api/sign-out").status_code == 200
    assert not http_client.cookies
    http_client.cookies.update(kept)
    assert http_client.get("/api/account").status_code == 401
    lines = [(line.actor, line.action, line.detail) for line in office.journal.entries(Filter(actor="Ada"))]
    assert lines == [("Ada", "signed out", ""), ("Ada", "signed in", "with a password, from 127.0.0.1")]


def test_signing_in_again_makes_a_new_token_and_the_old_one_ends(http_client, ada):
    sign_in(http_client)
    old = http_client.cookies["unvizard_session"]
    sign_in(http_client)
    assert http_client.cookies["unvizard_session"] != old
    assert (
        httpx.get(f"{http_client.base_url}api/account", cookies={"unvizard_session": old}).status_code == 401
    )


def test_a_token_that_somebody_else_chose_is_never_taken_over(http_client, ada):
    http_client.cookies.set("unvizard_session", "chosen-by-an-attacker", domain="127.0.0.1")
    answer = sign_in(http_client)
    assert "chosen-by-an-attacker" not in answer.headers["set-cookie"]


def test_guessing_is_slowed_down_by_the_true_peer_whatever_a_header_says(http_client, ada, office):
    statuses = []
    for number in range(8):
        forwarded = {"x-forwarded-for": f"10.0.0.{number}", "forwarded": f"for=10.0.0.{number}"}
        statuses.append(
            sign_in(http_client, f"name {number}", "wrong password", headers=forwarded).status_code
        )
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]
    answers = [sign_in(http_client) for _ in range(2)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["detail"].startswith("too many attempts failed; try again in ")
    lines = office.journal.entries(Filter(action="sign-in refused"))
    assert {line.detail for line in lines} == {"from 127.0.0.1"}
    assert {line.actor for line in lines} == {"somebody without an account"}


def test_many_who_sign_in_at_once_do_not_hold_up_the_pages(http_client, ada, server):
    stop, statuses = threading.Event(), []

    def flood():
        with httpx.Client(base_url=server.url, headers={"x-unvizard": "page"}, timeout=60) as own:
            while not stop.is_set():
                statuses.append(sign_in(own, "nobody", "wrong password").status_code)

    threads = [threading.Thread(target=flood) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert http_client.get("/healthz", timeout=10).json() == {"status": "ok"}
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert set(statuses) <= {401, 429}
    assert statuses.count(401) <= 8


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b'{"name": "Ada"}', 422),
        (b'{"name": 1, "password": "x"}', 422),
        (b'{"name": "Ada", "password": "x", "role": "administrator"}', 422),
        (b'{"name": "Ada", "password": "\\ud800"}', 422),
        (b'{"name": "' + b"a" * 9000 + b'"}', 413),
        (b"\xff\xfe\x00", 422),
    ],
)
def test_bodies_that_are_no_sign_in_are_refused_before_anything_is_hashed(http_client, body, status):
    answer = http_client.post("/api/sign-in", content=body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith("the body must ")


def test_a_one_time_link_signs_in_once(http_client, ada, office):
    token = office.sessions.link_token(ada.id)
    assert http_client.post("/api/sign-in/once", json={"token": token}).json() == {
        "name": "Ada",
        "must_change_password": False,
    }
    assert http_client.get("/api/account").json()["name"] == "Ada"
    again = http_client.post("/api/sign-in/once", json={"token": token})
    assert (again.status_code, again.json()["detail"].split(",")[0]) == (401, "this link was used already")


def test_changing_the_own_password_ends_all_other_sessions_and_renews_this_one(http_client, ada, server):
    with httpx.Client(base_url=server.url, headers={"x-unvizard": "page"}, timeout=60) as elsewhere:
        sign_in(elsewhere)
        sign_in(http_client)
        before = http_client.cookies["unvizard_session"]
        change = {"old": "not the password", "new": "another good password"}
        assert http_client.post("/api/account/password", json=change).status_code == 403
        weak = http_client.post("/api/account/password", json={"old": GOOD, "new": "short"})
        assert (weak.status_code, weak.json()) == (
            422,
            {"detail": "password: must have 12 to 256 characters, found 5"},
        )
        change["old"] = GOOD
        assert http_client.post("/api/account/password", json=change).json() == {"changed": True}
        assert http_client.cookies["unvizard_session"] != before
        assert http_client.get("/api/account").status_code == 200
        assert elsewhere.get("/api/account").status_code == 401


def test_until_a_password_that_somebody_else_chose_is_changed_every_call_is_refused_with_the_reason(
    http_client, client, office, server
):
    boss = client("administrator")
    made = boss.post("/api/accounts", json={"name": "Grace", "role": "administrator"}).json()
    answer = sign_in(http_client, "Grace", made["password"])
    assert answer.json() == {"name": "Grace", "must_change_password": True}
    assert http_client.get("/api/account").json()["must_change_password"] is True
    refused = http_client.get("/api/people")
    assert refused.status_code == 403
    assert refused.json()["detail"].startswith(
        "change your password first, on the page of your account or with"
    )
    own = f"/api/accounts/{made['account']['id']}/password"
    assert http_client.post(own, json={}).status_code == 403  # no way round it
    page = http_client.get("/review", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/account")

    def change(new):
        body = {"old": made["password"], "new": new}
        return http_client.post("/api/account/password", json=body)

    same = change(made["password"])
    assert (same.status_code, same.json()["detail"]) == (
        422,
        "new: must be another password than the one that the account has now",
    )
    assert http_client.get("/api/people").status_code == 403
    assert change(GOOD).status_code == 200
    assert http_client.get("/api/people").status_code == 200
    assert not sign_in(http_client, "Grace").json()["must_change_password"]
    # The boss chooses another one, and it is asked for again; the boss's own was never asked for.
    boss.post(own, json={"password": "what the boss likes"})
    assert sign_in(http_client, "Grace", "what the boss likes").json()["must_change_password"]
    with httpx.Client(base_url=server.url, headers={"x-unvizard": "page"}, timeout=60) as linked:
        token = office.sessions.link_token(made["account"]["id"])
        answer = linked.post("/api/sign-in/once", json={"token": token})
        assert answer.json() == {"name": "Grace", "must_change_password": False}
        assert linked.get("/api/people").status_code == 200
        key = linked.post("/api/keys", json={"label": "script", "role": "operator"}).json()["token"]
    bearer = {"authorization": f"Bearer {key}"}
    assert httpx.get(f"{server.url}api/people", headers=bearer).status_code == 200


def test_a_change_of_the_own_role_goes_on_under_a_new_token(http_client, ada, office):
    office.accounts.add("Grace", Role.ADMINISTRATOR, None, GOOD, "test", must_change=False)
    sign_in(http_client)
    before = http_client.cookies["unvizard_session"]
    changed = http_client.put(f"/api/accounts/{ada.id}", json={"role": "reviewer", "cameras": ["gate"]})
    assert changed.status_code == 200
    assert http_client.cookies["unvizard_session"] != before
    assert http_client.get("/api/account").json()["role"] == "reviewer"
    assert http_client.get("/api/accounts").status_code == 403


def test_a_program_uses_a_key_and_a_wrong_one_is_not_made_good_by_a_cookie(http_client, ada, office, server):
    sign_in(http_client)
    made = http_client.post(
        "/api/keys", json={"label": "script", "role": "operator", "cameras": ["gate"]}
    ).json()
    bearer = {"authorization": f"Bearer {made['token']}"}
    told = httpx.get(f"{server.url}api/account", headers=bearer).json()
    assert (told["name"], told["role"], told["cameras"]) == ("Ada (key script)", "operator", ["gate"])
    assert http_client.get("/api/account", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert http_client.get("/api/account", headers={"authorization": "Basic QWRhOng="}).status_code == 401
    assert http_client.delete(f"/api/keys/{made['key']['id']}").status_code == 200
    assert httpx.get(f"{server.url}api/account", headers=bearer).status_code == 401


def test_accounts_are_made_and_managed_over_http_and_by_administrators_alone(client, office):
    boss = client("administrator")
    made = boss.post("/api/accounts", json={"name": "Grace", "role": "viewer", "cameras": ["gate"]}).json()
    grace = made["account"]
    assert office.accounts.check("grace", made["password"]).account.cameras == frozenset({"gate"})
    taken = boss.post("/api/accounts", json={"name": "GRACE", "role": "viewer"})
    assert (taken.status_code, taken.json()) == (
        422,
        {"detail": "name: must be one that is not taken, found 'GRACE'"},
    )
    assert boss.post("/api/accounts", json={"name": "X1", "role": "emperor"}).status_code == 422
    assert boss.put(f"/api/accounts/{grace['id']}", json={"role": "operator"}).json()["cameras"] is None
    reset = boss.post(f"/api/accounts/{grace['id']}/password", json={}).json()["password"]
    assert reset and reset != made["password"] and office.accounts.check("Grace", reset)
    assert boss.post(f"/api/accounts/{grace['id']}/sign-out").json() == {"ended": 0}
    assert boss.delete(f"/api/accounts/{grace['id']}").json() == {"removed": "Grace"}
    assert boss.delete(f"/api/accounts/{grace['id']}").status_code == 404
    last = boss.delete(f"/api/accounts/{office.accounts.known('administrator').id}")
    assert last.status_code == 422 and "there must be an administrator left" in last.json()["detail"]
    done = [line.action for line in office.journal.entries(Filter(actor="administrator"))]
    assert done == [
        "account removed",
        "signed out everywhere",
        "password changed",
        "account changed",
        "account added",
    ]


def test_the_log_is_read_page_by_page_and_checked_together_with_the_others(client, office):
    for number in range(5):
        office.journal.write("Ada", "viewed", f"sighting {number}")
    boss = client("administrator")
    first = boss.get("/api/journal?limit=3&actor=Ada").json()
    assert [line["detail"] for line in first["lines"]] == ["sighting 4", "sighting 3", "sighting 2"]
    assert first["more"]
    rest = boss.get(f"/api/journal?limit=3&actor=Ada&before={first['lines'][-1]['sequence']}").json()
    assert [line["detail"] for line in rest["lines"]] == ["sighting 1", "sighting 0"]
    assert not rest["more"]
    with office.gallery():
        pass
    logs = boss.post("/api/journal/verify").json()["logs"]
    assert [(log["log"], log["lines"], log["problem"]) for log in logs] == [
        ("pages", 5, ""),
        ("gallery", 0, ""),
        ("recordings", 0, ""),
    ]


def test_where_nobody_signs_in_everybody_here_is_the_local_administrator(tmp_path):
    settings = make_settings(tmp_path, accounts={"sign_in": False})
    office, keeper = open_office(settings, tmp_path)
    with closing(office), closing(listen("127.0.0.1", 0)) as listener:
        server = Server(create_app(office, keeper), listener)
        server.start()
        with closing(server), httpx.Client(base_url=address(listener)) as client:
            told = client.get("/api/account").json()
            assert (told["name"], told["role"], told["signs_in"]) == ("local", "administrator", False)
            assert client.get("/sign-in").headers["location"] == "/"
            assert client.post("/api/sign-out", headers={"x-unvizard": "page"}).status_code == 404
            for foreign in ({"origin": "https://evil.example"}, {"authorization": "Basic eDp5"}):
                assert client.post("/api/journal/verify", headers=foreign).status_code == 403
            assert client.get("/api/account", headers={"host": "evil.example"}).status_code == 403


# over the network


@pytest.fixture
def tls(tmp_path):
    """A certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "pages.crt", tmp_path / "pages.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    private.chmod(0o600)
    return {"certificate": str(certificate), "key": str(private)}


def test_over_tls_the_session_s_cookie_never_travels_in_the_clear(tmp_path, tls):
    settings = make_settings(tmp_path, display={"port": 0, "host": "0.0.0.0", "tls": tls})
    office, keeper = open_office(settings, tmp_path)
    with closing(office), closing(keeper), closing(listen("0.0.0.0", 0)) as listener:
        office.accounts.add("Ada", Role.ADMINISTRATOR, None, GOOD, "test", must_change=False)
        files = tls_files(settings.display.tls)
        with closing(Server(create_app(office, keeper), listener, **files)) as server:
            server.start()
            port = listener.getsockname()[1]
            assert address(listener, https=True) == f"https://127.0.0.1:{port}/"
            trusted = ssl.create_default_context(cafile=tls["certificate"])
            connection = http.client.HTTPSConnection("localhost", port, context=trusted, timeout=60)
            body = json.dumps({"name": "Ada", "password": GOOD})
            connection.request("POST", "/api/sign-in", body, {"x-unvizard": "page"})
            answer = connection.getresponse()
            cookie = answer.headers["set-cookie"]
            assert answer.status == 200
            assert cookie.startswith("__Host-unvizard_session=") and "Secure" in cookie
            answer.read()
            by_name = {"host": "cctv.example:8300", "cookie": cookie.partition(";")[0]}
            connection.request("GET", "/api/account", headers=by_name)
            assert json.loads(connection.getresponse().read())["name"] == "Ada"
            connection.close()


def test_the_pages_leave_this_machine_only_with_tls_and_accounts(tls):
    for display, accounts, missing in (
        ({"host": "0.0.0.0"}, {}, "display.tls"),
        ({"host": "192.0.2.1", "tls": tls}, {"sign_in": False}, "accounts.sign_in: true"),
        ({"host": "cctv.example"}, {"sign_in": False}, "accounts.sign_in: true"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse({"display": display, "accounts": accounts}, "site.yaml")
        assert str(caught.value) == (
            "site.yaml: display.host: must be 127.0.0.1, ::1 or localhost unless there are display.tls (a certificate "
            f"and its key) and accounts.sign_in: true, found {display['host']!r} without {missing}"
        )
    parse({"display": {"host": "0.0.0.0", "tls": tls}}, "site.yaml")


def test_a_certificate_that_cannot_be_used_is_refused_with_the_reason(tls, tmp_path):
    def refusal(**changes):
        with pytest.raises(Fault) as caught:
            tls_files(parse({"display": {"tls": tls | changes}}, "test").display.tls)
        return str(caught.value)

    gone = tmp_path / "gone.pem"
    assert refusal(key=str(gone)) == (
        f"display.tls.key: must be a file that can be read, found {gone}: No such file or directory"
    )
    assert "display.tls: must be a certificate and its own private key" in refusal(certificate=tls["key"])
    other = tmp_path / "other.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        )
    )
    other.chmod(0o640)
    assert "without a password" in refusal(key=str(other))
    other.chmod(0o644)
    assert refusal(key=str(other)) == (
        f"display.tls.key: must not be open to everybody (chmod 600), found {other} with mode 644"
    )
