// One peer's transport without sockets or clocks: ICE-lite, DTLS and SRTP behind "bytes in, bytes out, call me at".
package import WireFormats

package struct PeerTransport: ~Copyable {
    package private(set) var state = PeerTransportState.new

    package init(now: UInt64, configuration: PeerTransportConfiguration) throws(DTLSError) {
    }

    /// Takes STUN and DTLS. `address` is where the datagram came from, which a Binding response reports back.
    package mutating func receive(
        now: UInt64, datagram: UnsafeMutableRawBufferPointer, from path: PathID, address: TransportAddress
    ) -> Received { .consumed }

    package mutating func handleTimeout(now: UInt64) {}

    /// When `handleTimeout` wants to be called; `UInt64.max` for never.
    package var nextDeadline: UInt64 { .max }

    /// The next control datagram to send. Drain until `nil` after every call that is handed `now`, and after `close`.
    package mutating func nextTransmit() -> (path: PathID, bytes: [UInt8])? { nil }

    /// Where media goes.
    package var selectedPath: PathID? { nil }

    package mutating func restartICE(now: UInt64, local: ICECredentials, remote: ICECredentials) {}

    package mutating func close() {}

    package mutating func unprotectRTP(_ packet: UnsafeMutableRawBufferPointer) -> Int { -1 }

    package mutating func unprotectRTCP(_ packet: UnsafeMutableRawBufferPointer) -> Int { -1 }

    package mutating func addSendStream(ssrc: UInt32) -> Int { 0 }

    package mutating func removeSendStream(slot: Int) {}

    package mutating func protectRTP(
        slot: Int, destination: UnsafeMutableRawBufferPointer, headerLength: Int, payload: UnsafeRawBufferPointer
    ) -> Int { -1 }

    /// Protects the `length` bytes at the start of `packet` in place; `packet` has room for the trailer.
    package mutating func protectRTCP(_ packet: UnsafeMutableRawBufferPointer, length: Int) -> Int { -1 }
}
