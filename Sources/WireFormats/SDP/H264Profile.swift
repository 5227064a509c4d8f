// The profile families of H.264 as `profile-level-id` names them (RFC 6184 section 8.1, table 5).

package enum H264Profile: Sendable, Hashable {
    case constrainedBaseline, baseline, main, extended, high, constrainedHigh, predictiveHigh444

    /// From the six hexadecimal digits of `profile-level-id`; nil for text that is none or a profile without a name here.
    package init?(profileLevelID text: some StringProtocol) {
        guard text.utf8.count == 6, let value = UInt32(String(text), radix: 16) else { return nil }
        let profile = UInt8(truncatingIfNeeded: value >> 16)
        let constraints = UInt8(truncatingIfNeeded: value >> 8)
        // constraint_set0 … set5 are the upper six bits; a set flag promises the limits of that profile as well.
        let set0 = constraints & 0x80 != 0
        let set1 = constraints & 0x40 != 0
        switch profile {
        case 0x42: self = set1 ? .constrainedBaseline : .baseline
        case 0x4D: self = set0 ? .constrainedBaseline : .main
        case 0x58: self = set1 ? (set0 ? .constrainedBaseline : .extended) : (set0 ? .baseline : .extended)
        case 0x64: self = constraints & 0x0C == 0x0C ? .constrainedHigh : .high
        case 0xF4: self = .predictiveHigh444
        default: return nil
        }
    }
}
