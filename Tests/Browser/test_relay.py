"""The relay does what it is told: without that, "works with 2 % loss" would show nothing."""

import asyncio
import json
import pathlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from harness import run_async

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import Relay  # noqa: E402

PROGRAM = pathlib.Path(__file__).with_name("relay.py")


class Echo(asyncio.DatagramProtocol):
    def __init__(self):
        self.peers = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.peers.add(peer)
        self.transport.sendto(data, peer)


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = []
        self.changed = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, _):
        self.received.append((asyncio.get_running_loop().time(), data))
        self.changed.set()

    async def exchange(self, datagrams):
        """Sends in small groups and returns what comes back until nothing has come for 0.3 s."""
        self.received = []
        started = asyncio.get_running_loop().time()
        for index, datagram in enumerate(datagrams):
            self.transport.sendto(datagram)
            if index % 20 == 19:
                await asyncio.sleep(0.001)
        while True:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), 0.3)
            except asyncio.TimeoutError:
                return [(time - started, data) for time, data in self.received]


def with_relay(body, **conditions):
    """Runs `body(relay, client, echo)` with a relay between a client and an echoing server."""

    async def run():
        loop = asyncio.get_running_loop()
        transport, echo = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        tcp = await asyncio.start_server(echo_stream, "127.0.0.1", 0)
        server = transport.get_extra_info("sockname")[:2]
        async with Relay(server, tcp.sockets[0].getsockname()[:2], **conditions) as relay:
            end, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", relay.udp_port))
            await body(relay, client, echo)
            end.close()
        tcp.close()
        transport.close()

    run_async(run())


async def echo_stream(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


def numbered(count):
    return [b"%d" % number for number in range(count)]


def test_a_relay_without_conditions_changes_nothing():
    async def body(relay, client, _):
        got = await client.exchange(numbered(500))
        assert [data for _, data in got] == numbered(500)
        assert relay.status()["up"]["counters"]["lost"] == 0

    with_relay(body)


@pytest.mark.parametrize("burst", [1, 5])
def test_loss_is_the_given_share_in_each_direction(burst):
    async def body(relay, client, _):
        await client.exchange(numbered(4000))
        for name in ("up", "down"):
            counters = relay.status()[name]["counters"]
            assert 0.02 < counters["lost"] / counters["datagrams"] < 0.09, (name, relay.seed, counters)

    with_relay(body, loss=5, burst=burst)


def test_conditions_change_while_it_runs_and_for_one_direction():
    async def body(relay, client, _):
        relay.set("down", blocked=True)
        assert await client.exchange(numbered(10)) == []
        relay.set("down", blocked=False)
        relay.set(delay=40)
        got = await client.exchange(numbered(1))
        assert 0.079 < got[0][0] < 0.2
        relay.set(delay=0)
        relay.set("up", rate=1000)
        got = await client.exchange([bytes(1222)] * 40)
        measured = 39 * 1250 * 8 / (got[-1][0] - got[0][0])
        assert 900_000 < measured < 1_050_000

    with_relay(body)


def test_rebinding_shows_the_server_a_new_address_and_keeps_the_clients():
    async def body(relay, client, echo):
        await client.exchange(numbered(1))
        relay.rebind()
        assert len(await client.exchange(numbered(1))) == 1
        assert len(echo.peers) == 2

    with_relay(body)


def test_tcp_passes_too():
    async def body(relay, *_):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.tcp_port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()

    with_relay(body, delay=5)


def test_wrong_conditions_are_refused_with_a_reason():
    async def body(relay, *_):
        for wrong in ({"lost": 1}, {"loss": -1}, {"loss": "much"}, {"direction": "sideways", "loss": 1}):
            with pytest.raises(ValueError):
                relay.set(**wrong)

    with_relay(body)


def test_the_program_obeys_its_control_port_and_its_standard_input():
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "--to", "127.0.0.1:9", "--loss", "2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        ports = json.loads(process.stdout.readline())
        control = f"http://127.0.0.1:{ports['control']}"
        status = json.load(urllib.request.urlopen(f"{control}/status", timeout=10))
        assert status["up"]["conditions"]["loss"] == 2
        change = json.dumps({"direction": "up", "delay": 7}).encode()
        status = json.load(urllib.request.urlopen(f"{control}/conditions", change, timeout=10))
        assert (status["up"]["conditions"]["delay"], status["down"]["conditions"]["delay"]) == (7, 0)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{control}/conditions", b'{"lost": 1}', timeout=10)
        assert "unknown condition" in refusal.value.read().decode()
        process.stdin.write('{"do": "conditions", "loss": 3}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["down"]["conditions"]["loss"] == 3
        process.stdin.write('{"do": "stop"}\n')
        process.stdin.flush()
        assert process.wait(10) == 0
    finally:
        process.kill()
