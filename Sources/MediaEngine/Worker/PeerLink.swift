// One peer's transport as the worker holds it: its state machine, its paths, and where its packets go.
import PeerTransport

/// A way to a peer: a remote address on the UDP socket, or a TCP connection.
struct MediaPath {
    enum Way {
        case datagram(SocketAddress)
        case stream(FramedTCPConnection)
    }

    let link: Int32
    let way: Way
    /// Its id for the transport; the upper half makes it unlike that of an earlier path in the same place.
    let id: PathID
}

struct PeerLink: ~Copyable {
    var transport: PeerTransport
    /// 64-bit keys of the username fragments under which it is found: the present one, and that before a restart.
    var ufrags: [UInt64]
    var paths: [Int32] = []
    var isConnected = false
    /// Where media goes; nil until a path is selected.
    var destination: MediaPath.Way?
    var packetsSent: UInt64 = 0

    init(transport: consuming PeerTransport, ufrags: [UInt64]) {
        self.transport = transport
        self.ufrags = ufrags
    }
}

/// Datagrams that led to nothing, by reason.
enum RefusedDatagram: Int, CaseIterable {
    case unknownAddress, unknownUfrag, notAuthenticated, malformedControl, unknownProtocol, tooManyPaths
    case notReady, authenticationFailed, replayed, malformedMedia, tooManySources

    var name: String {
        switch self {
        case .unknownAddress: "unknown_address"
        case .unknownUfrag: "unknown_ufrag"
        case .notAuthenticated: "not_authenticated"
        case .malformedControl: "malformed_control"
        case .unknownProtocol: "unknown_protocol"
        case .tooManyPaths: "too_many_paths"
        case .notReady: "not_ready"
        case .authenticationFailed: "srtp_authentication"
        case .replayed: "srtp_replay"
        case .malformedMedia: "malformed_media"
        case .tooManySources: "too_many_sources"
        }
    }
}
