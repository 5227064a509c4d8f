// How many layers of a stream anybody wants, so that its publisher need not encode and send the others.

/// Wanted are all layers up to the largest that is of use to somebody: the smaller ones are what a receiver falls back on.
/// More is told at once, less when nobody has wanted more for five seconds.
package struct PublisherDemand: Sendable, Equatable {
    package static let patience: UInt64 = 5_000_000_000

    /// What the publisher was last told; it begins with everything.
    package private(set) var told: Int
    private var surplusSince: UInt64?

    package init(layers: Int) { told = layers }

    /// true when the publisher is to be told.
    package mutating func update(wanted: Int, now: UInt64, patience: UInt64 = patience) -> Bool {
        if wanted >= told {
            surplusSince = nil
            defer { told = wanted }
            return wanted > told
        }
        let since = surplusSince ?? now
        surplusSince = since
        guard now >= since, now - since >= patience else { return false }
        surplusSince = nil
        told = wanted
        return true
    }
}
