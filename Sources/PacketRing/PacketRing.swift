// The ring between a worker and the recorder; the type alone for now.

package final class PacketRing: Sendable {
    package init() {}
}
