// What a server at its limit says: to a page by a notice, to an encoder by 503, and in its metrics.
import Foundation
import Gateway
import MediaEngine
import Rooms
import Testing

@Suite("A server at its limit") struct ServerOverloadTests {
    @Test("tells a page in words which cameras it does not take, answers an encoder 503, and takes what is clinical")
    func refuses() async throws {
        let change = { (configuration: inout ServiceConfiguration) in
            configuration.media = MediaEngineConfiguration(bindAddress: "127.0.0.1", stress: StressLimits())
            configuration.media.loadReading = { _ in 0.88 }
        }
        try await TestService.run(change) { service, _ in
            let end = ContinuousClock.now + .seconds(10)
            while await service.media.statistics().workers[0].stress != .refusesFaces {
                try #require(ContinuousClock.now < end)
                try await Task.sleep(for: .milliseconds(50))
            }
            let chair = try TestService.token(.chair)
            try await blocking {
                let page = try PageClient.joined(service.port, chair)
                let reply = try page.request([
                    "do": "negotiate", "sdp": TestOffer.sdp(),
                    "streams": [
                        ["mid": "0", "stream": "microphone", "role": "audio", "label": "", "muted": false],
                        ["mid": "1", "stream": "camera", "role": "camera", "label": "", "muted": false],
                    ],
                ])
                let published = reply.ok?["published"] as? [[String: Any]]
                #expect(published?.compactMap { $0["stream"] as? String } == ["microphone"])
                let notice = try page.notice("media.refused")
                #expect(notice["sent"] as? [String] == ["camera"])
                #expect((notice["received"] as? [Any])?.isEmpty == true)
                #expect((notice["message"] as? String)?.contains("at its limit") == true)
            }
            let device = try TestService.token(.device)
            func post(_ path: String) async throws -> RawResponse {
                try await RawClient.request(
                    port: service.port, "POST", path,
                    headers: ["Authorization": "Bearer \(device)", "Content-Type": "application/sdp"],
                    body: Array(TestOffer.sdp().utf8))
            }
            let refused = try await post("/whip/board/corner/picture?role=camera")
            #expect(refused.status == 503)
            #expect(refused.text.contains("overloaded") && refused.text.contains("at its limit"))
            let taken = try await post("/whip/board/or-2/field?role=surgicalField")
            #expect(taken.status == 201, "\(taken.text)")
            let metrics = try await RawClient.request(port: service.port, "GET", "/metrics").text
            #expect(metrics.contains("consilium_worker_stress{worker=\"0\"} 1\n"))
            #expect(metrics.contains("consilium_worker_load_percent{worker=\"0\"} 88\n"))
            #expect(metrics.contains("consilium_worker_cameras_refused_total{worker=\"0\"} 2\n"))
        }
    }
}
