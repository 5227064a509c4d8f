// What the media engine is told at its start: addresses, ports, SRTP implementation and limits.

package struct MediaEngineConfiguration: Sendable {
    package enum SRTPImplementation: Sendable, Equatable {
        /// RFC 3711 and RFC 7714 transforms on OpenSSL's ciphers.
        case native
        case libsrtp2
    }

    /// The limits that keep a hostile or broken client from growing the process.
    package struct Limits: Sendable, Equatable {
        package var rooms = 256
        package var peers = 1024
        package var pathsPerPeer = 8
        package var connections = 1024
        package var videoStreamsPerPeer = 8
        package var audioStreamsPerPeer = 2
        package var receiveSectionsPerPeer = 128
        package var offerBytes = 262_144
        package init() {}
    }

    /// The local address to bind; "0.0.0.0" and "::" mean every address of the host.
    package var bindAddress: String
    /// 0 takes a free port; `MediaEngine.udpPort` says which.
    package var udpPort: UInt16
    /// 0 switches ICE-TCP off.
    package var tcpPort: UInt16
    /// Addresses to write into answers; empty means the host's own addresses and loopback.
    package var announcedAddresses: [String]
    package var srtp: SRTPImplementation
    /// RFC 7675: a peer that has not been heard for this long is gone.
    package var consentTimeout: Duration
    /// `x-google-start-bitrate` for the video codecs that a client sends, in kbit/s; nil leaves it out.
    package var startBitrateKilobits: Int?
    /// Of each worker.
    package var limits: Limits
    /// Threads that carry media, each with ports of its own: the first has the ports above, the next ones those after.
    package var workers: Int
    /// Of one room so many peers are held by one worker; viewers beyond that go to another one.
    package var peersPerWorker: Int
    /// nil never refuses anything for the sake of load.
    package var stress: StressLimits?
    /// Takes the place of the measured load of a worker, by its number: for tests.
    package var loadReading: (@Sendable (Int) -> Double)?

    package init(
        bindAddress: String = "0.0.0.0", udpPort: UInt16 = 0, tcpPort: UInt16 = 0, announcedAddresses: [String] = [],
        srtp: SRTPImplementation = .native, consentTimeout: Duration = .seconds(30), startBitrateKilobits: Int? = 1500,
        limits: Limits = Limits(), workers: Int = 1, peersPerWorker: Int = 250, stress: StressLimits? = nil
    ) {
        self.bindAddress = bindAddress
        self.udpPort = udpPort
        self.tcpPort = tcpPort
        self.announcedAddresses = announcedAddresses
        self.srtp = srtp
        self.consentTimeout = consentTimeout
        self.startBitrateKilobits = startBitrateKilobits
        self.limits = limits
        self.workers = workers
        self.peersPerWorker = peersPerWorker
        self.stress = stress
    }

    /// The same for the worker of this number.
    func ports(of worker: Int) -> (udp: UInt16, tcp: UInt16) {
        func after(_ first: UInt16) -> UInt16 { first == 0 ? 0 : UInt16(clamping: Int(first) + worker) }
        return (after(udpPort), after(tcpPort))
    }

    /// For the transports, which count in nanoseconds.
    var consentNanoseconds: UInt64 {
        let (seconds, attoseconds) = consentTimeout.components
        return UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: attoseconds / 1_000_000_000)
    }
}
