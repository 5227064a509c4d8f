// Reading RTCP: bytes from the RFCs' figures, recorded datagrams, and bytes that are wrong.

import Foundation
import Testing
import WireFormats

@Suite("RTCP reading")
struct RTCPReadingTests {
    @Test("a compound of sender report, CNAME and goodbye is read packet by packet")
    func compound() throws {
        let bytes = hexadecimal(
            """
            81c8000c 11111111 83aa7e80 40000000 00015f90 0000000a 00000320
                     22222222 80fffffe 00010005 00000007 7e804000 00010000
            81ca0004 11111111 0107 63616e 64696461 000000
            81cb0003 11111111 0662796562796500
            """)
        bytes.withUnsafeBytes { datagram in
            var packets = RTCPPackets(datagram)
            guard case .senderReport(let report)? = packets.next()?.message else {
                Issue.record("no sender report")
                return
            }
            #expect(report.ssrc == 0x1111_1111)
            #expect(report.ntp == 0x83AA_7E80_4000_0000)
            #expect(report.rtp == 90_000)
            #expect(report.packetCount == 10 && report.octetCount == 800)
            #expect(
                Array(report.reports) == [
                    ReportBlock(
                        ssrc: 0x2222_2222, fractionLost: 128, cumulativeLost: -2, highestSequence: 0x1_0005, jitter: 7,
                        lastSenderReport: 0x7E80_4000, delaySinceLastSenderReport: 65_536)
                ])
            guard case .sourceDescription(var descriptions)? = packets.next()?.message else {
                Issue.record("no source description")
                return
            }
            let description = descriptions.next()
            #expect(description?.ssrc == 0x1111_1111)
            #expect(description?.cname.map { String(decoding: $0, as: UTF8.self) } == "candida")
            #expect(descriptions.next() == nil)
            guard case .goodbye(let goodbye)? = packets.next()?.message else {
                Issue.record("no goodbye")
                return
            }
            #expect(Array(goodbye.sources) == [0x1111_1111])
            #expect(goodbye.reason.map { String(decoding: $0, as: UTF8.self) } == "byebye")
            #expect(packets.next() == nil)
            #expect(!packets.isMalformed)
        }
    }

    @Test("a reduced-size datagram may begin with feedback")
    func reducedSize() {
        let bytes = hexadecimal("81cd0004 00000001 00000002 fffe8001 00100000  81ce0002 00000001 00000002")
        bytes.withUnsafeBytes { datagram in
            var packets = RTCPPackets(datagram)
            guard case .negativeAcknowledgement(let request)? = packets.next()?.message else {
                Issue.record("no NACK")
                return
            }
            // The mask's lowest bit is the next packet, its highest the sixteenth after; numbers wrap.
            #expect(Array(request.sequences) == [0xFFFE, 0xFFFF, 0x000E, 0x0010])
            guard case .pictureLoss(let loss)? = packets.next()?.message else {
                Issue.record("no PLI")
                return
            }
            #expect(loss.media == 2)
            #expect(packets.next() == nil && !packets.isMalformed)
        }
    }

    @Test("transport feedback of every chunk kind is read with its times")
    func transportFeedback() {
        // Base 10, seven packets: two arrived by run, then a two-bit chunk; reference 64 ms.
        let bytes = hexadecimal("8fcd0007 00000001 00000002 000a0009 00000105 2002 d200 04 08 0c fffc 000000")
        bytes.withUnsafeBytes { datagram in
            guard case .transportFeedback(let feedback)? = RTCPPackets(datagram).first(where: { _ in true })?.message
            else {
                Issue.record("no transport feedback")
                return
            }
            #expect(feedback.baseSequence == 10 && feedback.statusCount == 9 && feedback.feedbackCount == 5)
            #expect(
                Array(feedback.statuses) == [
                    PacketStatus(sequence: 10, arrival: 65_000), PacketStatus(sequence: 11, arrival: 67_000),
                    PacketStatus(sequence: 12, arrival: 70_000), PacketStatus(sequence: 13, arrival: nil),
                    PacketStatus(sequence: 14, arrival: 69_000), PacketStatus(sequence: 15, arrival: nil),
                    PacketStatus(sequence: 16, arrival: nil), PacketStatus(sequence: 17, arrival: nil),
                    PacketStatus(sequence: 18, arrival: nil),
                ])
        }
    }

    @Test(
        "what is cut short is called malformed, what is not known is called unknown",
        arguments: [
            ("80c80001 00000001", "malformed"), ("81c90001 00000001", "malformed"), ("81cb0000", "malformed"),
            ("81cd0002 00000001 00000002", "malformed"), ("8fcd0003 00000001 00000002 00010001", "malformed"),
            // Five statuses announced, no chunk; one small delta announced, no delta.
            ("8fcd0004 00000001 00000002 00010005 00000000", "malformed"),
            ("8fcd0005 00000001 00000002 00010003 00000000 20032000", "malformed"),
            ("81ce0001 00000001", "malformed"), ("84ce0002 00000001 00000000", "malformed"),
            ("8fce0004 00000001 00000000 52454d42 05000000", "malformed"), ("80cf0000", "malformed"),
            ("8fce0003 00000001 00000000 41424344", "unknown"), ("82cd0002 00000001 00000002", "unknown"),
            ("80cc0002 00000001 41424344", "unknown"), ("80d20000", "unknown"),
        ])
    func damaged(text: String, expected: String) {
        hexadecimal(text).withUnsafeBytes { datagram in
            let message = RTCPPackets(datagram).first { _ in true }?.message
            switch message {
            case .malformed: #expect(expected == "malformed")
            case .unknown: #expect(expected == "unknown")
            default: Issue.record("\(text) was read")
            }
        }
    }

    @Test(
        "a datagram that does not end where a packet ends says so",
        arguments: ["80c9", "80c90002 00000001", "40c90001 00000001", "a0c90001 00000000", "a0c90001 000000ff"])
    func truncated(_ text: String) {
        hexadecimal(text).withUnsafeBytes { datagram in
            var packets = RTCPPackets(datagram)
            #expect(packets.next() == nil)
            #expect(packets.isMalformed)
        }
    }

    @Test("an extended report's reference time is found, other blocks are passed over")
    func extendedReport() {
        let bytes = hexadecimal("80cf0007 00000009 01000001 00000000 04000002 0011223344556677 05000000")
        bytes.withUnsafeBytes { datagram in
            guard case .extendedReport(var report)? = RTCPPackets(datagram).first(where: { _ in true })?.message else {
                Issue.record("no extended report")
                return
            }
            #expect(report.sender == 9)
            guard case .other(1)? = report.next(),
                case .receiverReferenceTime(0x0011_2233_4455_6677)? = report.next(),
                case .delaysSinceLastReport(var delays)? = report.next()
            else {
                Issue.record("blocks were misread")
                return
            }
            #expect(delays.next() == nil)
            #expect(report.next() == nil)
        }
    }

    @Test("every recorded datagram of a browser is understood whole")
    func recorded() throws {
        for url in TestData.files(in: "rtp", suffix: ".pcap") {
            var senderReports = 0
            var names: Set<String> = []
            let datagrams = try Capture(url).rtcp
            for bytes in datagrams {
                bytes.withUnsafeBytes { datagram in
                    var packets = RTCPPackets(datagram)
                    while let packet = packets.next() {
                        switch packet.message {
                        case .senderReport(let report):
                            senderReports += 1
                            #expect(report.packetCount > 0)
                        case .sourceDescription(let descriptions):
                            for description in descriptions {
                                if let cname = description.cname {
                                    names.insert(String(decoding: cname, as: UTF8.self))
                                }
                            }
                        case .malformed(let type, let format):
                            Issue.record("\(url.lastPathComponent): malformed \(type)/\(format)")
                        case .receiverReport, .goodbye, .negativeAcknowledgement, .transportFeedback, .pictureLoss,
                            .fullIntraRequest, .maximumBitrate, .extendedReport, .unknown:
                            continue
                        }
                    }
                    #expect(!packets.isMalformed, "\(url.lastPathComponent)")
                }
            }
            #expect(senderReports == datagrams.count, "\(url.lastPathComponent)")
            #expect(names.count == (datagrams.isEmpty ? 0 : 1), "\(url.lastPathComponent): \(names)")
        }
    }
}
