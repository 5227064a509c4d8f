// The list of recordings in SQLite through GRDB: what is searched and sorted. The truth of a recording is its manifest.

import Foundation
import GRDB

/// One row; the columns are permanent, new ones come by new migrations.
private struct RecordingRow: Codable, FetchableRecord, PersistableRecord, Sendable {
    static let databaseTableName = "recording"

    var id: String
    var folder: String
    var room: String
    var title: String
    var started: String
    var duration: Int64
    var tracks: Int
    var participants: Int
    var state: String
    var bytes: Int64

    var summary: RecordingSummary {
        RecordingSummary(
            recording: id, room: room, title: title, started: started, duration: duration, tracks: tracks,
            participants: participants, state: RecordingState(rawValue: state) ?? .recording, bytes: bytes)
    }
}

/// Not for media or events: those are files.
struct ArchiveDatabase: Sendable {
    private let pool: DatabasePool

    init(path: String) throws(ArchiveError) {
        do {
            var configuration = Configuration()
            configuration.label = "archive"
            configuration.busyMode = .timeout(5)
            pool = try DatabasePool(path: path, configuration: configuration)
            try Self.migrator.migrate(pool)
        } catch {
            throw .database(reason: "\(error)")
        }
    }

    /// Migrations are never edited or renamed once released.
    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("recordings") { database in
            try database.create(table: "recording") { table in
                table.primaryKey("id", .text)
                table.column("folder", .text).notNull().unique()
                table.column("room", .text).notNull()
                table.column("title", .text).notNull()
                table.column("started", .text).notNull()
                table.column("duration", .integer).notNull()
                table.column("tracks", .integer).notNull()
                table.column("participants", .integer).notNull()
                table.column("state", .text).notNull()
                table.column("bytes", .integer).notNull()
            }
            try database.create(index: "recording_started", on: "recording", columns: ["started"])
        }
        return migrator
    }

    func save(_ summary: RecordingSummary, folder: String) async throws(ArchiveError) {
        let row = RecordingRow(
            id: summary.recording, folder: folder, room: summary.room, title: summary.title, started: summary.started,
            duration: summary.duration, tracks: summary.tracks, participants: summary.participants,
            state: summary.state.rawValue, bytes: summary.bytes)
        try await run { database in try row.save(database) }
    }

    func list(matching text: String?) async throws(ArchiveError) -> [RecordingSummary] {
        try await fetch { database in
            var request = RecordingRow.order(Column("started").desc, Column("id"))
            if let text, !text.isEmpty {
                let pattern = "%" + Self.escaped(text) + "%"
                request = request.filter(
                    sql: "title LIKE ? ESCAPE '\\' OR room LIKE ? ESCAPE '\\'", arguments: [pattern, pattern])
            }
            return try request.fetchAll(database).map(\.summary)
        }
    }

    func find(_ id: String) async throws(ArchiveError) -> (summary: RecordingSummary, folder: String)? {
        try await fetch { database in
            try RecordingRow.fetchOne(database, key: id).map { ($0.summary, $0.folder) }
        }
    }

    /// Ids and folders in one state.
    func all(in state: RecordingState) async throws(ArchiveError) -> [(id: String, folder: String)] {
        try await fetch { database in
            try RecordingRow.filter(Column("state") == state.rawValue).fetchAll(database).map { ($0.id, $0.folder) }
        }
    }

    func folders() async throws(ArchiveError) -> Set<String> {
        try await fetch { database in
            Set(try RecordingRow.select(Column("folder"), as: String.self).fetchAll(database))
        }
    }

    private static func escaped(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            if "%_\\".contains(character) { result.append("\\") }
            result.append(character)
        }
    }

    private func run(_ body: @escaping @Sendable (Database) throws -> Void) async throws(ArchiveError) {
        do {
            try await pool.write(body)
        } catch {
            throw .database(reason: "\(error)")
        }
    }

    private func fetch<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(ArchiveError) -> Value {
        do {
            return try await pool.read(body)
        } catch {
            throw .database(reason: "\(error)")
        }
    }
}
