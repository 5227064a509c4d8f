// RTP headers and header extensions: what is read, what is refused, what is written.
import Testing
import WireFormats

@Suite("RTP")
struct RTPTests {
    private func header(_ bytes: [UInt8]) -> RTPHeader? { bytes.withUnsafeBytes { RTPHeader($0) } }

    private func elements(_ bytes: [UInt8]) -> [HeaderExtensionElement] {
        bytes.withUnsafeBytes { raw in
            guard let header = RTPHeader(raw) else { return [] }
            var found: [HeaderExtensionElement] = []
            var elements = HeaderExtensionElements(header, in: raw)
            while let element = elements.next() { found.append(element) }
            return found
        }
    }

    private let fixed: [UInt8] = [0x80, 0xE0, 0x12, 0x34, 1, 2, 3, 4, 0xAA, 0xBB, 0xCC, 0xDD]

    @Test("the fixed header is read field by field")
    func fixedHeader() throws {
        let header = try #require(self.header(fixed + [9, 9]))
        #expect(header.marker)
        #expect(header.payloadType == 96)
        #expect(header.sequence == 0x1234)
        #expect(header.timestamp == 0x0102_0304)
        #expect(header.ssrc == 0xAABB_CCDD)
        #expect(header.headerLength == 12)
        #expect(header.payloadLength == 2)
    }

    @Test("contributing sources, extensions and padding move the payload's borders")
    func borders() throws {
        var packet = fixed
        packet[0] = 0xB2
        packet += [UInt8](repeating: 7, count: 8)
        packet += [0xBE, 0xDE, 0, 1, 0x10, 0x55, 0, 0]
        packet += [1, 2, 3, 0, 0, 3]
        let header = try #require(self.header(packet))
        #expect(header.headerLength == 28)
        #expect(header.payloadLength == 3)
        #expect(header.paddingLength == 3)
        #expect(elements(packet) == [HeaderExtensionElement(id: 1, offset: 25, length: 1)])
    }

    @Test(
        "what reaches beyond the packet is refused",
        arguments: [
            [UInt8](), [0x80], [0x80, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0x81, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0x90, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xBE],
            [0x90, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xBE, 0xDE, 0, 1], [0xA0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0xA0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0xA0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
            [0x40, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ])
    func refused(packet: [UInt8]) {
        #expect(header(packet) == nil)
    }

    @Test("one-byte elements: padding between them, id 15 as the end, lengths beyond the block")
    func oneByte() {
        func block(_ content: [UInt8]) -> [UInt8] {
            var packet = fixed
            packet[0] = 0x90
            return packet + [0xBE, 0xDE, 0, UInt8(content.count / 4)] + content
        }
        #expect(elements(block([0x21, 1, 2, 0, 0, 0, 0x30, 9])).map(\.id) == [2, 3])
        #expect(elements(block([0x20, 1, 0xF0, 1, 0x30, 9, 0, 0])).map(\.id) == [2])
        #expect(elements(block([0x20, 1, 0x37, 9])).map(\.id) == [2])
        #expect(elements(block([0x02, 1, 2, 3, 0x40, 5, 0, 0])).map(\.id) == [4])
    }

    @Test("two-byte elements may be empty and up to 255 bytes, in any of the sixteen profiles")
    func twoByte() {
        for profile in [0x1000, 0x100F] as [UInt16] {
            var packet = fixed
            packet[0] = 0x90
            packet += [UInt8(profile >> 8), UInt8(profile & 0xFF), 0, 6, 16, 0, 200, 18]
            packet += [UInt8](repeating: 1, count: 18) + [0, 0]
            #expect(
                elements(packet) == [
                    HeaderExtensionElement(id: 16, offset: 18, length: 0),
                    HeaderExtensionElement(id: 200, offset: 20, length: 18),
                ])
        }
    }

    @Test("what is written is read back the same, in both forms", arguments: [false, true])
    func roundTrip(twoByte: Bool) throws {
        for count in 0...14 {
            var buffer = [UInt8](repeating: 0xEE, count: 600)
            let length = buffer.withUnsafeMutableBytes { raw in
                var writer = RTPHeaderWriter(
                    into: raw, payloadType: 111, marker: count % 2 == 0, sequence: 65_535, timestamp: .max, ssrc: 77)
                writer.beginExtensions(twoByte: twoByte)
                for id in 0..<count {
                    let bytes = [UInt8](repeating: UInt8(id), count: id + 1)
                    bytes.withUnsafeBytes { writer.append(id: UInt8(id + 1), bytes: $0) }
                }
                return writer.finish()
            }
            let packet = Array(buffer.prefix(length))
            let header = try #require(self.header(packet))
            #expect(header.headerLength == length)
            #expect(length % 4 == 0)
            #expect(header.marker == (count % 2 == 0))
            #expect(header.payloadType == 111)
            let read = elements(packet)
            #expect(read.map(\.id) == (0..<count).map { UInt8($0 + 1) })
            for element in read {
                #expect(element.length == Int(element.id))
                #expect(packet[element.offset..<(element.offset + element.length)].allSatisfy { $0 == element.id - 1 })
            }
        }
    }

    @Test("a buffer of any size is never written over its end")
    func smallBuffers() {
        for size in 0...64 {
            let guarded = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 16, alignment: 8)
            defer { guarded.deallocate() }
            guarded.initializeMemory(as: UInt8.self, repeating: 0x5A)
            let part = UnsafeMutableRawBufferPointer(rebasing: guarded[..<size])
            var writer = RTPHeaderWriter(
                into: part, payloadType: 96, marker: false, sequence: 0, timestamp: 0, ssrc: 0)
            writer.beginExtensions(twoByte: false)
            for id in 1...14 as ClosedRange<UInt8> {
                [UInt8](repeating: 0, count: 16).withUnsafeBytes { writer.append(id: id, bytes: $0) }
            }
            #expect(writer.finish() <= size)
            #expect(guarded[size...].allSatisfy { $0 == 0x5A }, "size \(size)")
        }
    }

    @Test("fields are replaced in place, and the payload type leaves the marker alone")
    func inPlace() throws {
        var packet = fixed
        packet.withUnsafeMutableBytes { raw in
            guard let base = raw.baseAddress else { return }
            RTPHeader.setSequence(7, in: base)
            RTPHeader.setTimestamp(8, in: base)
            RTPHeader.setSSRC(9, in: base)
            RTPHeader.setPayloadType(100, in: base)
        }
        let header = try #require(self.header(packet))
        #expect(header.sequence == 7)
        #expect(header.timestamp == 8)
        #expect(header.ssrc == 9)
        #expect(header.payloadType == 100)
        #expect(header.marker)
    }

    @Test("RTCP is told from RTP by its second byte")
    func muxing() {
        for type in 0...255 as ClosedRange<UInt8> {
            let packet: [UInt8] = [0x80, type, 0, 0]
            #expect(packet.withUnsafeBytes { RTPHeader.isRTCP($0) } == (192...223).contains(type))
        }
    }
}
