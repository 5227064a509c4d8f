// One client of the load: a UDP socket with SRTP on top, for the C floor with keys known beforehand.
import CForwardFloor
import Glibc
import MediaEngine

/// Sends and receives SRTP; used from the load's thread only, once it is connected.
class LoadClient {
    let socket: DatagramSocket
    var queue: SendQueue
    private(set) var server: SocketAddress

    init(server: SocketAddress) throws {
        let socket = try DatagramSocket(binding: .loopback4(port: 0))
        queue = SendQueue(socket: socket, messages: 16, slabBytes: 256 << 10)
        self.socket = socket
        self.server = server
    }

    var port: UInt16 { socket.localAddress.port }

    /// Encrypts `payload` behind the header at the start of `destination`; the length with tag, or below zero.
    func protect(
        _ destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int { -1 }

    /// Decrypts in place; the new length, or below zero.
    func unprotect(_ packet: UnsafeMutableRawBufferPointer) -> Int { -1 }

    /// Says "still here" where the server wants to hear it.
    func keepAlive() {}
}

final class FloorClient: LoadClient {
    private let srtp: OpaquePointer

    init(server: SocketAddress, crypto: floor_crypto, profile: Profile, sends: Bool, key: floor_key) throws {
        guard let srtp = floor_srtp_create(crypto, profile.ofFloor, sends ? FLOOR_SENDS : FLOOR_RECEIVES, key) else {
            throw BenchError("SRTP refused the key")
        }
        self.srtp = srtp
        try super.init(server: server)
    }

    deinit { floor_srtp_destroy(srtp) }

    override func protect(
        _ destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int {
        guard let out = destination.baseAddress?.assumingMemoryBound(to: UInt8.self),
            let body = payload.baseAddress?.assumingMemoryBound(to: UInt8.self)
        else { return -1 }
        return Int(floor_srtp_protect(srtp, out, Int32(headerLength), body, Int32(payload.count), out))
    }

    override func unprotect(_ packet: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = packet.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return -1 }
        return Int(floor_srtp_unprotect(srtp, base, Int32(packet.count)))
    }
}

struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
