// ICE-lite: who is answered, which path is taken, restart, and consent.
import Testing
import WireFormats

@testable import PeerTransport

@Suite("ICE-lite") struct ICELiteTests {
    private let server = TestCall.serverCredentials
    private let client = TestCall.clientCredentials

    private func parse(_ bytes: [UInt8]) throws -> STUNMessage {
        try bytes.withUnsafeBytes { try STUNMessage(parsing: $0) }
    }

    @Test("a check is answered with the address it came from, signed with the local password")
    func answers() throws {
        let peer = try TestCall().server
        #expect(peer.receive(now: 0, check(to: server, from: client, transaction: 77), path: 5) == .pathSelected(5))
        let sent = peer.drain()
        #expect(sent.map(\.path) == [5])
        let bytes = try #require(sent.first?.bytes)
        let message = try parse(bytes)
        #expect(message.messageClass == .success)
        #expect(message.transactionID == .init(high: 7, low: 77))
        #expect(message.xorMappedAddress == .test(5))
        bytes.withUnsafeBytes {
            #expect(message.hasValidIntegrity(in: $0, key: HMACSHA1(key: server.password)))
            #expect(message.hasValidFingerprint(in: $0))
        }
    }

    @Test("checks for others, with a wrong password or a wrong fingerprint are dropped in silence")
    func silence() throws {
        let peer = try TestCall().server
        let stranger = ICECredentials(ufrag: "othr", password: server.password)
        var damaged = check(to: server, from: client, transaction: 3)
        damaged[damaged.count - 1] ^= 1
        var unsigned = STUNBuilder(.request, transactionID: .init(high: 0, low: 4))
        unsigned.add(username: "\(server.ufrag):\(client.ufrag)")
        unsigned.addFingerprint()
        var nameless = STUNBuilder(.request, transactionID: .init(high: 0, low: 5))
        nameless.addIntegrity(key: HMACSHA1(key: server.password))
        for request in [
            check(to: stranger, from: client, transaction: 1),
            check(to: server, from: client, transaction: 2, password: "guess"),
            check(to: server, from: client, transaction: 6, password: "guess", controlled: true, extra: [0x7777]),
            damaged, unsigned.finish(), nameless.finish(),
        ] {
            #expect(peer.receive(now: 0, request) == .dropped(.notAuthenticated))
        }
        for round in UInt64(0)..<10_000 {
            peer.receive(now: round, check(to: stranger, from: client, transaction: round))
        }
        #expect(peer.drain().isEmpty)
        #expect(peer.transport.state == .new)
        #expect(peer.transport.selectedPath == nil)
    }

    @Test("responses and indications are not answered")
    func responses() throws {
        let peer = try TestCall().server
        for messageClass in [STUN.MessageClass.success, .failure, .indication] {
            let bytes = STUNBuilder(messageClass, transactionID: .init(high: 0, low: 0)).finish()
            #expect(peer.receive(now: 0, bytes) == .dropped(.unexpected))
        }
        #expect(peer.drain().isEmpty)
    }

