#!/usr/bin/env python3
"""A relay between a client and the server's media port that loses, delays and throttles what passes.

It has a UDP port (and, with --tcp-to, a TCP port) of its own; a test reaches the server through it by writing that port
into the candidates of the SDP answer. Every client address gets its own socket towards the server, as a NAT would do.
Standard library only.

As a program:   relay.py --to 127.0.0.1:7000 --loss 2 --delay 20 --rate 3000
                prints one line of JSON with its ports, then serves GET /status, POST /conditions and POST /rebind on
                its control port; the same commands as lines of JSON on standard input:
                {"do": "conditions", "direction": "down", "loss": 5}  {"do": "rebind"}  {"do": "status"}  {"do": "stop"}
As a module:    async with Relay(("127.0.0.1", 7000), loss=2) as relay: ... relay.udp_port ... relay.set(loss=5)
"""

import argparse
import asyncio
import json
import random
import socket
import sys
from dataclasses import asdict, dataclass, field, fields

DIRECTIONS = ("up", "down")  # up: from the client to the server
MAXIMUM_CLIENTS = 1024


def widen(transport):
    """A receive buffer for whole key frames of several clients; beyond the system's limit only where we may."""
    for option in (33, socket.SO_RCVBUF):  # 33: SO_RCVBUFFORCE
        try:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4 << 20)
            return
        except OSError:
            pass


@dataclass
class Conditions:
    loss: float = 0.0  # percent, each datagram on its own
    burst: float = 1.0  # mean length of a run of losses; 1 is independent loss
    delay: float = 0.0  # milliseconds
    jitter: float = 0.0  # milliseconds, deviation of an addition to the delay; order is kept
    reorder: float = 0.0  # percent of datagrams that skip the order and come 10 ms late
    duplicate: float = 0.0  # percent
    rate: float = 0.0  # kilobit per second, 0 is unlimited
    queue: int = 262144  # bytes the throttle holds before it drops
    blocked: bool = False  # nothing passes


@dataclass
class Counters:
    datagrams: int = 0
    bytes: int = 0
    lost: int = 0
    overflowed: int = 0
    forwarded: int = 0


@dataclass
class Direction:
    """One direction's conditions and the state of its loss model and bottleneck."""

    random: random.Random
    conditions: Conditions = field(default_factory=Conditions)
    counters: Counters = field(default_factory=Counters)
    busy_until: float = 0.0
    last_due: float = 0.0
    is_bursting: bool = False

    def is_lost(self):
        chance = self.conditions.loss / 100
        if self.conditions.blocked or chance >= 1:
            return True
        if self.conditions.burst <= 1:
            return self.random.random() < chance
        leave = 1 / self.conditions.burst
        enter = chance * leave / (1 - chance)
        if self.random.random() < (leave if self.is_bursting else enter):
            self.is_bursting = not self.is_bursting
        return self.is_bursting

    def due_times(self, size, now):
        """When copies of a datagram of this size leave the relay; empty when it is lost."""
        self.counters.datagrams += 1
        self.counters.bytes += size
        if self.is_lost():
            self.counters.lost += 1
            return []
        departure = self.throttle(size + 28, now)
        if departure is None:
            self.counters.overflowed += 1
            return []
        conditions = self.conditions
        due = departure + conditions.delay / 1000
        if conditions.jitter > 0:
            due += abs(self.random.gauss(0, conditions.jitter)) / 1000
        if self.random.random() * 100 < conditions.reorder:
            due += 0.010
        else:
            due = self.last_due = max(due, self.last_due)
        return [due, due] if self.random.random() * 100 < conditions.duplicate else [due]

    def throttle(self, size, now):
        if self.conditions.rate <= 0:
            return now
        bytes_per_second = self.conditions.rate * 125
        start = max(now, self.busy_until)
        if (start - now) * bytes_per_second + size > self.conditions.queue:
            return None
        self.busy_until = start + size / bytes_per_second
        return self.busy_until


