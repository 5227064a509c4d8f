// All rooms of this server: opens them on first use, closes them when they are empty, hands media events to them.
import MediaEngine
import Rooms

package struct HubConfiguration: Sendable {
    package var maximumRooms = 200
    package var emptyGrace: UInt64 = 60_000_000_000
    package var joinTimeout: Duration = .seconds(5)

    package init() {}
}

package actor RoomHub {
    package nonisolated let verifier: TokenVerifier
    nonisolated let services: HubServices
    nonisolated let configuration: HubConfiguration

    private var rooms: [String: Room] = [:]
    private var tasks: [Task<Void, Never>] = []
    private var isStopping = false
    private(set) var roomsOpened = 0

    private struct Room {
        var session: RoomSession
        var emptySince: UInt64?
    }

    package init(configuration: HubConfiguration, verifier: TokenVerifier, services: HubServices) {
        self.configuration = configuration
        self.verifier = verifier
        self.services = services
    }

    /// Begins to carry media events and to keep house.
    package func start() {
        guard tasks.isEmpty else { return }
        tasks.append(
            Task { [weak self, events = services.media.events] in
                for await event in events { await self?.told(event) }
            })
        tasks.append(
            Task { [weak self] in
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(1))
                    await self?.tick()
                }
            })
    }

    private func told(_ event: MediaEvent) async {
        let name =
            switch event {
            case .connected(let room, _), .disconnected(let room, _, _), .sectionsChanged(let room, _, _, _),
                .streamFlowing(let room, _, _, _), .audioLevels(let room, _), .dominantSpeaker(let room, _),
                .streamsWanted(let room, _, _), .camerasRefused(let room, _, _):
                room
            }
        await rooms[name]?.session.told(event)
    }

    /// About once a second; tests call it with a clock of their own.
    package func tick() async {
        for (name, room) in rooms {
            await room.session.tick()
            let isEmpty = await room.session.live.memberCount == 0
            let now = services.clock()
            guard rooms[name] != nil else { continue }
            if await room.session.isClosed {
                rooms[name] = nil
            } else if !isEmpty {
                rooms[name]?.emptySince = nil
            } else if let since = rooms[name]?.emptySince {
                guard now &- since >= configuration.emptyGrace else { continue }
                await room.session.live.end(reason: "nobody was left")
            } else {
                rooms[name]?.emptySince = now
            }
        }
    }

    /// The room of a token, opened when the bearer's role may open it.
    func session(for claims: AccessClaims, room name: String) throws(Refusal) -> RoomSession {
        guard Name.isValid(name) else {
            throw Refusal("bad_room", "a room's name is 1 to 64 of A-Z a-z 0-9 . _ -")
        }
        guard claims.allows(room: name) else {
            throw Refusal(TokenFault.Code.foreignRoom.rawValue, "This link is for another room.")
        }
        if let room = rooms[name] { return room.session }
        guard !isStopping else { throw Refusal("unavailable", "the server is about to stop; try again in a minute") }
        let kind = claims.kind ?? .consultation
        let mayOpen = claims.role.permissions(in: kind).contains(.publish) || claims.role.waitsInLobby(of: kind)
        guard mayOpen else {
            throw Refusal("not_open", "This session has not been opened yet; try again in a minute.")
        }
        guard rooms.count < configuration.maximumRooms else {
            throw Refusal("busy", "this server has \(rooms.count) rooms open; that is the most")
        }
        let session = RoomSession(name: name, kind: kind, title: claims.title ?? "", services: services)
        rooms[name] = Room(session: session)
        roomsOpened += 1
        Task { await session.start() }
        return session
    }

    func existingSession(_ name: String) -> RoomSession? { rooms[name]?.session }

    /// A room that has ended makes place for a new one of the same name at once.
    func forget(_ session: RoomSession) async {
        if rooms[session.name]?.session === session, await session.isClosed { rooms[session.name] = nil }
    }

    /// Says goodbye to everybody and ends all recordings.
    package func stop(reason: String) async {
        isStopping = true
        let sessions = rooms.values.map(\.session)
        await withTaskGroup(of: Void.self) { group in
            for session in sessions { group.addTask { await session.sayGoodbye(reason) } }
        }
        for task in tasks { task.cancel() }
        tasks = []
    }

    package struct Counts: Sendable {
        package var rooms = 0
        package var roomsOpened = 0
        package var members = 0
        package var recordings = 0
    }

    package func counts() async -> Counts {
        var counts = Counts()
        counts.rooms = rooms.count
        counts.roomsOpened = roomsOpened
        for room in rooms.values {
            counts.members += await room.session.live.memberCount
            counts.recordings += await room.session.isRecording ? 1 : 0
        }
        return counts
    }
}
