// SRTP: the RFCs' vectors, libsrtp2 as the oracle for every profile and direction, rollover, replay and forgery.
import Testing

@testable import PeerTransport

@Suite("SRTP") struct SRTPTests {
    /// Two sessions with each other's keys.
    private struct Pair {
        let ours = TestSession()
        let theirs = TestSession()

        init(_ profile: SRTPProfile, ours backend: SRTPBackend, theirs other: SRTPBackend) throws {
            let length = profile.keyLength + profile.saltLength
            let first = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7 + 1) }
            let second = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 5 + 3) }
            try #require(ours.setKeys(.init(profile: profile, local: first, remote: second), backend: backend))
            try #require(theirs.setKeys(.init(profile: profile, local: second, remote: first), backend: other))
        }
    }

    private static let backends: [(SRTPBackend, SRTPBackend)] = [
        (.native, .libsrtp2), (.libsrtp2, .native), (.native, .native), (.libsrtp2, .libsrtp2),
    ]

    @Test("native and libsrtp2 understand each other in every profile", arguments: SRTPProfile.allCases, backends)
    func oracle(profile: SRTPProfile, backends: (SRTPBackend, SRTPBackend)) throws {
        let pair = try Pair(profile, ours: backends.0, theirs: backends.1)
        let slot = pair.ours.addSendStream(ssrc: 0xCAFE)
        var random = SplitMix(seed: 3)
        // Over two rollovers, with gaps that never reach half the sequence space.
        var sequence = 65_000
        while sequence < 3 * 65_536 {
            let size = Int.random(in: 0...1200, using: &random)
            let payload = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let extended = random.next() % 2 == 0
            let packet = rtp(
                ssrc: 0xCAFE, sequence: UInt16(truncatingIfNeeded: sequence), payload: payload, extended: extended)
            let sent = try #require(pair.ours.protect(slot: slot, packet, headerLength: extended ? 28 : 12))
            #expect(sent.count == packet.count + profile.tagLength)
            #expect(size < 16 || sent != packet + sent.suffix(profile.tagLength))
            #expect(pair.theirs.unprotect(sent) == .success(packet), "sequence \(sequence)")
            sequence += Int.random(in: 1...3000, using: &random)
        }
    }

    @Test("reordered packets around a rollover are accepted once", arguments: SRTPProfile.allCases)
    func reordering(profile: SRTPProfile) throws {
        let pair = try Pair(profile, ours: .native, theirs: .native)
        let slot = pair.ours.addSendStream(ssrc: 9)
        var random = SplitMix(seed: 4)
        let packets = try (65_000..<67_000).map { sequence in
            let packet = rtp(ssrc: 9, sequence: UInt16(truncatingIfNeeded: sequence), payload: [1, 2, 3, 4])
            return (packet, try #require(pair.ours.protect(slot: slot, packet, headerLength: 12)))
        }
        for start in stride(from: 0, to: packets.count, by: 500) {
            for (packet, sent) in packets[start..<start + 500].shuffled(using: &random) {
                #expect(pair.theirs.unprotect(sent) == .success(packet))
                #expect(pair.theirs.unprotect(sent) == .failure(.replayed))
            }
        }
        for (_, sent) in packets { #expect(pair.theirs.unprotect(sent) == .failure(.replayed)) }
    }

    @Test("forged, cut and foreign packets are refused and leave no state", arguments: SRTPProfile.allCases)
    func forgery(profile: SRTPProfile) throws {
        let pair = try Pair(profile, ours: .native, theirs: .native)
        let slot = pair.ours.addSendStream(ssrc: 9)
        let packet = rtp(ssrc: 9, sequence: 100, payload: Array(1...40), extended: true)
        let sent = try #require(pair.ours.protect(slot: slot, packet, headerLength: 28))
        for index in sent.indices {
            var forged = sent
            forged[index] ^= 1
            #expect(pair.theirs.unprotect(forged) != .success(packet), "byte \(index)")
            #expect(pair.theirs.unprotect(Array(sent[..<index])) != .success(packet))
        }
        // Thousands of invented sources must not push out real ones.
        for source in UInt32(1000)...3000 {
            let invented = rtp(ssrc: source, sequence: 1, payload: [UInt8](repeating: 0, count: 40))
            #expect(pair.theirs.unprotect(invented) == .failure(.forged))
        }
        #expect(pair.theirs.unprotect(sent) == .success(packet))
        #expect(pair.theirs.unprotect(sent) == .failure(.replayed))
    }

    @Test("sources are bounded: the longest silent one makes room", arguments: [SRTPBackend.native, .libsrtp2])
    func boundedSources(backend: SRTPBackend) throws {
        let pair = try Pair(.aes128GCM, ours: .native, theirs: backend)
        func packet(_ ssrc: UInt32) throws -> [UInt8] {
            let slot = pair.ours.addSendStream(ssrc: ssrc)
            return try #require(
                pair.ours.protect(slot: slot, rtp(ssrc: ssrc, sequence: 1, payload: [1]), headerLength: 12))
        }
        let first = try packet(1)
        let second = try packet(2)
        #expect((try? pair.theirs.unprotect(first).get()) != nil)
        #expect((try? pair.theirs.unprotect(second).get()) != nil)
        for ssrc in UInt32(3)...256 { #expect((try? pair.theirs.unprotect(packet(ssrc)).get()) != nil) }
        #expect(pair.theirs.unprotect(first) == .failure(.replayed))
        #expect((try? pair.theirs.unprotect(packet(257)).get()) != nil)
        // 2 was silent for longest, so it was forgotten; 1 was heard of just before.
        #expect(pair.theirs.unprotect(first) == .failure(.replayed))
        #expect((try? pair.theirs.unprotect(second).get()) != nil)
    }

    @Test("a source keeps its slot, and a slot only takes its own source")
    func slots() throws {
        let pair = try Pair(.aes128GCM, ours: .native, theirs: .native)
        let slots = (0..<100).map { pair.ours.addSendStream(ssrc: UInt32($0)) }
        #expect(slots == Array(0..<100))
        #expect(pair.ours.addSendStream(ssrc: 42) == 42)
        #expect(pair.ours.protect(slot: 3, rtp(ssrc: 4, sequence: 1, payload: [1]), headerLength: 12) == nil)
        #expect(pair.ours.protect(slot: 100, rtp(ssrc: 4, sequence: 1, payload: [1]), headerLength: 12) == nil)
        #expect(pair.ours.protect(slot: -1, rtp(ssrc: 4, sequence: 1, payload: [1]), headerLength: 12) == nil)
    }

    @Test("a destination without room for the tag is not written beyond", arguments: SRTPProfile.allCases)
    func noRoom(profile: SRTPProfile) throws {
        let pair = try Pair(profile, ours: .native, theirs: .native)
        let slot = pair.ours.addSendStream(ssrc: 4)
        let payload = [UInt8](repeating: 1, count: 100)
        var destination =
            rtp(ssrc: 4, sequence: 1, payload: payload)
            + [UInt8](repeating: 0, count: profile.tagLength - 1)
        let length = destination.withUnsafeMutableBytes { destination in
            payload.withUnsafeBytes {
                pair.ours.protectRTP(slot: slot, destination: destination, headerLength: 12, payload: $0)
            }
        }
        #expect(length == PacketFailure.noRoom)
    }

    @Test("SRTCP goes both ways, once", arguments: SRTPProfile.allCases, backends)
    func control(profile: SRTPProfile, backends: (SRTPBackend, SRTPBackend)) throws {
        let pair = try Pair(profile, ours: backends.0, theirs: backends.1)
        for ssrc in UInt32(1)...600 {
            let packet = rtcp(ssrc: ssrc)
            let sent = try #require(pair.ours.protectControl(packet))
            #expect(pair.theirs.unprotectControl(sent) == .success(packet))
            #expect(pair.theirs.unprotectControl(sent) == .failure(.replayed))
        }
        var forged = try #require(pair.ours.protectControl(rtcp(ssrc: 1)))
        forged[9] ^= 1
        #expect(pair.theirs.unprotectControl(forged) == .failure(.forged))
        for length in 0..<forged.count {
            #expect((try? pair.theirs.unprotectControl(Array(forged[..<length])).get()) == nil)
        }
    }

    @Test("a control packet changed anywhere is refused, and so is one in the clear", arguments: SRTPProfile.allCases)
    func forgedControl(profile: SRTPProfile) throws {
        let pair = try Pair(profile, ours: .native, theirs: .native)
        let sent = try #require(pair.ours.protectControl(rtcp(ssrc: 7)))
        for index in sent.indices {
            for bit in [UInt8(1), 0x80] {
                var forged = sent
                forged[index] ^= bit
                #expect((try? pair.theirs.unprotectControl(forged).get()) == nil, "byte \(index)")
            }
        }
        #expect(pair.theirs.unprotectControl(sent) == .success(rtcp(ssrc: 7)))
    }

    @Test("nothing is protected or accepted before the handshake")
    func notReady() {
        let session = TestSession()
        let slot = session.addSendStream(ssrc: 1)
        #expect(session.protect(slot: slot, rtp(ssrc: 1, sequence: 1, payload: [1]), headerLength: 12) == nil)
        #expect(session.unprotect(rtp(ssrc: 1, sequence: 1, payload: [1])) == .failure(.notReady))
        #expect(session.unprotectControl(rtcp(ssrc: 1)) == .failure(.notReady))
    }

    @Test("random bytes never trap", arguments: SRTPProfile.allCases)
    func fuzz(profile: SRTPProfile) throws {
        let pair = try Pair(profile, ours: .native, theirs: .native)
        var random = SplitMix(seed: 5)
        for _ in 0..<10_000 {
            var bytes = (0..<Int(random.next() % 100)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if !bytes.isEmpty, random.next() % 2 == 0 { bytes[0] = 0x80 | bytes[0] & 0x3F }
            #expect((try? pair.theirs.unprotect(bytes).get()) == nil)
            #expect((try? pair.theirs.unprotectControl(bytes).get()) == nil)
        }
    }

    @Test("the window remembers 1024 indices, whatever the order")
    func window() {
        var window = ReplayWindow(first: 5000)
        #expect(window.refuses(5000))
        #expect(!window.refuses(5000 - 1023))
        #expect(window.refuses(5000 - 1024))
        var random = SplitMix(seed: 6)
        var seen: Set<UInt64> = [5000]
        for _ in 0..<50_000 {
            let index = window.highest &+ UInt64.random(in: 0...40, using: &random) &- 20
            #expect(window.refuses(index) == (seen.contains(index) || window.highest >= index + 1024))
            if !window.refuses(index) {
                window.accept(index)
                seen.insert(index)
            }
        }
        window.accept(window.highest + 1_000_000)
        #expect(!window.refuses(window.highest - 1))
    }

    @Test("the index nearest to the highest is guessed")
    func index() {
        #expect(SRTPIndex.estimate(sequence: 65_535, highest: 3) == nil)
        #expect(SRTPIndex.estimate(sequence: 4, highest: 3) == 4)
        #expect(SRTPIndex.estimate(sequence: 1, highest: 0xFFFE) == 0x1_0001)
        #expect(SRTPIndex.estimate(sequence: 0xFFFF, highest: 0x1_0001) == 0xFFFF)
        #expect(SRTPIndex.estimate(sequence: 0, highest: 0xFFFF_FFFF_FFFF) == 0)
    }
}
