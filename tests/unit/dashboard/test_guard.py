"""The dashboard answers requests under its own name, and refuses pages of other web sites."""

from __future__ import annotations

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest
from fabricated_studies import fabricate
from served_dashboard import serving

CALLBACK = {
    "output": "stamp.data", "outputs": {"id": "stamp", "property": "data"}, "changedPropIds": ["tick.n_intervals"],
    "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
    "state": [{"id": "stamp", "property": "data", "value": None}],
}  # fmt: skip
NAME = socket.gethostname()


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0", "::1"])
def page(request, tmp_path_factory):
    """A running dashboard as (requested address, port, connect)."""
    if request.param == "::1" and not _has_ipv6():
        pytest.skip("missing part: IPv6 on this machine")
    folder = tmp_path_factory.mktemp("guard") / "bccd"
    fabricate(folder, 3)
    with serving(folder, host=request.param) as address:
        yield request.param, urlsplit(address).port


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def ask(page, method: str, path: str, headers: list[tuple[str, str]], body: str = "") -> int:
    """The status of one raw request with exactly these headers."""
    listening, port = page
    connection = http.client.HTTPConnection("::1" if listening == "::1" else "127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("host", ["localhost", "localhost:{port}", "LocalHost.:9000", "127.0.0.1:{port}", "127.1.2.3",
                                  "[::1]:{port}", "[::1]"])  # fmt: skip
def test_names_of_this_machine_are_answered(page, host):
    host = host.format(port=page[1])
    for path in ("/", "/_dash-layout", "/_dash-dependencies"):
        assert ask(page, "GET", path, [("Host", host)]) == 200
    own = [("Host", host), ("Origin", f"http://{host}")]
    assert ask(page, "POST", "/_dash-update-component", own, json.dumps(CALLBACK)) == 200
    assert ask(page, "POST", "/_dash-update-component", own[:1], json.dumps(CALLBACK)) == 200


@pytest.mark.parametrize("hosts", [
    ["evil.example"], ["evil.example:{port}"], ["localhost.evil.example"], ["127.0.0.1.evil.example"],
    ["localhost@evil"], ["localhost, evil"], ["localhost", "evil.example"], ["[::1"], ["::1"], [""], ["localhost:x"],
    ["localhost/.evil"], [],
])  # fmt: skip
def test_other_names_are_refused(page, hosts):
    headers = [("Host", h.format(port=page[1])) for h in hosts]
    for path in ("/", "/_dash-layout", "/assets/none.css", "/_dash-component-suites/x"):
        assert ask(page, "GET", path, headers) in (400, 403)
    assert ask(page, "POST", "/_dash-update-component", headers, json.dumps(CALLBACK)) in (400, 403)


@pytest.mark.parametrize("origin", [
    "http://evil.example", "http://localhost:3000", "null", "", "http://localhost", "file://",
    "http://localhost:{port}.evil", "http://localhost:{port}/", "localhost:{port}",
])  # fmt: skip
def test_foreign_origins_are_refused(page, origin):
    headers = [("Host", f"localhost:{page[1]}"), ("Origin", origin.format(port=page[1]))]
    assert ask(page, "POST", "/_dash-update-component", headers, json.dumps(CALLBACK)) == 403
    assert ask(page, "GET", "/_dash-layout", headers) == 403


def test_where_every_address_is_served_the_machine_has_a_name_and_addresses(page):
    expected = 200 if page[0] == "0.0.0.0" else 403
    for host in (NAME, f"{NAME}:{page[1]}", "192.0.2.7", "[2001:db8::1]:8050"):
        assert ask(page, "GET", "/", [("Host", host)]) == expected


def test_a_name_that_was_given_is_known(tmp_path):
    from nas_attn.dashboard.guard import Guard

    said = []
    guard = Guard(lambda environ, start: [b"in"], "Box.lan")
    assert guard({"HTTP_HOST": "box.LAN:8050"}, lambda *a: said.append(a)) == [b"in"] and not said
    guard({"HTTP_HOST": "192.0.2.7"}, lambda *a: said.append(a))
    assert said[0][0] == "403 Forbidden"
