// One page on one WebSocket, from its first message to its last: join, then commands one after the other.
import MediaEngine
import Rooms

struct PageConnection: Sendable {
    let socket: WebSocket
    let hub: RoomHub

    static func route(_ hub: RoomHub) -> WebSocketRoute {
        WebSocketRoute(pattern: "/v1/rooms/{room}/socket", messageLimit: ClientMessage.negotiateLimit) { socket in
            await PageConnection(socket: socket, hub: hub).serve()
        }
    }

    func serve() async {
        var messages = socket.messages.makeAsyncIterator()
        let timeout = Task { [socket, hub] in
            try await Task.sleep(for: hub.configuration.joinTimeout)
            socket.close(.joinTimeout, "no join within five seconds")
        }
        guard let first = await messages.next() else { return timeout.cancel() }
        timeout.cancel()
        guard let (session, participant) = await join(ClientMessage.read(first)) else {
            return socket.close(.normal, "")
        }
        while let bytes = await messages.next() {
            await handle(ClientMessage.read(bytes), session, participant)
        }
        await session.disconnected(participant, socket)
    }

    private func join(_ message: ClientMessage) async -> (RoomSession, ParticipantID)? {
        func refuse(_ code: String, _ words: String) {
            socket.send(ServerMessage.error(message.id, code: code, message: words))
        }
        guard case .success(.join(let token, let resume)) = message.content, let id = message.id else {
            if case .failure(let fault) = message.content {
                refuse(fault.code, fault.message)
            } else {
                refuse("join_first", "the first message is join, with an id")
            }
            return nil
        }
        let claims: AccessClaims
        do throws(TokenFault) {
            claims = try hub.verifier.verify(token)
        } catch {
            refuse(error.code.rawValue, error.message)
            return nil
        }
        do throws(Refusal) {
            return try await enter(claims, resume, reply: id)
        } catch {
            refuse(error.code, error.message)
            return nil
        }
    }

    private func enter(
        _ claims: AccessClaims, _ resume: ClientMessage.Resume?, reply id: Int64
    ) async throws(Refusal) -> (RoomSession, ParticipantID) {
        let room = socket.parameters["room"] ?? ""
        let claimant = Claimant(identity: claims.identity, name: claims.name, role: claims.role)
        let session = try await hub.session(for: claims, room: room)
        let refusal: Refusal
        do throws(Refusal) {
            return (session, try await session.join(socket, claimant, resume: resume, reply: id))
        } catch {
            refusal = error
        }
        guard refusal.code == "room_ended", resume == nil else { throw refusal }
        // The session is over and its name free again: this is the next one.
        await hub.forget(session)
        let next = try await hub.session(for: claims, room: room)
        guard next !== session else { throw refusal }
        return (next, try await next.join(socket, claimant, resume: nil, reply: id))
    }

    private func handle(_ message: ClientMessage, _ session: RoomSession, _ participant: ParticipantID) async {
        socket.expectReply()
        let content: ClientMessage.Content
        switch message.content {
        case .success(let read): content = read
        case .failure(let fault):
            return socket.send(reply: ServerMessage.error(message.id, code: fault.code, message: fault.message))
        }
        if case .pointer(let pointer) = content {
            await session.live.point(pointer, by: participant)
            return message.id.map { socket.send(reply: ServerMessage.ok($0)) } ?? socket.expectNoReply()
        }
        guard let id = message.id else {
            return socket.send(
                ServerMessage.error(nil, code: "id_missing", message: "only pointer may come without an id"))
        }
        do throws(Refusal) {
            switch content {
            case .join: throw Refusal("already_joined", "this connection has joined already")
            case .ping:
                let now = await session.live.now
                socket.send(reply: ServerMessage.ok(id) { $0.field("now", Int(now)) })
            case .negotiate(let sdp, let streams):
                let answer = try await session.negotiate(participant, sdp: sdp, declared: streams)
                socket.send(reply: ServerMessage.ok(id) { ServerMessage.answer(answer, into: &$0) })
            case .viewSet(let view):
                try await session.setView(participant, view)
                socket.send(reply: ServerMessage.ok(id))
            case .recordingStart(let title):
                let recording = try await session.startRecording(title: title, by: participant)
                socket.send(reply: ServerMessage.ok(id) { $0.field("recording", recording) })
            case .recordingStop:
                try await session.stopRecording(by: participant)
                socket.send(reply: ServerMessage.ok(id))
            case .pointer: break
            case .room(let command):
                try await session.live.perform(command, by: participant)
                socket.send(reply: ServerMessage.ok(id))
            }
        } catch {
            socket.send(reply: ServerMessage.error(id, code: error.code, message: error.message))
        }
    }
}
