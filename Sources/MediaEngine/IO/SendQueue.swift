// Outgoing datagrams of one UDP socket: consecutive equal ones to one address leave as a single segmented send (GSO).
import CLinux
import Glibc

package struct SendCounters: Sendable, Equatable {
    package var datagrams: UInt64 = 0
    package var bytes: UInt64 = 0
    /// Kernel messages: fewer than datagrams where segmentation worked.
    package var messages: UInt64 = 0
    package var systemCalls: UInt64 = 0
    /// Datagrams given up: queue full, or refused by the kernel.
    package var dropped: UInt64 = 0
    /// Segmented sends that had to be repeated one by one.
    package var segmentationRefused: UInt64 = 0
}

/// `reserve` hands out space at the end of a slab that was allocated once, `commit` closes the datagram in it, `flush`
/// gives everything to the kernel. Nothing blocks and nothing is allocated after `init`.
///
/// When the socket's buffer is full, what is left stays queued for the next `flush`; when the slab is full, too, new
/// datagrams are dropped and counted.
package struct SendQueue: ~Copyable {
    package enum Outcome: Sendable { case drained, blocked }

    package private(set) var counters = SendCounters()

    private let descriptor: Int32
    private let kind: SocketAddress.SocketKind
    private let slab: UnsafeMutableRawPointer
    private let slabBytes: Int
    private let capacity: Int
    private let headers: UnsafeMutablePointer<clinux_mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutableRawPointer
    private let controls: UnsafeMutableRawPointer
    private let groups: UnsafeMutablePointer<Group>

    private var writeOffset = 0
    private var reserved = 0
    private var reservedFor = SocketAddress.any4(port: 0)
    private var first = 0
    private var count = 0
    private var isBlocked = false
    /// Groups still to be sent plain after the kernel refused a segmented send; then it is asked again.
    private var plainGroups = 0

    private struct Group {
        var destination: SocketAddress
        var segmentSize: Int
        var segments: Int
        var bytes: Int
        /// A segment shorter than the others has to be the last.
        var isClosed: Bool
    }

    private static var maximumSegments: Int { 64 }
    /// What fits into one IPv6 packet of 65,535 bytes, less its headers; IPv4 would allow a little more.
    private static var maximumGroupBytes: Int { 65_535 - 48 }
    private static var plainGroupsAfterRefusal: Int { 4096 }
    private static var segmentControlBytes: Int { Int(CLINUX_SEGMENT_CONTROL_BYTES) }

    package init(socket: borrowing DatagramSocket, messages: Int = 128, slabBytes: Int = 1 << 20) {
        descriptor = socket.descriptor
        kind = socket.kind
        self.slabBytes = max(slabBytes, 65_536)
        capacity = max(messages, 1)
        slab = .allocate(byteCount: self.slabBytes, alignment: 64)
        headers = .allocate(capacity: capacity)
        vectors = .allocate(capacity: capacity)
        addresses = .allocate(byteCount: capacity * SocketAddress.storageBytes, alignment: 8)
        controls = .allocate(byteCount: capacity * Self.segmentControlBytes, alignment: 8)
        groups = .allocate(capacity: capacity)
        headers.initialize(repeating: clinux_mmsghdr(), count: capacity)
        for index in 0..<capacity {
            vectors[index] = iovec()
            headers[index].msg_hdr.msg_name = addresses + index * SocketAddress.storageBytes
            headers[index].msg_hdr.msg_iov = vectors + index
            headers[index].msg_hdr.msg_iovlen = 1
            clinux_segment_control(controls + index * Self.segmentControlBytes, 0)
        }
    }

    deinit {
        slab.deallocate()
        headers.deallocate()
        vectors.deallocate()
        addresses.deallocate()
        controls.deallocate()
        groups.deallocate()
    }

    package var isEmpty: Bool { first == count }

    /// Space for one datagram of at most `maximum` bytes, or nil (counted as dropped) when the queue is full and the
    /// socket takes no more. A reservation that is not committed is simply overwritten by the next.
    package mutating func reserve(_ destination: SocketAddress, _ maximum: Int) -> UnsafeMutableRawBufferPointer? {
        guard maximum > 0, maximum <= Self.maximumGroupBytes else {
            counters.dropped &+= 1
            return nil
        }
        if !hasRoom(for: destination, maximum) {
            // Asking the kernel again for every datagram while it is full would be the opposite of cheap.
            if isBlocked || flush() == .blocked, !hasRoom(for: destination, maximum) {
                counters.dropped &+= 1
                return nil
            }
        }
        reserved = maximum
        reservedFor = destination
        return UnsafeMutableRawBufferPointer(start: slab + writeOffset, count: maximum)
    }

    private func hasRoom(for destination: SocketAddress, _ bytes: Int) -> Bool {
        slabBytes - writeOffset >= bytes && (count < capacity || extends(destination, bytes))
    }

    private func extends(_ destination: SocketAddress, _ bytes: Int) -> Bool {
        guard count > first else { return false }
        let last = groups + (count - 1)
        return !last.pointee.isClosed && bytes <= last.pointee.segmentSize
            && last.pointee.segments < Self.maximumSegments
            && last.pointee.bytes + bytes <= Self.maximumGroupBytes && last.pointee.destination == destination
    }

    /// Queues the first `length` bytes of the last reservation. Zero or fewer abandons it.
    package mutating func commit(_ length: Int) {
        guard length > 0, length <= reserved else { return }
        reserved = 0
        if extends(reservedFor, length) {
            var group = groups[count - 1]
            group.isClosed = length < group.segmentSize
            group.segments += 1
            group.bytes += length
            groups[count - 1] = group
            vectors[count - 1].iov_len = group.bytes
            // One segment with a segment size costs more than a plain send, so the second one turns it on.
            if group.segments == 2 { setSegmentation(count - 1) }
        } else if count < capacity {
            (groups + count).initialize(
                to: Group(destination: reservedFor, segmentSize: length, segments: 1, bytes: length, isClosed: false))
            vectors[count] = iovec(iov_base: slab + writeOffset, iov_len: length)
            headers[count].msg_hdr.msg_namelen = socklen_t(
                reservedFor.write(to: addresses + count * SocketAddress.storageBytes, for: kind))
            clearSegmentation(count)
            count += 1
        } else {
            counters.dropped &+= 1
            return
        }
        writeOffset += length
    }

    /// Gives everything queued to the kernel. `.blocked` means the socket's buffer is full: flush again when writable.
    @discardableResult
    package mutating func flush() -> Outcome {
        while first < count {
            let end = endOfRun()
            if end == first {
                plainGroups -= 1
                guard sendPlain(first) else { return blocked() }
                first += 1
                continue
            }
            let sent = clinux_sendmmsg(descriptor, headers + first, UInt32(end - first))
            counters.systemCalls &+= 1
            if sent > 0 {
                for index in first..<(first + Int(sent)) { noteSent(groups[index]) }
                first += Int(sent)
                continue
            }
            switch -sent {
            case EINTR:
                continue
            case EAGAIN, ENOBUFS:
                return blocked()
            case EIO, EINVAL, EMSGSIZE, EOPNOTSUPP:
                if groups[first].segments > 1 {
                    // No checksum offload on this route, or a segment above its MTU: the same bytes one by one.
                    counters.segmentationRefused &+= 1
                    plainGroups = Self.plainGroupsAfterRefusal
                } else {
                    dropFirst()
                }
            default:
                dropFirst()
            }
        }
        first = 0
        count = 0
        writeOffset = 0
        isBlocked = false
        return .drained
    }

    /// How far the next system call may go; `first` itself when the next group has to be sent one by one.
    private func endOfRun() -> Int {
        guard plainGroups > 0 else { return count }
        var end = first
        while end < count, groups[end].segments == 1 { end += 1 }
        return end
    }

    /// Sends a group's datagrams one by one; false when the socket's buffer filled up on the way.
    private mutating func sendPlain(_ index: Int) -> Bool {
        clearSegmentation(index)
        let group = groups + index
        while group.pointee.segments > 0 {
            let length = min(group.pointee.segmentSize, group.pointee.bytes)
            let base = vectors[index].iov_base
            vectors[index].iov_len = length
            let sent = clinux_sendmsg(descriptor, &headers[index].msg_hdr)
            counters.systemCalls &+= 1
            if sent == -EINTR { continue }
            if sent == -EAGAIN || sent == -ENOBUFS {
                vectors[index].iov_len = group.pointee.bytes
                if group.pointee.segments > 1 { setSegmentation(index) }
                return false
            }
            if sent >= 0 {
                counters.messages &+= 1
                counters.datagrams &+= 1
                counters.bytes &+= UInt64(length)
            } else {
                counters.dropped &+= 1
            }
            vectors[index].iov_base = base.map { $0 + length }
            group.pointee.bytes -= length
            group.pointee.segments -= 1
        }
        return true
    }

    private mutating func blocked() -> Outcome {
        isBlocked = true
        return .blocked
    }

    private mutating func dropFirst() {
        counters.dropped &+= UInt64(groups[first].segments)
        first += 1
    }

    private mutating func noteSent(_ group: Group) {
        counters.messages &+= 1
        counters.datagrams &+= UInt64(group.segments)
        counters.bytes &+= UInt64(group.bytes)
    }

    private func setSegmentation(_ index: Int) {
        let control = controls + index * Self.segmentControlBytes
        control.storeBytes(
            of: UInt16(truncatingIfNeeded: groups[index].segmentSize),
            toByteOffset: Int(CLINUX_SEGMENT_SIZE_OFFSET), as: UInt16.self)
        headers[index].msg_hdr.msg_control = control
        headers[index].msg_hdr.msg_controllen = Self.segmentControlBytes
    }

    private func clearSegmentation(_ index: Int) {
        headers[index].msg_hdr.msg_control = nil
        headers[index].msg_hdr.msg_controllen = 0
    }
}
