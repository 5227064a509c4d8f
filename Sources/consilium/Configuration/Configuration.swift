// Consilium's settings as values, with their defaults. Config/consilium.yaml says what each of them means.
import Gateway

struct Configuration: Equatable {
    enum TLSMode: String, CaseIterable {
        case off
        case selfSigned = "self-signed"
        case files
    }

    enum SRTP: String, CaseIterable {
        case native
        case libsrtp2
    }

    enum WorkerCount: Equatable {
        case automatic
        case exactly(Int)

        static let limit = 64

        /// One core is left to signalling, recording and everything else.
        func count(cores: Int) -> Int {
            switch self {
            case .automatic: min(max(1, cores - 1), Self.limit)
            case .exactly(let count): count
            }
        }
    }

    struct Server: Equatable {
        var address = "127.0.0.1"
        var port = 8080
        var tls = TLSMode.off
        var certificate = ""
        var key = ""
        var publicURL = ""
        var allowedOrigins: [String] = []
        var maximumConnections = 4096
        var maximumConnectionsPerAddress = 256
        var compression = false
    }

    struct Access: Equatable {
        var secretFile = ".state/token-secret"
        var keySetFile = ""
    }

    struct Media: Equatable {
        var address = "0.0.0.0"
        var udpPort = 7882
        var tcpPort = 7882
        var workers = WorkerCount.automatic
        var participantsPerWorker = 250
        var refuseCamerasAtPercent = 85
        var thinCamerasAtPercent = 93
        var announcedAddresses: [String] = []
        var srtp = SRTP.native
        var consentTimeoutSeconds = 30
    }

    struct Rooms: Equatable {
        var maximum = 200
        var emptyGraceSeconds = 60
    }

    var server = Server()
    var access = Access()
    var stateDirectory = ".state"
    var media = Media()
    var rooms = Rooms()
    var imagingFolder = ""
    var recordingsFolder = "Recordings"
    var logLevel = Log.Level.info
}

/// A value as it stands in the file, of one of the four kinds that settings have.
enum SettingValue: Equatable, CustomStringConvertible {
    case text(String)
    case whole(Int)
    case flag(Bool)
    case list([String])

    var description: String {
        switch self {
        case .text(let text): "\"\(text)\""
        case .whole(let number): "\(number)"
        case .flag(let flag): flag ? "true" : "false"
        case .list(let texts): "[\(texts.map { "\"\($0)\"" }.joined(separator: ", "))]"
        }
    }

    var kind: String {
        switch self {
        case .text: "a text"
        case .whole: "a whole number"
        case .flag: "true or false"
        case .list: "a list of texts"
        }
    }
}