    @Test("a peer that thinks it is controlled hears 487")
    func roleConflict() throws {
        let peer = try TestCall().server
        peer.receive(now: 0, check(to: server, from: client, transaction: 1, controlled: true))
        let message = try parse(try #require(peer.drain().first?.bytes))
        #expect(message.errorCode == .roleConflict)
        #expect(peer.transport.selectedPath == nil)
    }

    @Test("a check with attributes that must be understood hears 420 with their numbers")
    func unknownAttributes() throws {
        let peer = try TestCall().server
        peer.receive(now: 0, check(to: server, from: client, transaction: 1, extra: [0x7777, 0x7778]))
        let message = try parse(try #require(peer.drain().first?.bytes))
        #expect(message.errorCode == .unknownAttribute)
        #expect(message.unknownAttributes == [0x7777, 0x7778])
        #expect(peer.transport.selectedPath == nil)
    }

    @Test("Chromium's own checks are understood")
    func chromium() throws {
        guard let json = TestData.json("dtls/chromium156.json"), let requests = json["stunRequests"] as? [String],
            let credentials = json["iceLocal"] as? [String: String], let ufrag = credentials["ufrag"],
            let password = credentials["pwd"]
        else { return print("skipped: no dtls/chromium156.json in CONSILIUM_TEST_DATA") }
        let peer = try TestCall(adjust: {
            if $0.local == TestCall.serverCredentials { $0.local = ICECredentials(ufrag: ufrag, password: password) }
        }).server
        for request in requests {
            peer.receive(now: 0, Array(hex: request))
            #expect(try parse(try #require(peer.drain().last?.bytes)).messageClass == .success)
        }
        #expect(peer.transport.selectedPath == 1)
    }

    @Test("the first path that works is used until one is nominated")
    func nomination() throws {
        let peer = try TestCall().server
        peer.receive(now: 0, check(to: server, from: client, transaction: 1, useCandidate: false), path: 1)
        #expect(peer.transport.selectedPath == 1)
        peer.receive(now: 0, check(to: server, from: client, transaction: 2, useCandidate: false), path: 2)
        #expect(peer.transport.selectedPath == 1)
        #expect(peer.receive(now: 0, check(to: server, from: client, transaction: 3), path: 2) == .pathSelected(2))
        // A nomination of a lower priority needs to be repeated, so that aggressive nomination does not flap.
        peer.receive(now: 0, check(to: server, from: client, transaction: 4, priority: 5), path: 3)
        #expect(peer.transport.selectedPath == 2)
        peer.receive(now: 0, check(to: server, from: client, transaction: 5), path: 2)
        peer.receive(now: 0, check(to: server, from: client, transaction: 6, priority: 5), path: 3)
        #expect(peer.transport.selectedPath == 2)
        peer.receive(now: 0, check(to: server, from: client, transaction: 7, priority: 5), path: 3)
        #expect(peer.transport.selectedPath == 3)
    }

    @Test("a call survives a change of the client's address without restart")
    func pathSwitch() throws {
        let call = try TestCall()
        #expect(call.run(until: 5 * second) { $0.isConnected })
        #expect(call.server.transport.selectedPath == 1)
        call.server.receive(now: call.now, check(to: server, from: client, transaction: 99_999), path: 2)
        #expect(call.server.transport.selectedPath == 2)
        let slot = call.client.addSendStream(ssrc: 4)
        let packet = rtp(ssrc: 4, sequence: 1, payload: [1, 2, 3])
        let sent = try #require(call.client.protect(slot: slot, packet, headerLength: 12))
        #expect(call.server.unprotect(sent) == .success(packet))
        call.server.transport.forget(path: 2)
        #expect(call.server.transport.selectedPath == 1)
    }

    @Test("no more than eight paths are remembered, and never the selected one is forgotten")
    func boundedPaths() throws {
        let peer = try TestCall().server
        peer.receive(now: 0, check(to: server, from: client, transaction: 0), path: 1)
        for path in PathID(2)...100 {
            peer.receive(
                now: UInt64(path), check(to: server, from: client, transaction: UInt64(path), useCandidate: false),
                path: path)
        }
        #expect(peer.transport.selectedPath == 1)
        let hello: [UInt8] = [22, 254, 255] + [UInt8](repeating: 0, count: 60)
        let known = (PathID(1)...100).filter { peer.receive(now: 200, hello, path: $0) != .dropped(.unknownPath) }
        #expect(known == [1] + Array(94...100))
    }

    @Test("after a restart both credentials are good until a path is nominated with the new ones")
    func restart() throws {
        let call = try TestCall()
        #expect(call.run(until: 5 * second) { $0.isConnected })
        let peer = call.server
        let fresh = ICECredentials(ufrag: "new1", password: "another password of the server")
        peer.transport.restartICE(local: fresh, remote: ICECredentials(ufrag: "new2", password: "unused here"))
        #expect(peer.transport.selectedPath == 1)
        #expect(peer.receive(now: call.now, check(to: server, from: client, transaction: 1)) == .consumed)
        #expect(
            peer.receive(now: call.now, check(to: fresh, from: client, transaction: 2, useCandidate: false), path: 7)
                == .consumed)
        #expect(peer.receive(now: call.now, check(to: server, from: client, transaction: 3)) == .consumed)
        // The new nomination counts even with a lower priority.
        #expect(
            peer.receive(now: call.now, check(to: fresh, from: client, transaction: 4, priority: 1), path: 7)
                == .pathSelected(7))
        #expect(
            peer.receive(now: call.now, check(to: server, from: client, transaction: 5)) == .dropped(.notAuthenticated))
        #expect(peer.transport.state == .connected)
    }

    @Test("silence ends a call after the consent time, media or checks keep it", arguments: [false, true])
    func consent(media: Bool) throws {
        let call = try TestCall()
        #expect(call.run(until: 5 * second) { $0.isConnected })
        let start = call.now
        let slots = (call.client.addSendStream(ssrc: 4), call.server.addSendStream(ssrc: 5))
        if media {
            for step in UInt64(1)...12 {
                call.run(until: start + step * 10 * second, checks: false)
                let packet = rtp(ssrc: 4, sequence: UInt16(step), payload: [1, 2, 3])
                let sent = try #require(call.client.protect(slot: slots.0, packet, headerLength: 12))
                #expect(call.server.unprotect(sent) == .success(packet))
                let back = rtp(ssrc: 5, sequence: UInt16(step), payload: [1, 2, 3])
                let answer = try #require(call.server.protect(slot: slots.1, back, headerLength: 12))
                #expect(call.client.unprotect(answer) == .success(back))
            }
            #expect(call.server.transport.state == .connected)
        }
        let silence = call.now
        call.run(until: silence + 60 * second, checks: false) { $0.server.transport.state != .connected }
        #expect(call.server.transport.state == .failed(.consentExpired))
        let took = (call.now - silence) / second
        #expect((29...34).contains(took), "\(took) s")
    }

    @Test("a consent time below ten seconds is not taken")
    func shortestConsent() throws {
        let call = try TestCall(adjust: { $0.consentTimeout = second })
        #expect(call.run(until: 5 * second) { $0.isConnected })
        let silence = call.now
        call.run(until: silence + 60 * second, checks: false) { $0.server.transport.state != .connected }
        #expect(call.now - silence >= 9 * second)
    }

    @Test("a peer that never comes fails without a path")
    func noConnectivity() throws {
        let peer = try TestCall().server
        let deadline = peer.transport.nextDeadline
        #expect(deadline == 30 * second)
        peer.transport.handleTimeout(now: deadline)
        #expect(peer.transport.state == .failed(.noConnectivity))
        #expect(peer.receive(now: deadline, check(to: server, from: client, transaction: 1)) == .dropped(.unexpected))
    }
}
