// Which published track goes into which receive section of a peer.

/// Sections are pooled: a track keeps its section as long as both live, and a section whose track is gone takes the next
/// one that it has a codec for, without a new negotiation.
package struct SectionPlan: Sendable, Equatable {
    /// For each section of the peer the index of its track in `wanted`, nil for none.
    package var tracks: [Int?]
    /// How many sections the peer would need to get everything that it can decode.
    package var needed: Int

    /// - Parameters:
    ///   - wanted: how many tracks of this kind the peer subscribes to, in order of importance
    ///   - sections: what each section of this kind carries now, as an index into `wanted`, nil for nothing
    ///   - canCarry: whether a section has a codec for a track
    package init(wanted: Int, sections: [Int?], canCarry: (_ section: Int, _ track: Int) -> Bool) {
        var tracks = [Int?](repeating: nil, count: sections.count)
        var isPlaced = [Bool](repeating: false, count: wanted)
        for (section, track) in sections.enumerated() {
            guard let track, track < wanted, !isPlaced[track], canCarry(section, track) else { continue }
            tracks[section] = track
            isPlaced[track] = true
        }
        for track in 0..<wanted where !isPlaced[track] {
            guard let section = tracks.indices.first(where: { tracks[$0] == nil && canCarry($0, track) }) else {
                continue
            }
            tracks[section] = track
            isPlaced[track] = true
        }
        // A peer that has sections, but none for this codec, would not get one by offering more of the same.
        let unplaced = (0..<wanted).count { track in
            !isPlaced[track] && (sections.isEmpty || sections.indices.contains { canCarry($0, track) })
        }
        self.tracks = tracks
        needed = tracks.count { $0 != nil } + unplaced
    }
}
