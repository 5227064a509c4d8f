// Maps one RTP stream's timestamps to the sender's wall clock by its RTCP sender reports, or to its arrival without them.

/// One SSRC's clock. The way goes RTP timestamp -> sender's clock (this type) -> session time (a `DelayFilter`, one per
/// sender, because all streams of a sender share its clock: that is what keeps sound and picture together).
struct StreamClock {
    private static let mostReports = 20
    private static let implausible: Double = 500_000_000

    let clockRate: Int64
    private var reports: [(rtp: Int64, ntp: Int64)] = []
    private var implausibleInARow = 0
    private var line: (rtp: Int64, ntp: Int64, nanosecondsPerTick: Double)?

    init(clockRate: UInt32) { self.clockRate = Int64(max(1, clockRate)) }

    var quality: SyncQuality {
        switch reports.count {
        case 0: .arrival
        case 1: .single
        default: .regression
        }
    }

    /// The stream's own time in nanoseconds, as if its clock were right.
    func nominal(_ timestamp: Int64) -> Int64 {
        let (seconds, rest) = timestamp.quotientAndRemainder(dividingBy: clockRate)
        return seconds &* 1_000_000_000 &+ rest &* 1_000_000_000 / clockRate
    }

    /// The sender's wall clock in nanoseconds, or nil before the first report.
    func senderTime(_ timestamp: Int64) -> Int64? {
        guard let line else { return nil }
        return line.ntp &+ Int64((Double(timestamp &- line.rtp) * line.nanosecondsPerTick).clamped(to: -9e18...9e18))
    }

    /// Takes a report in; false when it makes no sense beside the earlier ones and was left out.
    @discardableResult
    mutating func report(rtp: Int64, ntp: UInt64) -> Bool {
        guard ntp != 0 else { return false }
        let time = nanoseconds(ntp: ntp)
        if let last = reports.last, rtp <= last.rtp { return false }
        if let predicted = senderTime(rtp), abs(Double(predicted &- time)) > Self.implausible {
            implausibleInARow += 1
            guard implausibleInARow >= 3 else { return false }
            // The sender's clock was set: begin anew.
            reports.removeAll(keepingCapacity: true)
        }
        implausibleInARow = 0
        reports.append((rtp, time))
        if reports.count > Self.mostReports { reports.removeFirst() }
        fit()
        return true
    }

    /// A line through the reports. Below 5 s between the first and the last the nominal rate is the better slope; beyond
    /// 1000 ppm off it is the only credible one.
    private mutating func fit() {
        guard let last = reports.last, let first = reports.first else { return }
        let nominal = 1e9 / Double(clockRate)
        var slope = nominal
        var sumX = 0.0
        var sumY = 0.0
        for report in reports {
            sumX += Double(report.rtp &- last.rtp)
            sumY += Double(report.ntp &- last.ntp)
        }
        let n = Double(reports.count)
        if last.rtp &- first.rtp >= 5 &* clockRate, reports.count >= 3 {
            var sumXX = 0.0
            var sumXY = 0.0
            for report in reports {
                let x = Double(report.rtp &- last.rtp)
                sumXX += x * x
                sumXY += x * Double(report.ntp &- last.ntp)
            }
            let determinant = n * sumXX - sumX * sumX
            if determinant > 0 {
                let candidate = (n * sumXY - sumX * sumY) / determinant
                if abs(candidate / nominal - 1) < 0.001 { slope = candidate }
            }
        }
        line = (last.rtp, last.ntp &+ Int64((sumY - slope * sumX) / n), slope)
    }

    /// NTP's 32.32 seconds since 1900 in nanoseconds.
    private func nanoseconds(ntp: UInt64) -> Int64 {
        let seconds = Int64(ntp >> 32)
        let fraction = Int64(((ntp & 0xFFFF_FFFF) &* 1_000_000_000) >> 32)
        return seconds &* 1_000_000_000 &+ fraction
    }
}
