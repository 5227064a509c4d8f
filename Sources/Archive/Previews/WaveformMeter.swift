// Decodes Opus with libopus and keeps the loudest sample of every tenth of a second.

import COpus

/// One audio file's peaks; confined to one thread.
final class WaveformMeter {
    static let interval: Int64 = 100_000_000
    private static let sampleRate = 16_000
    /// Ten hours.
    private static let mostPeaks = 360_000

    /// Peaks from the recording's start on: 0 is silence, 255 full scale.
    private(set) var peaks: [UInt8] = []
    private let decoder: OpaquePointer
    private var samples = [Int16](repeating: 0, count: sampleRate * 120 / 1000)

    init?() {
        var error: Int32 = 0
        guard let decoder = opus_decoder_create(Int32(Self.sampleRate), 1, &error), error == OPUS_OK else { return nil }
        self.decoder = decoder
    }

    deinit { opus_decoder_destroy(decoder) }

    /// `time` is nanoseconds since the recording's start.
    func add(_ packet: UnsafeRawBufferPointer, time: Int64) {
        guard let data = packet.bindMemory(to: UInt8.self).baseAddress, time >= 0 else { return }
        let count = Int(opus_decode(decoder, data, Int32(clamping: packet.count), &samples, Int32(samples.count), 0))
        guard count > 0 else { return }
        guard time / Self.interval < Int64(Self.mostPeaks) else { return }
        for index in 0..<count {
            let moment = time + Int64(index) * 1_000_000_000 / Int64(Self.sampleRate)
            let slot = Int(moment / Self.interval)
            while peaks.count <= slot, slot < Self.mostPeaks { peaks.append(0) }
            guard slot < peaks.count else { break }
            let value = UInt8(clamping: Int(samples[index].magnitude) >> 7)
            if value > peaks[slot] { peaks[slot] = value }
        }
    }
}
