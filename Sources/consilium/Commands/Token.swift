// `consilium token`: makes a token for one person, or the link with it.
import ArgumentParser
import Foundation
import Gateway
import Rooms

extension Role: ExpressibleByArgument {}
extension RoomKind: ExpressibleByArgument {}

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a token that lets one person or device into a room.",
        discussion: "Whoever has the token comes in as this person: hand it over like a key.")

    @OptionGroup var options: ConfigurationOptions

    @Option(name: .long, help: "The room's name: 1 to 64 of A-Z a-z 0-9 . _ - or * for every room.")
    var room: String

    @Option(name: .long, help: "The name that others see.")
    var name: String

    @Option(name: .long, help: "chair, expert, presenter, attendee, observer or device.")
    var role: Role

    @Option(name: .long, help: "What the room is when this token opens it: consultation, mdt, broadcast or lesson.")
    var kind: RoomKind?

    @Option(name: .long, help: "The session's title when this token opens the room.")
    var title: String?

    @Option(name: .long, help: "The person's stable identity in your accounts. Without it a new one is made.")
    var identity: String?

    @Option(name: .long, help: "How long it is valid: a number and s, m, h or d.")
    var ttl = "8h"

    @Flag(name: .long, help: "Print the link to open instead of the bare token.")
    var link = false

    func run() async throws {
        let configuration = try options.read()
        guard let seconds = Self.seconds(ttl), seconds > 0, seconds <= AccessClaims.maximumLifetime else {
            throw ValidationError("--ttl \(ttl) is not a time up to a year; give one like 45m, 8h or 7d.")
        }
        let claims = AccessClaims(
            room: room, identity: identity ?? OpaqueID.random(), name: name, role: role,
            expires: WallClock.now().seconds + seconds, kind: kind, title: title)
        do {
            let token = try configuration.makeVerifier().mint(claims)
            let base = configuration.baseURL(port: configuration.server.port)
            print(link ? "\(base)/room.html#room=\(room)&token=\(token)" : token)
        } catch let fault as TokenFault {
            throw ValidationError(fault.message)
        } catch {
            complain("\(error)")
            throw ExitCode(1)
        }
    }

    static func seconds(_ text: String) -> Int64? {
        guard let unit = text.last, let number = Int64(text.dropLast()), number >= 0, number < 1_000_000_000 else {
            return nil
        }
        switch unit {
        case "s": return number
        case "m": return number * 60
        case "h": return number * 3600
        case "d": return number * 86400
        default: return nil
        }
    }
}
