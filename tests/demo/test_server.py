"""The server of the page: who may ask, and what an error shows."""

from __future__ import annotations

import http.client
import json
import threading

import pytest
import torch

from semcom.demo.photos import as_png
from semcom.demo.server import HOST, DemoServer, public


class _Broken:
    def show(self, photo, name, settings):
        if settings.seed == 2:
            raise ValueError("no such file: /root/secret/place.png in /etc")
        raise RuntimeError("/root/secret")


@pytest.fixture(scope="module")
def server():
    served = DemoServer(_Broken(), 0)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def _ask(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=20)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.fixture
def photo(server) -> str:
    answer, content = _ask(server, "POST", "/photo", as_png(torch.rand(3, 64, 80)))
    assert answer.status == 200
    return json.loads(content)["photo"]


def test_page_is_complete_and_needs_no_other_host(server):
    for path in ("/", "/app.js", "/plots.js", "/style.css"):
        answer, content = _ask(server, "GET", path)
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        foreign = content.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"http://" not in foreign and b"https://" not in foreign
    assert json.loads(_ask(server, "GET", "/controls")[1])["channels"]["tdl-a"]["reads"]


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/static/app.js", "/%2e%2e/", "/photo"])
def test_nothing_else_is_served(server, path):
    answer, content = _ask(server, "GET", path)
    assert answer.status == 404 and b"root:" not in content


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_other_sites_are_refused(server, headers):
    assert _ask(server, "GET", "/controls", headers=headers)[0].status == 403
    assert _ask(server, "POST", "/show", b"{}", headers)[0].status == 403


def test_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_uploads_are_measured_before_they_are_read(server):
    answer, content = _ask(server, "POST", "/photo", headers={"Content-Length": str(1 << 40)})
    assert answer.status == 413 and "choose a smaller file" in json.loads(content)["error"]
    answer, _ = _ask(server, "POST", "/photo", iter([b"x"]), {"Transfer-Encoding": "chunked"})
    assert answer.status == 411


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"[]", b"{}", b'{"photo": "nosuch"}', b'{"photo": ["a"]}', b"[" * 30000],
)
def test_broken_wishes_get_a_sentence(server, body):
    answer, content = _ask(server, "POST", "/show", body)
    assert 400 <= answer.status < 500 and json.loads(content)["error"]


@pytest.mark.parametrize(
    "settings",
    [{"snr_db": 999}, {"channel": "nosuch"}, {"points": [[2, 2]]}, {"profile": "/etc"}, {"painted": ["<b>"]}],
)
def test_settings_are_checked(server, photo, settings):
    answer, content = _ask(server, "POST", "/show", json.dumps({"photo": photo, "settings": settings}))
    assert answer.status == 400 and next(iter(settings)) in json.loads(content)["error"].replace("model", "")


def test_no_path_of_this_machine_is_shown(server, photo, capfd):
    for seed in (1, 2):
        body = json.dumps({"photo": photo, "settings": {"seed": seed}})
        content = _ask(server, "POST", "/show", body)[1]
        assert b"/root" not in content and json.loads(content)["error"]
    assert public(ValueError("channel uses / (3·H·W), 1/2 of /var/lib/x/y.png")) == (
        "channel uses / (3·H·W), 1/2 of …"
    )
