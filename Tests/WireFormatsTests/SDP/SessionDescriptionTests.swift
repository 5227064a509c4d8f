// Reading and writing session descriptions without losing a byte, and refusing what is none.

import Foundation
import Testing
import WireFormats

@Suite("Session descriptions")
struct SessionDescriptionTests {
    @Test("every recorded description is written exactly as it was read")
    func recordedRoundTrip() throws {
        for url in TestData.files(in: "sdp", suffix: ".sdp") {
            let text = try TestData.text(url)
            #expect(try SessionDescription(parsing: text).description == text, "\(url.lastPathComponent)")
        }
    }

    @Test("lines may end with LF alone, and blank lines may follow the last")
    func lineEnds() throws {
        let text = OfferText().text
        let plain = text.replacing("\r\n", with: "\n") + "\n\r\n"
        #expect(try SessionDescription(parsing: plain).description == text)
    }

    @Test(
        "a session name may be anything",
        arguments: ["-", "", " ", "Säugling 3/4", "a b c"])
    func sessionName(_ name: String) throws {
        let text = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=\(name)\r\nt=0 0\r\n"
        let read = try SessionDescription(parsing: text)
        #expect(read.name == name)
        #expect(read.description == text)
    }

    @Test(
        "what is no session description is refused with its line",
        arguments: [
            ("", 1), ("hello", 1), ("v=1\r\n", 1), ("v=0\r\ns=-\r\n", 2), ("v=0\r\no=- 1\r\n", 2),
            ("v=0\r\no=- 1 99999999999999999999999 IN IP4 0.0.0.0\r\n", 2),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nt=0 0\r\n", 3),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nm=video\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nm=video 70000 X 1\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nm=video 9/x X 1\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nnonsense\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n\r\nt=0 0\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\na=x\ry\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\na=x\0\r\n", 4),
            ("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nv=0\r\n", 4),
        ])
    func malformed(text: String, line: Int) {
        #expect {
            try SessionDescription(parsing: text)
        } throws: { error in
            guard case .malformed(let seen, let reason) = error as? SDPError else { return false }
            return seen == line && !reason.isEmpty
        }
    }

    @Test("sizes are bounded: text, line, lines, sections, formats")
    func bounds() {
        let head = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n"
        let excessive = [
            head + String(repeating: "a=x\r\n", count: 300_000),
            head + "a=" + String(repeating: "x", count: 5000) + "\r\n",
            head + String(repeating: "a=x\r\n", count: 40_000),
            head + String(repeating: "m=video 9 X 1\r\n", count: 200),
            head + "m=video 9 X" + String(repeating: " 1", count: 300) + "\r\n",
        ]
        for text in excessive {
            #expect {
                try SessionDescription(parsing: text)
            } throws: { error in
                guard case .tooLarge = error as? SDPError else { return false }
                return true
            }
        }
    }

    @Test("format parameters keep their order and compare names without case")
    func formatParameters() {
        var parameters = FormatParameters(
            parsing: " level-asymmetry-allowed=1; packetization-mode=1;profile-level-id=42e01f;0-15")
        #expect(parameters["Packetization-Mode"] == "1")
        #expect(parameters["absent"] == nil)
        parameters["x-google-start-bitrate"] = "800"
        #expect(
            parameters.description
                == "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;0-15;x-google-start-bitrate=800"
        )
    }

    @Test("candidates of both transports are read and written again")
    func candidates() throws {
        let lines = [
            "1049193049 1 udp 2122194687 127.0.0.1 52716 typ host generation 0 network-id 3 network-cost 50",
            "3909712893 1 tcp 1518088959 fd00::2 9 typ host tcptype active generation 0 network-id 2",
            "f957 1 udp 2130706431 0a1b2c3d-1111-2222-3333-444455556666.local 37213 typ host",
            "842163049 1 udp 1677729535 203.0.113.4 61000 typ srflx raddr 192.168.1.2 rport 50000 generation 0",
        ]
        let read = try lines.map { try #require(ICECandidate(parsing: $0)) }
        #expect(read.map(\.description) == lines)
        #expect(read[1].tcpType == .active)
        #expect(read[2].isHiddenName)
        #expect(read[3].kind == .srflx)
        for broken in [
            "", "1 1 udp", "1 1 sctp 5 192.0.2.1 9 typ host", "1 1 udp 5 192.0.2.1 99999 typ host",
            "1 1 udp -5 192.0.2.1 9 typ host", "1 1 tcp 5 192.0.2.1 9 typ host", "1 1 udp 5 192.0.2.1 9 typ magic",
        ] {
            #expect(ICECandidate(parsing: broken) == nil, "\(broken)")
        }
    }
}

@Suite("Trickle fragments")
struct TrickleFragmentTests {
    @Test("a restart with candidates is read, credentials before or after the m-line")
    func restart() throws {
        let fragment = try TrickleFragment(
            parsing: """
                a=ice-options:trickle ice2\r
                a=group:BUNDLE 0 1\r
                m=audio 9 UDP/TLS/RTP/SAVPF 111\r
                a=mid:0\r
                a=ice-ufrag:ysXw\r
                a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r
                a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r
                a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0\r
                a=end-of-candidates\r

                """)
        #expect(fragment.ufrag == "ysXw")
        #expect(fragment.pwd == "vw5LmwG4y/e6dPP/zAP9Gp5k")
        #expect(fragment.mid == "0")
        #expect(fragment.candidates.map(\.port) == [61764, 61765])
        #expect(fragment.hasAllCandidates)
        #expect(try TrickleFragment(parsing: fragment.description) == fragment)
    }

    @Test(
        "half credentials, two different ones and impossible lengths are refused",
        arguments: [
            "a=ice-ufrag:abcd\r\n", "a=ice-pwd:0123456789abcdefghijkl\r\n", "a=ice-ufrag:abc\r\n",
            "a=ice-ufrag:abcd\r\na=ice-ufrag:efgh\r\na=ice-pwd:0123456789abcdefghijkl\r\n", "m=audio\r\n", "rubbish",
        ])
    func refused(_ text: String) {
        #expect(throws: SDPError.self) { try TrickleFragment(parsing: text) }
    }
}