class Upstream(asyncio.DatagramProtocol):
    """The socket towards the server that stands for one client."""

    def __init__(self, relay, client):
        self.relay = relay
        self.client = client
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport
        widen(transport)

    def datagram_received(self, data, _):
        self.relay.pass_on("down", data, self.relay.to_client, self.client)

    def error_received(self, _):
        pass  # the server's port may be closed for a while; that is the test's business


class Downstream(asyncio.DatagramProtocol):
    """The port that clients see."""

    def __init__(self, relay):
        self.relay = relay

    def connection_made(self, transport):
        widen(transport)

    def datagram_received(self, data, client):
        self.relay.pass_on("up", data, self.relay.to_server, client)

    def error_received(self, _):
        pass


class Relay:
    def __init__(self, server, tcp_server=None, host="127.0.0.1", port=0, seed=1, **conditions):
        self.server = server
        self.tcp_server = tcp_server
        self.host = host
        self.port = port
        self.seed = seed
        self.directions = {
            name: Direction(random.Random(seed * 2 + index)) for index, name in enumerate(DIRECTIONS)
        }
        self.set(**conditions)
        self.udp_port = None
        self.tcp_port = None
        self.upstreams = {}
        self.opening = {}
        self.writers = set()
        self.tasks = set()

    async def start(self):
        self.loop = asyncio.get_running_loop()
        self.downstream, _ = await self.loop.create_datagram_endpoint(
            lambda: Downstream(self), local_addr=(self.host, self.port)
        )
        self.udp_port = self.downstream.get_extra_info("sockname")[1]
        self.tcp_listener = None
        if self.tcp_server:
            self.tcp_listener = await asyncio.start_server(self.accept, self.host, 0)
            self.tcp_port = self.tcp_listener.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        if self.tcp_listener:
            self.tcp_listener.close()
        for writer in list(self.writers):
            writer.close()
        for task in list(self.tasks):
            task.cancel()
        self.downstream.close()
        self.rebind()

    async def __aenter__(self):
        return await self.start()

    async def __aexit__(self, *_):
        await self.stop()

    def set(self, direction="both", **changes):
        """Changes conditions from now on; names not given keep their value."""
        known = {item.name: type(item.default) for item in fields(Conditions)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown condition {name!r}, known are {', '.join(known)}")
            if isinstance(value, str) or (not isinstance(value, bool) and value < 0):
                raise ValueError(f"{name} must be a number of at least 0, not {value!r}")
        for name in DIRECTIONS if direction == "both" else (direction,):
            if name not in self.directions:
                raise ValueError(f"unknown direction {name!r}, known are both, up, down")
            for key, value in changes.items():
                setattr(self.directions[name].conditions, key, known[key](value))

    def status(self):
        return {
            "udp": self.udp_port,
            "tcp": self.tcp_port,
            "seed": self.seed,
            "clients": len(self.upstreams),
            **{
                name: {"conditions": asdict(one.conditions), "counters": asdict(one.counters)}
                for name, one in self.directions.items()
            },
        }

    def rebind(self):
        """Forgets the sockets towards the server: the next datagrams come from new ports, as after a NAT restart."""
        for upstream in self.upstreams.values():
            upstream.transport.close()
        self.upstreams = {}

    # UDP

    def pass_on(self, name, data, send, client):
        direction = self.directions[name]
        now = self.loop.time()
        for due in direction.due_times(len(data), now):
            if due <= now:
                send(data, client)
            else:
                self.loop.call_at(due, send, data, client)

    def to_client(self, data, client):
        if not self.downstream.is_closing():
            self.directions["down"].counters.forwarded += 1
            self.downstream.sendto(data, client)

    def to_server(self, data, client):
        upstream = self.upstreams.get(client)
        if upstream:
            self.directions["up"].counters.forwarded += 1
            upstream.transport.sendto(data)
        elif client in self.opening:
            self.opening[client].append(data)
        elif len(self.upstreams) < MAXIMUM_CLIENTS and not self.downstream.is_closing():
            self.opening[client] = [data]
            self.keep(self.open(client))

    async def open(self, client):
        _, upstream = await self.loop.create_datagram_endpoint(lambda: Upstream(self, client), remote_addr=self.server)
        self.upstreams[client] = upstream
        for data in self.opening.pop(client):
            self.to_server(data, client)

    # TCP: nothing can be lost here, but it can be slow

    async def accept(self, reader, writer):
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.tcp_server)
        except OSError:
            writer.close()
            return
        self.writers |= {writer, upstream_writer}
        self.keep(self.pump("up", reader, upstream_writer))
        self.keep(self.pump("down", upstream_reader, writer))

    async def pump(self, name, reader, writer):
        direction = self.directions[name]
        try:
            while data := await reader.read(16384):
                now = self.loop.time()
                direction.counters.datagrams += 1
                direction.counters.bytes += len(data)
                while direction.conditions.blocked:
                    await asyncio.sleep(0.02)
                departure = direction.throttle(len(data), now)
                while departure is None:
                    await asyncio.sleep(0.005)
                    now = self.loop.time()
                    departure = direction.throttle(len(data), now)
                wait = departure + direction.conditions.delay / 1000 - now
                if wait > 0:
                    await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()
                direction.counters.forwarded += 1
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    def keep(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # Control

    def perform(self, command):
        """One command of the control port or of standard input; returns the answer. Raises ValueError."""
        if not isinstance(command, dict):
            raise ValueError("a command is an object")
        arguments = {key: value for key, value in command.items() if key != "do"}
        action = command.get("do")
        if action == "conditions":
            self.set(**arguments)
        elif action == "rebind":
            self.rebind()
        elif action != "status":
            raise ValueError(f"unknown command {action!r}, known are conditions, rebind, status")
        return self.status()

    async def serve_control(self, reader, writer):
        try:
            request = (await reader.readline()).decode("latin-1").split()
            length = 0
            while (line := (await reader.readline()).strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = min(int(value), 65536)
            body = json.loads(await reader.readexactly(length)) if length else {}
            if len(request) < 2:
                raise ValueError("no request")
            answer, status = self.perform({**body, "do": request[1].strip("/")}), "200 OK"
        except (ValueError, TypeError) as error:
            answer, status = {"error": str(error)}, "400 Bad Request"
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()
            return
        text = json.dumps(answer).encode() + b"\n"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + text
        )
        writer.close()


def address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=address, required=True, help="the server's UDP port, host:port")
    parser.add_argument("--tcp-to", type=address, help="the server's ICE-TCP port, host:port")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=0, help="UDP port to listen on, 0 for any")
    parser.add_argument("--control", type=int, default=0, help="HTTP control port, 0 for any")
    parser.add_argument("--seed", type=int, default=1)
    for item in fields(Conditions):
        if item.name != "blocked":
            parser.add_argument(f"--{item.name}", type=type(item.default), default=item.default)
    options = parser.parse_args()
    conditions = {item.name: getattr(options, item.name, item.default) for item in fields(Conditions)}

    relay = Relay(options.to, options.tcp_to, options.host, options.port, options.seed, **conditions)
    async with relay:
        control = await asyncio.start_server(relay.serve_control, "127.0.0.1", options.control)
        port = control.sockets[0].getsockname()[1]
        print(json.dumps({"udp": relay.udp_port, "tcp": relay.tcp_port, "control": port, "seed": relay.seed}), flush=True)
        commands = asyncio.StreamReader()
        await relay.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            try:
                command = json.loads(line)
                if command == {"do": "stop"}:
                    return
                print(json.dumps(relay.perform(command)), flush=True)
            except (ValueError, TypeError) as error:
                print(json.dumps({"error": str(error)}), flush=True)
        # Standard input is closed: run until killed, so that it can also be started in the background.
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
