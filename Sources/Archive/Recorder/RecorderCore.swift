// All tracks of one recording, fed record by record: no clock, no thread, no socket, so that tests run in virtual time.

import Foundation
import PacketRing

/// Confined to one thread. Time is what the records and `advance` say.
final class RecorderCore {
    private static let mostTracks = 4096

    private let context: RecordingContext
    private let requestKeyFrame: (UInt32) -> Void
    private var tracks: [UInt32: TrackRecorder] = [:]
    private var order: [UInt32] = []
    private var senders: [String: SenderClock] = [:]
    /// What tracks that were declared anew under the same number have left.
    private var former: [TrackRecorder] = []

    private(set) var hasEnded = false
    private(set) var recordsDropped: UInt64 = 0
    private(set) var lastArrival: UInt64 = 0

    init(context: RecordingContext, requestKeyFrame: @escaping (UInt32) -> Void) {
        self.context = context
        self.requestKeyFrame = requestKeyFrame
    }

    func receive(_ record: PacketRecord) {
        guard !hasEnded else { return }
        lastArrival = max(lastArrival, record.arrival)
        switch record.kind {
        case .packet:
            tracks[record.track]?.receive(record.payload, encoding: record.encoding, arrival: record.arrival)
        case .trackDeclared:
            declare(record.track, record.payload, arrival: record.arrival)
        case .trackEnded:
            tracks[record.track]?.end(now: record.arrival)
        case .senderReport:
            guard let clock = record.senderReport else { return }
            tracks[record.track]?.report(encoding: record.encoding, clock: clock, arrival: record.arrival)
        case .dropped:
            recordsDropped &+= record.droppedCount ?? 1
            for track in tracks.values { track.ringHasDropped() }
        case .end:
            end(now: lastArrival)
        }
    }

    func advance(now: UInt64) {
        guard !hasEnded else { return }
        for track in tracks.values where !track.hasEnded { track.advance(now: now) }
    }

    func end(now: UInt64) {
        guard !hasEnded else { return }
        hasEnded = true
        for number in order { tracks[number]?.end(now: now) }
    }

    /// True once after each change that belongs into the manifest at once.
    func takeChange() -> Bool {
        var hasChanged = false
        for track in tracks.values where track.takeChange() { hasChanged = true }
        return hasChanged
    }

    var manifest: [Manifest.Track] {
        former.flatMap(\.manifest) + order.flatMap { tracks[$0]?.manifest ?? [] }
    }

    private func declare(_ track: UInt32, _ json: UnsafeRawBufferPointer, arrival: UInt64) {
        guard tracks.count < Self.mostTracks,
            var declaration = try? JSONDecoder().decode(TrackDeclaration.self, from: Data(json))
        else { return }
        declaration.track = track
        if let known = tracks[track] {
            guard known.declaration != declaration else { return }
            known.end(now: arrival)
            former.append(known)
            order.removeAll { $0 == track }
        }
        let sender = senders[declaration.participant] ?? SenderClock()
        senders[declaration.participant] = sender
        guard
            let recorder = TrackRecorder(
                declaration, context: context, sender: sender,
                requestKeyFrame: { [requestKeyFrame] in requestKeyFrame(track) })
        else { return }
        tracks[track] = recorder
        order.append(track)
    }
}
