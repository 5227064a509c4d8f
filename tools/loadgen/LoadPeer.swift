// One synthetic participant on a socket of its own: connectivity checks, DTLS, and SRTP both ways.
import Forwarding
import Glibc
import MediaEngine
import PeerTransport
import WireFormats

import struct PeerTransport.CertificateFingerprint

struct LoadFault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What all participants measure together. Belongs to the loop's thread.
final class Meters {
    /// Between being encrypted by a sender and being taken by the receiver's socket.
    var paced = Histogram()
    var unpaced = Histogram()
    var sound = Histogram()
    /// Packets that were over a second on their way; none is expected.
    var old: UInt64 = 0
    var damaged: UInt64 = 0
    var checked: UInt64 = 0
    /// How late the load itself was with what it had to send.
    var lateness = Histogram()
    var isOn = false

    func clear() {
        paced = Histogram()
        unpaced = Histogram()
        sound = Histogram()
        lateness = Histogram()
        old = 0
        damaged = 0
        checked = 0
    }
}

/// Used by the loop's thread only, once it has been handed over.
final class LoadPeer {
    enum State { case idle, connecting, connected, failed(String) }

    let name: String
    let socket: DatagramSocket
    let server: SocketAddress
    let usesFeedback: Bool
    var queue: SendQueue
    var transport: PeerTransport
    var videos: [VideoSource]
    var audios: [AudioSource]
    let received: UnsafeMutableBufferPointer<ReceivedStream>
    var bySSRC = IntegerTable()
    var arrivals = ArrivalLog()
    var state = State.idle
    var isSending = false
    var isMeasured = true
    /// The last protected packets as they were sent, for those who send them again.
    var keepsCopies = false
    var copies: [[UInt8]] = []
    /// When the participant began to join, before any signalling.
    var joinedAt: UInt64 = 0
    var connectedAt: UInt64?
    var feedbackSent: UInt64 = 0
    var negativeAcknowledgementsReceived: UInt64 = 0
    var unknownSources: UInt64 = 0
    var transportSequence: UInt16 = 1
    var sequences: [UInt16] = []
    var report = ArrivalLog.Report()
    var reportBlocks: [ReportBlock] = []
    let reportingSSRC: UInt32

