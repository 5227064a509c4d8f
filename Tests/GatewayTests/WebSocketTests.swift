// WebSockets over real sockets: who may open one, limits, order, slow readers.
import Gateway
import Testing

@Suite("A WebSocket") struct WebSocketTests {
    static let echo = WebSocketRoute(pattern: "/v1/rooms/{room}/socket", messageLimit: 64 * 1024) { socket in
        for await message in socket.messages { socket.send(OutgoingMessage(message)) }
    }

    @Test("carries messages of every size up to its limit")
    func echoes() async throws {
        try await HTTPServerTests.withServer(sockets: [Self.echo]) { port, _ in
            try await blocking {
                let client = try RawClient(port: port)
                let answer = try client.upgrade("/v1/rooms/r/socket")
                #expect(answer.status == 101)
                #expect(answer.headers["sec-websocket-protocol"] == "consilium.v1")
                for size in [1, 125, 126, 4096, 65535, 65536] {
                    let text = String(repeating: "x", count: size)
                    try client.sendFrame(text)
                    #expect(try client.frame().text == text)
                }
                try client.sendFrame(String(repeating: "x", count: 65537))
                #expect(try client.frame().closeCode == 1009)
            }
        }
    }

    @Test("is refused with a reason for a foreign origin, another subprotocol or an unknown path")
    func refused() async throws {
        try await HTTPServerTests.withServer(sockets: [Self.echo]) { port, _ in
            try await blocking {
                let foreign = try RawClient(port: port).upgrade("/v1/rooms/r/socket", origin: "https://evil.example")
                #expect(foreign.status == 403)
                #expect(foreign.text.contains("foreign_origin"))
                let own = try RawClient(port: port).upgrade("/v1/rooms/r/socket", origin: "http://localhost")
                #expect(own.status == 101)
                let none = try RawClient(port: port).upgrade("/v1/rooms/r/socket", subprotocol: nil)
                #expect(none.status == 400)
                let other = try RawClient(port: port).upgrade("/v1/rooms/r/socket", subprotocol: "http")
                #expect(other.status == 400)
                let path = try RawClient(port: port).upgrade("/elsewhere")
                #expect(path.status == 404)
            }
        }
    }

    @Test("closes on binary frames and invalid UTF-8")
    func textOnly() async throws {
        try await HTTPServerTests.withServer(sockets: [Self.echo]) { port, _ in
            try await blocking {
                let binary = try RawClient(port: port)
                _ = try binary.upgrade("/v1/rooms/r/socket")
                try binary.sendFrame([1, 2, 3], opcode: 2)
                #expect(try binary.frame().closeCode == 1008)
                let invalid = try RawClient(port: port)
                _ = try invalid.upgrade("/v1/rooms/r/socket")
                try invalid.sendFrame([0xC3, 0x28], opcode: 1)
                #expect(try invalid.frame().opcode == 8)
            }
        }
    }

    @Test("tells a reader that is too slow to come back, and closes")
    func slowReader() async throws {
        var limits = WebSocket.Limits()
        limits.queuedMessages = 100
        let flood = WebSocketRoute(pattern: "/v1/rooms/{room}/socket", messageLimit: 1024, limits: limits) { socket in
            let message = OutgoingMessage([UInt8](repeating: UInt8(ascii: "e"), count: 50_000))
            for await _ in socket.messages { break }
            while socket.isOpen { socket.send(message) }
        }
        try await HTTPServerTests.withServer(sockets: [flood]) { port, _ in
            try await blocking {
                let client = try RawClient(port: port)
                _ = try client.upgrade("/v1/rooms/r/socket")
                try client.sendFrame("go")
                var last = try client.frame()
                var noticed = false
                while last.opcode != 8 {
                    if last.text.contains("\"slow\"") { noticed = true }
                    last = try client.frame()
                }
                #expect(noticed)
                #expect(last.closeCode == 4000)
            }
        }
    }

    @Test("keeps only the latest presence of a kind and a person")
    func presence() async throws {
        let route = WebSocketRoute(pattern: "/v1/rooms/{room}/socket", messageLimit: 1024) { socket in
            for await _ in socket.messages {
                for index in 0..<10_000 {
                    socket.send(
                        presence: OutgoingMessage(Array("\(index)".utf8)), key: PresenceKey(kind: "pointer", by: "p1"))
                }
                socket.send(OutgoingMessage(Array("end".utf8)))
            }
        }
        try await HTTPServerTests.withServer(sockets: [route]) { port, _ in
            try await blocking {
                let client = try RawClient(port: port)
                _ = try client.upgrade("/v1/rooms/r/socket")
                try client.sendFrame("go")
                var texts: [String] = []
                repeat { texts.append(try client.frame().text) } while texts.last != "end"
                #expect(texts.dropLast().last == "9999")
            }
        }
    }

    @Test("pings a silent client and hangs up on one that does not answer")
    func keepAlive() async throws {
        let quick: (inout HTTPServerConfiguration) -> Void = {
            $0.webSocketPingSeconds = 1
            $0.webSocketHangUpSeconds = 2
        }
        try await HTTPServerTests.withServer(quick, sockets: [Self.echo]) { port, _ in
            async let dead: Void = blocking {
                let client = try RawClient(port: port)
                _ = try client.upgrade("/v1/rooms/r/socket")
                #expect(try client.isClosedByServer())
            }
            async let alive: Void = blocking {
                let client = try RawClient(port: port)
                _ = try client.upgrade("/v1/rooms/r/socket")
                var pings = 0
                while pings < 4 {
                    let ping = try client.rawFrame()
                    guard ping.opcode == 9 else { continue }
                    try client.sendFrame(ping.payload, opcode: 10)
                    pings += 1
                }
                try client.sendFrame("still here")
                #expect(try client.frame().text == "still here")
            }
            _ = try await (dead, alive)
        }
    }
}
