// A value-of-interest window in modality units (PS3.3 C.11.2.1.2) and the formula that every renderer must match.

package struct Window: Codable, Sendable, Equatable {
    /// VOI LUT Function (0028,1056).
    package enum Function: String, Codable, Sendable {
        case linear = "LINEAR"
        case linearExact = "LINEAR_EXACT"
        case sigmoid = "SIGMOID"
    }

    package var center: Double
    package var width: Double
    package var function: Function
    package var explanation: String

    package init(center: Double, width: Double, function: Function = .linear, explanation: String = "") {
        self.center = center
        self.width = width
        self.function = function
        self.explanation = explanation
    }
}
