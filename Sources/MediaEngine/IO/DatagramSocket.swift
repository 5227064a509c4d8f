// A non-blocking UDP socket that receives in batches: recvmmsg with GRO and kernel receive stamps.
import CLinux
import Glibc

/// One received message. With GRO it may be several datagrams of one sender end to end: `segmentSize` bytes each, the
/// last possibly shorter. `segmentSize` is never zero, so walking by it always ends.
package struct ReceivedMessage {
    package let base: UnsafeMutableRawPointer
    package let length: Int
    package let segmentSize: Int
    package let source: SocketAddress
    /// When the kernel took the (first) datagram, on CLOCK_MONOTONIC.
    package let arrival: UInt64
}

/// The memory of one receive call, allocated once: 32 slabs of 64 KB and their headers.
package struct ReceiveBatch: ~Copyable {
    package private(set) var count = 0
    /// Messages that were emptied of meaning: truncated, empty, or of no known address family.
    package private(set) var discarded: UInt64 = 0

    private let capacity: Int
    private let slabBytes: Int
    private let slab: UnsafeMutableRawPointer
    private let headers: UnsafeMutablePointer<clinux_mmsghdr>
    private let vectors: UnsafeMutablePointer<iovec>
    private let addresses: UnsafeMutableRawPointer
    private let controls: UnsafeMutableRawPointer
    private let messages: UnsafeMutablePointer<ReceivedMessage>
    /// Headers that the last receive wrote to; the others are as they were made.
    private var used: Int

    private static var addressBytes: Int { MemoryLayout<sockaddr_storage>.stride }
    private static var controlBytes: Int { Int(CLINUX_RECEIVE_CONTROL_BYTES) }

    package init(capacity: Int = 32, slabBytes: Int = 65_536) {
        self.capacity = capacity
        self.slabBytes = slabBytes
        slab = .allocate(byteCount: capacity * slabBytes, alignment: 64)
        headers = .allocate(capacity: capacity)
        vectors = .allocate(capacity: capacity)
        addresses = .allocate(byteCount: capacity * Self.addressBytes, alignment: 16)
        controls = .allocate(byteCount: capacity * Self.controlBytes, alignment: 16)
        messages = .allocate(capacity: capacity)
        used = capacity
        headers.initialize(repeating: clinux_mmsghdr(), count: capacity)
        for index in 0..<capacity {
            vectors[index] = iovec(iov_base: slab + index * slabBytes, iov_len: slabBytes)
            headers[index].msg_hdr.msg_name = addresses + index * Self.addressBytes
            headers[index].msg_hdr.msg_iov = vectors + index
            headers[index].msg_hdr.msg_iovlen = 1
            headers[index].msg_hdr.msg_control = controls + index * Self.controlBytes
        }
    }

    deinit {
        slab.deallocate()
        headers.deallocate()
        vectors.deallocate()
        addresses.deallocate()
        controls.deallocate()
        messages.deallocate()
    }

    /// A message of the last `receive`; the pointer is good until the next one.
    package subscript(index: Int) -> ReceivedMessage {
        precondition(index >= 0 && index < count)
        return messages[index]
    }

    /// Whether the last receive filled the batch, so that more may be waiting.
    package var isFull: Bool { count == capacity }

    fileprivate mutating func receive(from descriptor: Int32) -> Int {
        for index in 0..<used {
            headers[index].msg_hdr.msg_namelen = socklen_t(Self.addressBytes)
            headers[index].msg_hdr.msg_controllen = Self.controlBytes
        }
        count = 0
        var received = clinux_recvmmsg(descriptor, headers, UInt32(capacity))
        // An ICMP error of an earlier send is reported here once; what is waiting behind it counts.
        if received < 0, received != -EAGAIN { received = clinux_recvmmsg(descriptor, headers, UInt32(capacity)) }
        used = max(0, Int(received))
        guard received > 0 else { return 0 }

        let now = clinux_monotonic_nanoseconds()
        let wall = clinux_realtime_nanoseconds()
        for index in 0..<Int(received) {
            let length = Int(headers[index].msg_len)
            let isTruncated = headers[index].msg_hdr.msg_flags & Int32(MSG_TRUNC) != 0
            guard length > 0, length <= slabBytes, !isTruncated, let name = headers[index].msg_hdr.msg_name,
                let source = SocketAddress(sockaddr: name, length: Int(headers[index].msg_hdr.msg_namelen))
            else {
                discarded &+= 1
                continue
            }
            let facts = clinux_receive_facts(&headers[index].msg_hdr)
            let segment = Int(facts.segment_size)
            (messages + count).initialize(
                to: ReceivedMessage(
                    base: slab + index * slabBytes, length: length,
                    segmentSize: segment > 0 && segment < length ? segment : length, source: source,
                    arrival: Self.monotonic(stamp: facts.realtime_nanoseconds, now: now, wall: wall)))
            count += 1
        }
        return count
    }

    /// The kernel stamps in wall-clock time. A stamp in the future or over a second old means the wall clock was set.
    private static func monotonic(stamp: UInt64, now: UInt64, wall: UInt64) -> UInt64 {
        guard stamp > 0, stamp <= wall, wall &- stamp < 1_000_000_000, wall &- stamp < now else { return now }
        return now &- (wall &- stamp)
    }
}

