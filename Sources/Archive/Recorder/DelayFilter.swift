// Maps another machine's clock to session time, from when its packets arrived: the least-delayed ones tell the offset.

/// Nanoseconds of a foreign clock -> session nanoseconds. In each window of time the packet that travelled fastest is
/// kept; a line through those of the last minutes is offset and drift. The map itself never jumps for less than 50 ms: it
/// is steered to the line at no more than 500 ppm, so that stamps stay smooth and nothing need be resampled.
struct DelayFilter {
    private static let firstWindow: Int64 = 2_000_000_000
    private static let laterWindow: Int64 = 10_000_000_000
    private static let longestMemory = 30
    private static let steepestCorrection = 0.000_5
    private static let step: Double = 50_000_000

    /// (foreign time, offset) of the fastest packet of each past window.
    private var minima: [(time: Int64, offset: Int64)] = []
    private var window: (start: Int64, time: Int64, offset: Int64)?
    /// The map in force: offset at `anchor` and its slope.
    private var anchor: Int64 = 0
    private var offset: Double = 0
    private var slope: Double = 0

    var isEmpty: Bool { window == nil }

    /// One packet: its time by the foreign clock and its arrival in session time.
    mutating func observe(_ time: Int64, arrival: Int64) {
        let delta = arrival &- time
        guard var current = window else {
            window = (time, time, delta)
            anchor = time
            offset = Double(delta)
            slope = 0
            return
        }
        if delta < current.offset {
            current.time = time
            current.offset = delta
            // Until the first window has closed, a faster packet is simply the better truth.
            if minima.isEmpty {
                anchor = time
                offset = Double(delta)
            }
        }
        window = current
        let length = minima.count < 5 ? Self.firstWindow : Self.laterWindow
        if time &- current.start >= length { close(at: time, delta: delta, length: length) }
    }

    /// Session time of a moment of the foreign clock.
    func session(of time: Int64) -> Int64 { time &+ Int64(effective(at: time)) }

    /// How far a packet is behind the fastest way known, in nanoseconds.
    func delay(of time: Int64, arrival: Int64) -> Int64 { arrival &- session(of: time) }

    private func effective(at time: Int64) -> Double {
        (offset + slope * Double(time &- anchor)).clamped(to: -9e18...9e18)
    }

    private mutating func close(at time: Int64, delta: Int64, length: Int64) {
        guard let closed = window else { return }
        minima.append((closed.time, closed.offset))
        if minima.count > Self.longestMemory { minima.removeFirst() }
        window = (time, time, delta)

        let line = fit()
        let now = effective(at: time)
        let target = line.offset + line.slope * Double(time &- line.origin)
        anchor = time
        if abs(target - now) > Self.step {
            offset = target
            slope = line.slope
        } else {
            offset = now
            let next = minima.count < 5 ? Self.firstWindow : Self.laterWindow
            let correction = (target - now) / Double(next)
            slope = line.slope + correction.clamped(to: -Self.steepestCorrection...Self.steepestCorrection)
        }
    }

    /// Least squares through the minima; a drift beyond 1000 ppm is not a drift.
    private func fit() -> (origin: Int64, offset: Double, slope: Double) {
        let origin = minima.last?.time ?? 0
        let recent = minima
        let base = recent.last?.offset ?? 0
        guard recent.count >= 6 else {
            return (origin, Double(recent.map(\.offset).min() ?? base), 0)
        }
        var sumX = 0.0
        var sumY = 0.0
        var sumXX = 0.0
        var sumXY = 0.0
        for point in recent {
            let x = Double(point.time &- origin)
            let y = Double(point.offset &- base)
            sumX += x
            sumY += y
            sumXX += x * x
            sumXY += x * y
        }
        let n = Double(recent.count)
        let determinant = n * sumXX - sumX * sumX
        guard determinant > 0 else { return (origin, Double(base), 0) }
        let slope = ((n * sumXY - sumX * sumY) / determinant).clamped(to: -0.001...0.001)
        return (origin, Double(base) + (sumY - slope * sumX) / n, slope)
    }
}