    private let local: ICECredentials
    private let remote: ICECredentials
    private let path: PathID = 1
    private var transaction: UInt64 = 0
    /// Filled once with noise; descriptors and trailers are written over it.
    private let payload = UnsafeMutableRawBufferPointer.allocate(byteCount: 2048, alignment: 64)
    let control = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 64)

    init(
        name: String, answer: Answer, local: ICECredentials, certificate: DTLSCertificate, offer: Offer
    ) throws {
        self.name = name
        self.local = local
        server = answer.server
        remote = answer.credentials
        usesFeedback = offer.usesFeedback
        videos = offer.videos
        audios = offer.audios
        let streams = answer.streams
        received = .allocate(capacity: streams.count)
        _ = received.initialize(from: streams)
        for (index, stream) in streams.enumerated() {
            bySSRC.set(UInt64(stream.ssrc), to: Int32(index * 2))
            if let repair = stream.repairSSRC { bySSRC.set(UInt64(repair), to: Int32(index * 2 + 1)) }
        }
        var random = SplitMix64(state: UInt64.random(in: .min ... .max))
        for index in stride(from: 0, to: payload.count, by: 8) {
            payload.storeBytes(of: random.next(), toByteOffset: index, as: UInt64.self)
        }
        reportingSSRC = offer.videos.first?.ssrc ?? offer.audios.first?.ssrc ?? 1
        let configuration = PeerTransportConfiguration(
            local: local, remote: answer.credentials, remoteFingerprint: answer.fingerprint, role: .active,
            certificate: certificate)
        let socket = try DatagramSocket(binding: .loopback4(port: 0))
        queue = SendQueue(socket: socket, messages: 32, slabBytes: 128 << 10)
        self.socket = socket
        transport = try PeerTransport(now: MonotonicClock.now(), configuration: configuration)
        for index in videos.indices {
            videos[index].slot = transport.addSendStream(ssrc: videos[index].ssrc)
            videos[index].repairSlot = transport.addSendStream(ssrc: videos[index].repairSSRC)
        }
        for index in audios.indices { audios[index].slot = transport.addSendStream(ssrc: audios[index].ssrc) }
    }

    deinit {
        received.deinitialize()
        received.deallocate()
        payload.deallocate()
        control.deallocate()
    }

    var isConnected: Bool { if case .connected = state { true } else { false } }

    // MARK: - Joining

    func beginHandshake(now: UInt64) {
        state = .connecting
        // Our transport is lite like the server's: it is shown the check that a full agent would have got.
        var opening = check(to: local, from: remote)
        opening.withUnsafeMutableBytes { hand($0, now: now) }
        sendCheck()
        sendHandshake()
    }

    func continueHandshake(now: UInt64) {
        guard case .connecting = state else { return }
        transport.handleTimeout(now: now)
        // Until something comes back the check may have been lost.
        sendCheck()
        sendHandshake()
        follow(now: now)
    }

    private func hand(_ datagram: UnsafeMutableRawBufferPointer, now: UInt64) {
        _ = transport.receive(
            now: now, datagram: datagram, from: path, address: TransportAddress(ipv4: 0x7F00_0001, port: server.port))
    }

    private func follow(now: UInt64) {
        switch transport.state {
        case .connected:
            guard !isConnected else { return }
            state = .connected
            connectedAt = now
        case .failed(let failure): state = .failed("\(failure)")
        case .closed: state = .failed("closed")
        case .new, .connecting: break
        }
    }

    private func sendHandshake() {
        while let (_, bytes) = transport.nextTransmit() {
            // Our transport's answer to the check we made up is for nobody.
            if bytes.withUnsafeBytes({ DatagramKind.classify($0) }) == .dtls { send(bytes) }
        }
        queue.flush()
    }

    func sendCheck() {
        send(check(to: remote, from: local))
        queue.flush()
    }

    func send(_ bytes: [UInt8]) {
        guard let space = queue.reserve(server, bytes.count) else { return }
        space.copyBytes(from: bytes)
        queue.commit(bytes.count)
    }

    func close() {
        transport.close()
        sendHandshake()
    }

    private func check(to receiver: ICECredentials, from sender: ICECredentials) -> [UInt8] {
        transaction += 1
        var builder = STUNBuilder(
            .request,
            transactionID: STUN.TransactionID(high: UInt32(socket.localAddress.port), low: transaction))
        builder.add(username: "\(receiver.ufrag):\(sender.ufrag)")
        builder.add(priority: 0x6E00_1EFF)
        builder.add(iceControlling: 1)
        builder.addUseCandidate()
        builder.addIntegrity(key: HMACSHA1(key: receiver.password))
        builder.addFingerprint()
        return builder.finish()
    }

    // MARK: - Sending media

    func sendVideo(_ index: Int, now: UInt64) {
        videos[index].advance(now: now)
        var budget = videos[index].beginSlot(now: now)
        while budget > 0, let made = videos[index].nextPacket() {
            budget -= write(index, made, repairing: nil, now: now)
        }
        videos[index].endSlot(now: now)
        queue.flush()
    }

    /// Answers with the datagram's length.
    private func write(_ index: Int, _ made: VideoSource.Made, repairing under: UInt16?, now: UInt64) -> Int {
        guard let room = queue.reserve(server, Wire.largestDatagram + 64) else { return Wire.largestDatagram }
        let isRepair = under != nil
        var writer = RTPHeaderWriter(
            into: room, payloadType: isRepair ? Wire.videoRepair : Wire.video, marker: made.isLast,
            sequence: under ?? made.sequence, timestamp: made.timestamp,
            ssrc: isRepair ? videos[index].repairSSRC : videos[index].ssrc)
        writer.beginExtensions(twoByte: false)
        addCommon(&writer, now: now)
        if videos[index].introducesItself || isRepair {
            append(videos[index].mid, id: Wire.mid, to: &writer)
            if let rid = videos[index].shape.rid {
                append(rid, id: isRepair ? Wire.repairedRid : Wire.rid, to: &writer)
            }
        }
        let headerLength = writer.finish()
        let original = isRepair ? 2 : 0
        let body = UnsafeMutableRawBufferPointer(rebasing: payload[8..<(8 + made.payload)])
        videos[index].writePayload(body, made)
        if isRepair { payload.storeBytes(of: made.sequence.bigEndian, toByteOffset: 6, as: UInt16.self) }
        let length = transport.protectRTP(
            slot: isRepair ? videos[index].repairSlot : videos[index].slot, destination: room,
            headerLength: headerLength,
            payload: UnsafeRawBufferPointer(rebasing: payload[(8 - original)..<(8 + made.payload)]))
        if keepsCopies, length > 0 {
            let copy = Array(UnsafeRawBufferPointer(rebasing: room[..<length]))
            if copies.count < 256 { copies.append(copy) } else { copies[Int(made.number & 255)] = copy }
        }
        queue.commit(length)
        return length
    }

    private func addCommon(_ writer: inout RTPHeaderWriter, now: UInt64) {
        if let place = writer.reserve(id: Wire.transportSequence, length: 2) {
            place.storeBytes(of: transportSequence.bigEndian, as: UInt16.self)
            transportSequence &+= 1
        }
        if let place = writer.reserve(id: Wire.captureTime, length: 8) { place.storeBytes(of: now, as: UInt64.self) }
    }

    private func append(_ text: String, id: UInt8, to writer: inout RTPHeaderWriter) {
        var text = text
        text.withUTF8 { writer.append(id: id, bytes: UnsafeRawBufferPointer($0)) }
    }

    func sendAudio(_ index: Int, now: UInt64) {
        let level = audios[index].advance(now: now)
        guard let room = queue.reserve(server, 400) else { return }
        var writer = RTPHeaderWriter(
            into: room, payloadType: Wire.audio, marker: false, sequence: audios[index].sequence,
            timestamp: audios[index].timestamp, ssrc: audios[index].ssrc)
        writer.beginExtensions(twoByte: false)
        addCommon(&writer, now: now)
        if let place = writer.reserve(id: Wire.level, length: 1) {
            place.storeBytes(of: (level < 50 ? 0x80 : 0) | level, as: UInt8.self)
        }
        if audios[index].packets < 100 { append(audios[index].mid, id: Wire.mid, to: &writer) }
        let headerLength = writer.finish()
        let body = UnsafeMutableRawBufferPointer(rebasing: payload[8..<(8 + AudioSource.payload)])
        Wire.stampTrailer(body, number: audios[index].packets)
        queue.commit(
            transport.protectRTP(
                slot: audios[index].slot, destination: room, headerLength: headerLength,
                payload: UnsafeRawBufferPointer(body)))
        queue.flush()
    }

    // MARK: - Receiving

    func receive(_ batch: borrowing ReceiveBatch, _ meters: Meters, now: UInt64) {
        for index in 0..<batch.count {
            let message = batch[index]
            var offset = 0
            while offset < message.length {
                let length = min(message.segmentSize, message.length - offset)
                let datagram = UnsafeMutableRawBufferPointer(start: message.base + offset, count: length)
                offset += length
                switch DatagramKind.classify(UnsafeRawBufferPointer(datagram)) {
                case .rtp: receiveMedia(datagram, meters, arrival: message.arrival)
                case .rtcp: receiveControl(datagram, now: now)
                case .dtls:
                    hand(datagram, now: now)
                    sendHandshake()
                    follow(now: now)
                case .stun, .unknown: break
                }
            }
        }
    }

    @inline(__always)
    private func receiveMedia(_ packet: UnsafeMutableRawBufferPointer, _ meters: Meters, arrival: UInt64) {
        let bytes = UnsafeRawBufferPointer(packet)
        guard let header = RTPHeader(bytes), let found = bySSRC.find(UInt64(header.ssrc)) else {
            unknownSources &+= 1
            return
        }
        var sent: UInt64 = 0
        var elements = HeaderExtensionElements(header, in: bytes)
        while let element = elements.next() {
            if element.id == Wire.transportSequence, element.length == 2 {
                if usesFeedback {
                    arrivals.record(
                        UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: element.offset, as: UInt16.self)),
                        arrival: arrival)
                }
            } else if element.id == Wire.captureTime, element.length == 8 {
                sent = bytes.loadUnaligned(fromByteOffset: element.offset, as: UInt64.self)
            }
        }
        let stream = received.baseAddress.unsafelyUnwrapped + Int(found >> 1)
        guard found & 1 == 0 else { return receiveRepair(packet, header, stream) }
        stream.pointee.note(sequence: header.sequence, bytes: packet.count, now: arrival)
        if meters.isOn, isMeasured, sent > 0 { measure(arrival > sent ? arrival &- sent : 0, stream, meters) }
        if stream.pointee.wantsDecryption() { decrypt(packet, header, stream, meters, now: arrival) }
    }

    @inline(__always)
    private func measure(_ transit: UInt64, _ stream: UnsafeMutablePointer<ReceivedStream>, _ meters: Meters) {
        if transit > 1_000_000_000 {
            meters.old &+= 1
        } else if !stream.pointee.isVideo {
            meters.sound.record(transit)
        } else if usesFeedback {
            meters.paced.record(transit)
        } else {
            meters.unpaced.record(transit)
        }
    }

    private func decrypt(
        _ packet: UnsafeMutableRawBufferPointer, _ header: RTPHeader, _ stream: UnsafeMutablePointer<ReceivedStream>,
        _ meters: Meters, now: UInt64
    ) {
        let length = transport.unprotectRTP(packet)
        meters.checked &+= 1
        guard length > header.headerLength else {
            if length != PacketFailure.replayed { meters.damaged &+= 1 }
            return
        }
        let payload = UnsafeRawBufferPointer(rebasing: packet[header.headerLength..<length])
        guard Wire.isIntact(payload) else {
            meters.damaged &+= 1
            return
        }
        guard stream.pointee.isVideo else { return }
        let startsKeyFrame = payload.count > 5 && payload[0] & 0x10 != 0 && payload[4] & 1 == 0
        stream.pointee.follow(
            sequence: header.sequence, startsKeyFrame: startsKeyFrame, marker: header.marker, now: now)
    }

    /// RFC 4588. Most are probes: only one that may fill a gap is worth reading.
    private func receiveRepair(
        _ packet: UnsafeMutableRawBufferPointer, _ header: RTPHeader, _ stream: UnsafeMutablePointer<ReceivedStream>
    ) {
        stream.pointee.repairPackets &+= 1
        guard !stream.pointee.missing.isEmpty else { return }
        let length = transport.unprotectRTP(packet)
        guard length >= header.headerLength + 2 else { return }
        stream.pointee.noteRepair(
            of: UnsafeRawBufferPointer(packet).loadUnaligned(
                fromByteOffset: header.headerLength, as: UInt16.self
            ).bigEndian)
    }

    private func receiveControl(_ datagram: UnsafeMutableRawBufferPointer, now: UInt64) {
        let length = transport.unprotectRTCP(datagram)
        guard length > 0 else { return }
        var packets = RTCPPackets(UnsafeRawBufferPointer(start: datagram.baseAddress, count: length))
        while let packet = packets.next() {
            switch packet.message {
            case .pictureLoss(let loss):
                for index in videos.indices where videos[index].ssrc == loss.media { videos[index].requestKeyFrame() }
            case .fullIntraRequest(let request):
                for entry in request.entries {
                    for index in videos.indices where videos[index].ssrc == entry.ssrc {
                        videos[index].requestKeyFrame(fullIntra: entry.sequence)
                    }
                }
            case .negativeAcknowledgement(let missing):
                negativeAcknowledgementsReceived &+= 1
                for index in videos.indices where videos[index].ssrc == missing.media {
                    for sequence in missing.sequences {
                        guard let (made, under) = videos[index].repair(sequence) else { continue }
                        _ = write(index, made, repairing: under, now: now)
                    }
                }
                queue.flush()
            case .senderReport(let report):
                guard let found = bySSRC.find(UInt64(report.ssrc)), found & 1 == 0 else { continue }
                received[Int(found >> 1)].lastSenderReport = UInt32(truncatingIfNeeded: report.ntp >> 16)
                received[Int(found >> 1)].senderReportAt = now
            default: break
            }
        }
    }
}