package struct DatagramSocket: ~Copyable {
    package let descriptor: Int32
    package let localAddress: SocketAddress
    package let kind: SocketAddress.SocketKind
    package let receiveBufferBytes: Int
    package let sendBufferBytes: Int

    /// `any6` binds dual stack: IPv4 peers appear as IPv4 and are reached as IPv4.
    package init(
        binding address: SocketAddress, receiveBufferBytes: Int = 8 << 20, sendBufferBytes: Int = 8 << 20
    ) throws(SystemCallError) {
        let opened = try Opened(binding: address, receiveBufferBytes, sendBufferBytes)
        descriptor = opened.descriptor
        localAddress = opened.localAddress
        kind = address.family == .v4 ? .v4 : .v6
        self.receiveBufferBytes = opened.receiveBufferBytes
        self.sendBufferBytes = opened.sendBufferBytes
    }

    /// What opening yields; apart, because a ~Copyable value cannot be half initialised when an error is thrown.
    private struct Opened {
        let descriptor: Int32
        var localAddress = SocketAddress.any4(port: 0)
        var receiveBufferBytes = 0
        var sendBufferBytes = 0

        init(
            binding address: SocketAddress, _ receiveBytes: Int, _ sendBytes: Int
        ) throws(SystemCallError) {
            descriptor = try SystemCallError.check("socket", clinux_udp_socket(address.socketFamily))
            do throws(SystemCallError) {
                if address.family == .v6 {
                    try SystemCallError.check(
                        "setsockopt(IPV6_V6ONLY)", clinux_set_v6_only(descriptor, address.isUnspecified ? 0 : 1))
                }
                receiveBufferBytes = Int(
                    try SystemCallError.check(
                        "setsockopt(SO_RCVBUF)", clinux_set_receive_buffer(descriptor, Int32(clamping: receiveBytes))))
                sendBufferBytes = Int(
                    try SystemCallError.check(
                        "setsockopt(SO_SNDBUF)", clinux_set_send_buffer(descriptor, Int32(clamping: sendBytes))))
                try SystemCallError.check("setsockopt(SO_TIMESTAMPNS)", clinux_set_receive_stamps(descriptor))
                // Kernels before 5.0 have no GRO for UDP; everything works without it, at a price.
                _ = clinux_set_gro(descriptor)
                try address.bind(descriptor)
                localAddress = try SocketAddress.local(of: descriptor)
            } catch {
                close(descriptor)
                throw error
            }
        }
    }

    deinit { close(descriptor) }

    /// Takes what is waiting, up to the batch's capacity, and returns how many messages that was. Never blocks.
    @discardableResult
    package borrowing func receive(into batch: inout ReceiveBatch) -> Int {
        batch.receive(from: descriptor)
    }

    /// Binds dual stack where the host has IPv6, else IPv4.
    package static func bindAny(port: UInt16) throws(SystemCallError) -> DatagramSocket {
        do throws(SystemCallError) {
            return try DatagramSocket(binding: .any6(port: port))
        } catch  where error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL {
            return try DatagramSocket(binding: .any4(port: port))
        }
    }
}
