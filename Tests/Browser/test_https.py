"""The pages over HTTPS with the certificate of the first start: HTTP/2, and WebSockets inside of it."""

import ssl
import urllib.request

import pytest
from harness import Server

# Joins again and again while the room's state grows beyond a frame of HTTP/2, and sends bursts of messages.
TALK = """
async ([room, token]) => {
    const results = [];
    for (const [length, times] of [[100, 5], [3000, 10], [3900, 3], [60000, 2], [10, 1]]) {
        const socket = new WebSocket(`wss://${location.host}/v1/rooms/${room}/socket`, "consilium.v1");
        results.push(await new Promise((done) => {
            let longest = 0;
            socket.onopen = () => socket.send(JSON.stringify({ id: 1, do: "join", token }));
            socket.onmessage = ({ data }) => {
                longest = Math.max(longest, data.length);
                const { re } = JSON.parse(data);
                if (re === 1) {
                    for (let n = 0; n < times; n += 1) {
                        socket.send(JSON.stringify({ id: 2 + n, do: "chat.send", text: "x".repeat(length) }));
                    }
                }
                if (re === 1 + times) done(longest);
            };
            socket.onclose = ({ code }) => done(`closed with ${code}`);
        }));
        socket.onclose = null;
        socket.close();
    }
    return results;
}
"""


class HTTPSServer(Server):
    def __init__(self, folder):
        super().__init__(folder, server__tls="self-signed")
        self.url = f"https://localhost:{self.port}"

    def get(self, path, token=None):
        trusted = ssl.create_default_context(cafile=self.folder / "state" / "certificate.pem")
        with urllib.request.urlopen(self.url + path, timeout=10, context=trusted) as answer:
            return answer.status, dict(answer.headers), answer.read()


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    server = HTTPSServer(tmp_path_factory.mktemp("https")).start()
    yield server
    status, seconds = server.stop()
    assert status == 0 and seconds < 5


def test_signalling_inside_http_2_carries_messages_of_every_size(browser, secure):
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(f"{secure.url}/healthz")
    protocol = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
    assert protocol == "h2"
    sizes = page.evaluate(TALK, ["secure", secure.token("secure")])
    assert all(isinstance(size, int) for size in sizes), sizes
    assert sizes[-1] > 40_000, f"no message was larger than a frame of HTTP/2: {sizes}"
    context.close()


def test_a_page_of_another_origin_is_refused(browser, secure, server):
    context = browser.new_context(ignore_https_errors=True, bypass_csp=True)
    page = context.new_page()
    page.goto(f"{server.url}/healthz")
    code = page.evaluate(
        """(port) => new Promise((done) => {
            const socket = new WebSocket(`wss://localhost:${port}/v1/rooms/secure/socket`, "consilium.v1");
            socket.onopen = () => done("open");
            socket.onclose = ({ code }) => done(code);
        })""", secure.port)
    assert code == 1006
    context.close()
