// What must be true of all that one receiver got, looked at when a run is over.

extension LayersReceiver {
    /// Milliseconds: one picture of thirty a second, and rounding.
    private static let frame = 34.0

    func judge(isCleanPath: Bool) {
        judgeTime()
        guard isCleanPath else { return }
        // Where nothing is lost or late, every picture ends with its marker, and no number is missing.
        let bare = markers.filter { !$0.value.isMarked }
        if let first = bare.min(by: { $0.value.last < $1.value.last }) {
            fail("\(bare.count) pictures have no end, first frames \(first.value.frames.sorted())")
        }
        guard let lowest = sequences.keys.min(), let highest = sequences.keys.max() else { return }
        let missing = highest - lowest + 1 - sequences.count
        if missing > 0 { fail("\(missing) sequence numbers are missing") }
    }

    /// Timestamps go up with sequence numbers and say, from the first live picture to the last, when pictures were taken:
    /// to within one picture, through every switch, without adding up. The only exception is what comes so late (from the
    /// cache, or with the repaired beginning of a key frame) that later pictures have been shown before it: no timestamp
    /// before theirs is left, so that it follows them a hundred times faster than it was taken; and the cache's, which all
    /// come at once and may say that they were taken when they came.
    private func judgeTime() {
        let inOrder = frames.values.sorted { $0.firstSequence < $1.firstSequence }
        // What was there when it began counts as shown. Times are counted from what came the soonest after it was taken.
        guard let start = startedAt,
            let beginning = inOrder.filter({ $0.truth.capture > start + 250 }).min(by: { $0.age < $1.age })
        else { return }
        var shown = Double(start)
        var behind = 0.0
        var last = inOrder[0]
        for frame in inOrder.dropFirst() {
            let step = Int32(bitPattern: frame.timestamp &- last.timestamp)
            // A picture may be shown again, when the cache is what there is.
            let isSamePicture =
                frame.truth.capture == last.truth.capture && frame.truth.encoding == last.truth.encoding
                && frame.truth.id > last.truth.id && frame.firstSequence - last.lastSequence < 10
            if isSamePicture ? step != 0 : step <= 0 {
                fail("frame \(frame.truth.id) is \(step) ticks after frame \(last.truth.id)")
            }
            last = frame
            let capture = Double(frame.truth.capture)
            let lead =
                Double(Int32(bitPattern: frame.timestamp &- beginning.timestamp)) / 90
                - (capture - Double(beginning.truth.capture))
            if capture <= shown {
                behind = max(behind, shown - capture)
            } else if capture > shown + behind / 99 + LayersReceiver.frame {
                behind = 0
            }
            let most = max(
                Double(frame.age), max(0, shown - capture) + (behind > 0 ? 10 + behind / 99 : 0))
            if lead < -LayersReceiver.frame || lead > most + LayersReceiver.frame {
                fail(
                    "frame \(frame.truth.id) of \(frame.truth.layer), taken at \(frame.truth.capture), is shown \(Int(lead)) ms late"
                )
            }
            shown = max(shown, capture)
        }
    }
}
