// Counters of several workers as one sum.
import Foundation
import Testing

@testable import MediaEngine

@Suite("Statistics")
struct StatisticsTests {
    @Test("every counter of another worker is added, rooms alone are not")
    func sum() throws {
        let names = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(EngineStatistics())) as? [String: Any]
        ).filter { $0.value is NSNumber }.keys
        #expect(names.count > 15)
        var ones: [String: Any] = ["refused": ["unknown": 1], "workers": [Any]()]
        for name in names { ones[name] = 1 }
        let one = try JSONDecoder().decode(EngineStatistics.self, from: JSONSerialization.data(withJSONObject: ones))
        var sum = one
        sum.add(one)
        let summed = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(sum)) as? [String: Any])
        for name in names { #expect(summed[name] as? Int == (name == "rooms" ? 1 : 2), "\(name)") }
        #expect(sum.refused["unknown"] == 2)
    }
}
