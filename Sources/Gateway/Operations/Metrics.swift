// The counters of the whole process in the text form that Prometheus reads.
package import MediaEngine

package struct MetricsText: Sendable {
    private var lines: [String] = []

    package init() {}

    package var text: String { lines.joined(separator: "\n") + "\n" }

    private mutating func add(
        _ name: String, _ help: String, _ type: String, _ values: [(labels: String, value: String)]
    ) {
        lines.append("# HELP consilium_\(name) \(help)")
        lines.append("# TYPE consilium_\(name) \(type)")
        for (labels, value) in values { lines.append("consilium_\(name)\(labels) \(value)") }
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        add(name, help, "gauge", [("", String(value))])
    }

    private mutating func counter(_ name: String, _ help: String, _ value: some BinaryInteger) {
        add(name, help, "counter", [("", String(value))])
    }

    package mutating func add(_ rooms: RoomHub.Counts) {
        gauge("rooms", "Rooms that are open now.", rooms.rooms)
        counter("rooms_opened_total", "Rooms opened since the start.", rooms.roomsOpened)
        gauge(
            "participants", "Participants in all rooms, devices and those who may still come back included.",
            rooms.members)
        gauge("recordings_running", "Rooms that are being recorded now.", rooms.recordings)
    }

    package mutating func add(_ server: HTTPServer.Counters) {
        counter("http_requests_total", "HTTP requests received.", server.requests)
        add(
            "http_responses_total", "HTTP answers by class of status.", "counter",
            (1...5).map { (#"{class="\#($0)xx"}"#, String(server.responsesByClass[$0])) })
        counter("http_body_bytes_sent_total", "Bytes of answers' bodies.", server.bytesSent)
        gauge("connections_open", "TCP connections that are open now.", server.openConnections)
        counter("connections_refused_total", "TCP connections refused because of a limit.", server.refusedConnections)
        gauge("websockets_open", "WebSockets that are open now.", server.openSockets)
        counter("websockets_opened_total", "WebSockets opened since the start.", server.socketsOpened)
        counter("websocket_messages_received_total", "Messages from pages.", server.socketMessagesReceived)
        counter("websocket_messages_sent_total", "Messages to pages.", server.socketMessagesSent)
    }

    package mutating func add(_ media: EngineStatistics) {
        gauge("media_peers", "Peers of the media engine.", media.peers)
        gauge("media_peers_connected", "Peers whose transport is up.", media.connectedPeers)
        gauge("media_tcp_connections", "ICE-TCP connections.", media.tcpConnections)
        counter("media_datagrams_received_total", "UDP datagrams received.", media.datagramsReceived)
        counter("media_bytes_received_total", "Bytes received in them.", media.bytesReceived)
        counter("media_datagrams_sent_total", "UDP datagrams sent.", media.datagramsSent)
        counter("media_bytes_sent_total", "Bytes sent in them.", media.bytesSent)
        counter("media_send_failures_total", "Datagrams the kernel did not take.", media.sendFailures)
        counter("media_packets_received_total", "RTP packets accepted.", media.packetsReceived)
        counter(
            "media_packets_forwarded_total", "RTP packets forwarded, once for every receiver.", media.packetsForwarded)
        counter("media_packets_retransmitted_total", "RTP packets sent again.", media.packetsRetransmitted)
        counter("media_nacks_sent_total", "NACKs sent to senders.", media.nacksSent)
        counter("media_nacks_received_total", "NACKs received from receivers.", media.nacksReceived)
        counter("media_key_frame_requests_sent_total", "Key frames asked of senders.", media.keyFrameRequestsSent)
        counter(
            "media_key_frame_requests_received_total", "Key frames asked by receivers.", media.keyFrameRequestsReceived)
        counter("media_queue_drops_total", "Packets given up because they had waited too long.", media.queueDrops)
        counter(
            "recorder_bytes_dropped_total", "Bytes the recorder's rings had no room for.", media.recorderBytesDropped)
        add(
            "media_refused_total", "Datagrams refused, by reason.", "counter",
            media.refused.sorted { $0.key < $1.key }.map { (#"{reason="\#(Self.label($0.key))"}"#, String($0.value)) })
        add(media.workers)
    }

    /// Figures of each worker, under its number.
    private mutating func add(_ workers: [WorkerStatistics]) {
        let figures: [(name: String, help: String, kind: String, value: (WorkerStatistics) -> Int)] = [
            (
                "worker_load_percent", "The busy share of the worker's thread in the last second.", "gauge",
                { Int($0.load * 100) }
            ),
            (
                "worker_loop_delay_microseconds", "How late the worker's loop comes to what is due.", "gauge",
                { Int($0.loopDelayMilliseconds * 1000) }
            ),
            (
                "worker_stress",
                "0: takes everything. 1: refuses new cameras. 2: sends cameras in their smallest layer.", "gauge",
                { Int(clamping: $0.stress.rawValue) }
            ),
            (
                "worker_rooms", "Rooms with a part on the worker.", "gauge",
                { Int(clamping: $0.rooms) }
            ),
            (
                "worker_peers", "Peers on the worker.", "gauge",
                { Int(clamping: $0.peers) }
            ),
            (
                "worker_cameras_refused_total", "Cameras that were not taken from a sender because of load.", "counter",
                { Int(clamping: $0.camerasRefusedFromSenders) }
            ),
            (
                "worker_cameras_withheld_total", "Cameras that were not sent to a receiver because of load.", "counter",
                { Int(clamping: $0.camerasRefusedToReceivers) }
            ),
            (
                "worker_thinned_total", "Times that cameras were thinned because of load.", "counter",
                { Int(clamping: $0.timesThinned) }
            ),
            (
                "worker_relayed_out_total", "Packets relayed to other workers, once for each.", "counter",
                { Int(clamping: $0.packetsRelayedOut) }
            ),
            (
                "worker_relayed_in_total", "Packets relayed from other workers.", "counter",
                { Int(clamping: $0.packetsRelayedIn) }
            ),
            (
                "worker_relay_dropped_total", "Packets that found no room in the ring to another worker.", "counter",
                { Int(clamping: $0.relayDrops) }
            ),
            (
                "worker_relay_waiting_bytes", "Bytes that wait in the rings from other workers.", "gauge",
                { Int(clamping: $0.relayBytesWaiting) }
            ),
        ]
        for figure in figures {
            add(
                figure.name, figure.help, figure.kind,
                workers.map { (#"{worker="\#($0.worker)"}"#, String(figure.value($0))) })
        }
    }

    package mutating func add(uptimeNanoseconds: UInt64) {
        gauge("uptime_seconds", "Seconds since the start.", Int(uptimeNanoseconds / 1_000_000_000))
    }

    private static func label(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: " ")
    }
}
