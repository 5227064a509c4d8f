// What a participant says of what it receives and sends: transport feedback, NACK, PLI, reports.
import Forwarding
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

extension LoadPeer {
    /// Browsers send it every 50 to 100 ms.
    static let feedbackInterval: UInt64 = 50_000_000
    static let reportInterval: UInt64 = 1_000_000_000
    static let checkInterval: UInt64 = 2_500_000_000
    /// A browser that gets packets and no picture asks this often.
    private static let pictureLossInterval: UInt64 = 200_000_000

    func sendFeedback(now: UInt64) {
        guard isConnected, !received.isEmpty else { return }
        if usesFeedback { sendTransportFeedback() }
        for index in received.indices {
            requestRepairs(index, now: now)
            requestPicture(index, now: now)
        }
        queue.flush()
    }

    private func sendTransportFeedback() {
        while arrivals.collect(into: &report) {
            var writer = RTCPWriter(control)
            let told = writer.transportFeedback(
                sender: reportingSSRC, media: received[0].ssrc, baseSequence: report.baseSequence,
                feedbackCount: report.feedbackCount, arrivals: report.arrivals.span)
            arrivals.confirm(report, told: told)
            guard told > 0 else { return }
            feedbackSent &+= 1
            sendControl(writer)
        }
    }

    private func requestRepairs(_ index: Int, now: UInt64) {
        guard !received[index].missing.isEmpty, received[index].repairSSRC != nil else { return }
        sequences.removeAll(keepingCapacity: true)
        received[index].takeDueRequests(now: now, into: &sequences)
        guard !sequences.isEmpty else { return }
        var writer = RTCPWriter(control)
        writer.negativeAcknowledgement(sender: reportingSSRC, media: received[index].ssrc, sequences: sequences)
        sendControl(writer)
    }

    private func requestPicture(_ index: Int, now: UInt64) {
        let stream = received[index]
        guard stream.isVideo, stream.packets > 0, stream.firstKeyFrameAt == nil else { return }
        // While a key frame is coming in, a browser waits for the rest of it.
        guard now &- stream.keyFramePacketAt > LoadPeer.pictureLossInterval else { return }
        if stream.pictureLossDue == 0 {
            received[index].pictureLossDue = now &+ LoadPeer.pictureLossInterval
        } else if now >= stream.pictureLossDue {
            received[index].pictureLossDue = now &+ LoadPeer.pictureLossInterval
            var writer = RTCPWriter(control)
            writer.pictureLoss(sender: reportingSSRC, media: stream.ssrc)
            sendControl(writer)
        }
    }

    func sendReports(now: UInt64) {
        guard isConnected else { return }
        let ntp = LoadPeer.ntp()
        for video in videos where video.packets > 0 {
            var writer = RTCPWriter(control)
            writer.senderReport(
                ssrc: video.ssrc, ntp: ntp, rtp: video.lastTimestamp,
                packetCount: UInt32(truncatingIfNeeded: video.packets),
                octetCount: UInt32(truncatingIfNeeded: video.bytes))
            writer.sourceDescription(ssrc: video.ssrc, cname: Array(name.utf8))
            sendControl(writer)
        }
        for audio in audios where audio.packets > 0 {
            var writer = RTCPWriter(control)
            writer.senderReport(
                ssrc: audio.ssrc, ntp: ntp, rtp: audio.timestamp,
                packetCount: UInt32(truncatingIfNeeded: audio.packets),
                octetCount: UInt32(truncatingIfNeeded: audio.packets) &* UInt32(AudioSource.payload))
            writer.sourceDescription(ssrc: audio.ssrc, cname: Array(name.utf8))
            sendControl(writer)
        }
        reportBlocks.removeAll(keepingCapacity: true)
        for stream in received where stream.packets > 0 {
            let delay = stream.senderReportAt == 0 ? 0 : (now &- stream.senderReportAt) * 65_536 / 1_000_000_000
            reportBlocks.append(
                ReportBlock(
                    ssrc: stream.ssrc, fractionLost: 0, cumulativeLost: Int32(clamping: stream.lost),
                    highestSequence: stream.highest, jitter: 90, lastSenderReport: stream.lastSenderReport,
                    delaySinceLastSenderReport: UInt32(truncatingIfNeeded: delay)))
            if reportBlocks.count == 31 { flushReports() }
        }
        flushReports()
        queue.flush()
    }

    private func flushReports() {
        guard !reportBlocks.isEmpty else { return }
        var writer = RTCPWriter(control)
        writer.receiverReport(ssrc: reportingSSRC, reports: reportBlocks)
        sendControl(writer)
        reportBlocks.removeAll(keepingCapacity: true)
    }

    private func sendControl(_ writer: RTCPWriter) {
        let length = transport.protectRTCP(control, length: writer.count)
        guard length > 0, let room = queue.reserve(server, length) else { return }
        room.copyMemory(from: UnsafeRawBufferPointer(rebasing: control[..<length]))
        queue.commit(length)
    }

    private static func ntp() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let seconds = UInt64(clamping: time.tv_sec) &+ 2_208_988_800
        return seconds << 32 | (UInt64(clamping: time.tv_nsec) << 32) / 1_000_000_000
    }
}
