// What happens to a connected transport: media both ways, data nobody reads, and attempts to disturb it.
import COpenSSL
import Testing

@testable import PeerTransport

@Suite("A connected transport") struct ConnectedTests {
    @Test("media and control flow both ways over either backend", arguments: [SRTPBackend.native, .libsrtp2])
    func media(backend: SRTPBackend) throws {
        for profile in SRTPProfile.allCases {
            let call = try TestCall(adjust: { $0.profiles = [profile] }, adjustClient: { $0.srtp = .native })
            let backed = try TestCall(
                adjust: {
                    $0.profiles = [profile]
                    $0.srtp = backend
                }, adjustClient: { $0.srtp = .native })
            for call in [call, backed] {
                // Streams may be declared before the handshake has ended.
                let slots = (call.server.addSendStream(ssrc: 1), call.client.addSendStream(ssrc: 2))
                #expect(call.run(until: 5 * second) { $0.isConnected })
                let down = rtp(ssrc: 1, sequence: 7, payload: Array(0...200), extended: true)
                let up = rtp(ssrc: 2, sequence: 65_535, payload: Array(0...100))
                let sentDown = try #require(call.server.protect(slot: slots.0, down, headerLength: 28))
                let sentUp = try #require(call.client.protect(slot: slots.1, up, headerLength: 12))
                #expect(call.client.unprotect(sentDown) == .success(down))
                #expect(call.server.unprotect(sentUp) == .success(up))
                #expect(call.server.unprotect(sentUp) == .failure(.replayed))
                // What the server sent does not pass as something the client sent.
                #expect(call.server.unprotect(sentDown) == .failure(.forged))
                let report = try #require(call.client.protectControl(rtcp(ssrc: 2)))
                #expect(call.server.unprotectControl(report) == .success(rtcp(ssrc: 2)))
            }
        }
    }

    @Test("garbage, replayed and mutated handshake datagrams do not disturb it")
    func garbage() throws {
        let call = try TestCall()
        var captured: [[UInt8]] = TestData.chromiumFlight() ?? []
        call.mangle = { bytes, _ in
            captured.append(bytes)
            return [bytes]
        }
        #expect(call.run(until: 5 * second) { $0.isConnected })
        var random = SplitMix(seed: 0x5EED_0003)
        for _ in 0..<20_000 {
            var bytes = captured.randomElement(using: &random) ?? []
            if random.next() % 4 != 0, !bytes.isEmpty {
                for _ in 0..<random.next() % 4 {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
                if random.next() % 4 == 0 { bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count)))) }
            }
            call.server.receive(now: call.now, bytes)
            _ = call.server.drain()
        }
        #expect(call.server.transport.state == .connected)
        let slot = call.client.addSendStream(ssrc: 2)
        let packet = rtp(ssrc: 2, sequence: 1, payload: [1, 2, 3])
        let sent = try #require(call.client.protect(slot: slot, packet, headerLength: 12))
        #expect(call.server.unprotect(sent) == .success(packet))
    }

    @Test("media ends with the transport")
    func closed() throws {
        let call = try TestCall()
        #expect(call.run(until: 5 * second) { $0.isConnected })
        let slot = call.server.addSendStream(ssrc: 2)
        call.server.transport.close()
        #expect(call.server.protect(slot: slot, rtp(ssrc: 2, sequence: 1, payload: [1]), headerLength: 12) == nil)
        #expect(call.server.unprotect(rtp(ssrc: 2, sequence: 1, payload: [1])) == .failure(.notReady))
        #expect(call.server.drain().map { $0.bytes[0] } == [21], "one alert")
        call.server.transport.close()
        #expect(call.server.drain().isEmpty)
    }

    @Test("application data is taken and forgotten")
    func applicationData() throws {
        var server = try DTLSEndpoint(
            certificate: TestCall.ecdsa, role: .passive, fingerprint: TestCall.rsa.fingerprint,
            profiles: SRTPProfile.allCases, mtu: 1200)
        var client = try DTLSEndpoint(
            certificate: TestCall.rsa, role: .active, fingerprint: TestCall.ecdsa.fingerprint,
            profiles: SRTPProfile.allCases, mtu: 1200)
        var events = [client.start(now: 0)]
        func pass(_ from: inout DTLSEndpoint, _ to: inout DTLSEndpoint) {
            var datagrams: [[UInt8]] = []
            from.takeOutput { datagrams.append($0) }
            for datagram in datagrams { events.append(datagram.withUnsafeBytes { to.receive(now: 0, $0) }) }
        }
        for _ in 0..<4 {
            pass(&client, &server)
            pass(&server, &client)
        }
        #expect(events.filter { $0 == .established }.count == 2)
        events = []
        for size in [1, 100, 1100] {
            for _ in 0..<5 { SSL_write(client.ssl, [UInt8](repeating: 7, count: size), Int32(size)) }
            pass(&client, &server)
        }
        #expect(!events.isEmpty)
        #expect(events.allSatisfy { $0 == .nothing })
        client.close()
        pass(&client, &server)
        #expect(events.last == .closed)
    }

    @Test("fresh credentials are long enough and made of the characters ICE allows")
    func credentials() {
        let credentials = (0..<100).map { _ in ICECredentials.random() }
        #expect(Set(credentials).count == 100)
        for one in credentials {
            #expect(one.ufrag.utf8.count >= 4 && one.password.utf8.count >= 22)
            #expect(
                (one.ufrag + one.password).allSatisfy {
                    $0.isASCII && ($0.isLetter || $0.isNumber || "+/".contains($0))
                })
        }
    }
}
