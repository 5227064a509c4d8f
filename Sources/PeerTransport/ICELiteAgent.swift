// The controlled, lite side of ICE (RFC 8445 section 2.5): answers checks, learns paths from them, picks one.
internal import WireFormats

/// Sends no checks of its own and gathers nothing; what it knows of the peer comes from authenticated checks.
struct ICELiteAgent {
    enum Outcome {
        case dropped(DropReason)
        /// A valid check and its answer; `moved` when the selected path is another one now.
        case answered([UInt8], moved: Bool)
        /// An authenticated request that is answered with an error.
        case refused([UInt8])
    }

    private struct Identity {
        let ufrag: [UInt8]
        let key: HMACSHA1

        init(_ credentials: ICECredentials) {
            ufrag = Array(credentials.ufrag.utf8)
            key = HMACSHA1(key: credentials.password)
        }
    }

    private struct Path {
        let id: PathID
        var lastHeard: UInt64
        var priority: UInt32
    }

    private var current: Identity
    /// The credentials before an ICE restart, good until the peer has nominated a path with the new ones.
    private var previous: Identity?
    private var paths: [Path] = []
    /// Where everything is sent: the nominated path, before any nomination the first that worked.
    private(set) var selected: PathID?
    private var isNominated = false
    /// A path of lower priority that was nominated once since the selected one was.
    private var challenger: PathID?

    static let mostPaths = 8

    init(local: ICECredentials) {
        current = Identity(local)
        paths.reserveCapacity(Self.mostPaths)
    }

    /// The selected path stays until the peer nominates one with the new credentials.
    mutating func restart(local: ICECredentials) {
        previous = current
        current = Identity(local)
    }

    func knows(_ path: PathID) -> Bool {
        paths.contains { $0.id == path }
    }

    /// Before any nomination the peer's DTLS shows the path it prefers.
    mutating func prefer(_ path: PathID) {
        if !isNominated, knows(path) { selected = path }
    }

    /// Takes a path out, as when its TCP connection is gone.
    mutating func forget(_ path: PathID) {
        paths.removeAll { $0.id == path }
        if challenger == path { challenger = nil }
        if selected == path {
            isNominated = false
            selected = paths.max { $0.lastHeard < $1.lastHeard }?.id
        }
    }

    mutating func receive(
        now: UInt64, _ datagram: UnsafeRawBufferPointer, from path: PathID, address: TransportAddress
    ) -> Outcome {
        let message: STUNMessage
        do {
            message = try STUNMessage(parsing: datagram)
        } catch {
            return .dropped(.malformed)
        }
        guard message.messageClass == .request else { return .dropped(.unexpected) }
        guard message.method == STUN.bindingMethod else { return .dropped(.malformed) }
        // A stranger gets no answer at all, so nothing can be amplified or probed for.
        guard let identity = identity(named: message, in: datagram),
            message.hasValidIntegrity(in: datagram, key: identity.key),
            message.fingerprintOffset == nil || message.hasValidFingerprint(in: datagram)
        else { return .dropped(.notAuthenticated) }

        if !message.unknownRequired.isEmpty {
            return .refused(
                answer(message, identity, error: .unknownAttribute, unknown: message.unknownRequired))
        }
        switch (message.iceControlling, message.iceControlled) {
        case (nil, .some):
            // A lite agent is always the controlled one, whatever the tie-breakers say.
            return .refused(answer(message, identity, error: .roleConflict))
        case (.some, .some):
            return .refused(answer(message, identity, error: .badRequest))
        case (_, nil):
            break
        }

        let before = selected
        let isCurrent = identity.ufrag == current.ufrag
        note(path, priority: message.priority ?? 0, now: now)
        if message.useCandidate {
            nominate(path, isCurrent: isCurrent)
        } else if selected == nil {
            selected = path
        }
        return .answered(answer(message, identity, mapped: address), moved: selected != before)
    }

    /// Whose check this is, by the part of USERNAME before the colon. The other part is the peer's own; that the peer
    /// knows our password says more.
    private func identity(named message: STUNMessage, in datagram: UnsafeRawBufferPointer) -> Identity? {
        guard let range = message.username, range.upperBound <= datagram.count else { return nil }
        let username = datagram[range]
        guard let colon = username.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let ufrag = username[..<colon]
        if ufrag.elementsEqual(current.ufrag) { return current }
        if let previous, ufrag.elementsEqual(previous.ufrag) { return previous }
        return nil
    }

    private mutating func note(_ path: PathID, priority: UInt32, now: UInt64) {
        if let index = paths.firstIndex(where: { $0.id == path }) {
            paths[index].lastHeard = now
            paths[index].priority = priority
            return
        }
        if paths.count >= Self.mostPaths {
            // Roaming peers leave paths behind: the one longest silent makes room, but never the one in use.
            let old = paths.indices.filter { paths[$0].id != selected }.min {
                paths[$0].lastHeard < paths[$1].lastHeard
            }
            if let old {
                if challenger == paths[old].id { challenger = nil }
                paths.remove(at: old)
            }
        }
        paths.append(Path(id: path, lastHeard: now, priority: priority))
    }

    /// The last nomination wins, except that peers which nominate everything they try (RFC 5245's aggressive
    /// nomination) must not make us flap: a path of lower priority is taken when it is nominated twice while the
    /// selected one is not.
    private mutating func nominate(_ path: PathID, isCurrent: Bool) {
        let isFirstSinceRestart = isCurrent && previous != nil
        if isFirstSinceRestart { previous = nil }
        guard let chosen = selected, isNominated, chosen != path, !isFirstSinceRestart else {
            selected = path
            isNominated = true
            challenger = nil
            return
        }
        if priority(of: path) >= priority(of: chosen) || challenger == path {
            selected = path
            challenger = nil
        } else {
            challenger = path
        }
    }

    private func priority(of path: PathID) -> UInt32 {
        paths.first { $0.id == path }?.priority ?? 0
    }

    private func answer(_ request: STUNMessage, _ identity: Identity, mapped address: TransportAddress) -> [UInt8] {
        var builder = STUNBuilder(.success, transactionID: request.transactionID)
        builder.add(xorMappedAddress: address)
        builder.addIntegrity(key: identity.key)
        builder.addFingerprint()
        return builder.finish()
    }

    private func answer(
        _ request: STUNMessage, _ identity: Identity, error: STUN.ErrorCode, unknown: [UInt16] = []
    ) -> [UInt8] {
        var builder = STUNBuilder(.failure, transactionID: request.transactionID)
        builder.add(errorCode: error)
        if !unknown.isEmpty { builder.add(unknownAttributes: unknown) }
        builder.addIntegrity(key: identity.key)
        builder.addFingerprint()
        return builder.finish()
    }
}
