// Fuzzes the STUN parser, the look at USERNAME and the checks of integrity and fingerprint.
import WireFormats

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ testOneInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// SwiftPM calls the entry point of an executable by its module's name.
@_cdecl("fuzz_stun_main")
public func fuzzStunMain(
    _ argumentCount: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> Int32 {
    var argumentCount = argumentCount
    var arguments = arguments
    return runDriver(&argumentCount, &arguments, testOneInput)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let datagram = UnsafeRawBufferPointer(start: bytes, count: count)
    _ = DatagramKind.classify(datagram)
    let ufrag = STUN.localUfrag(of: datagram)
    guard let message = try? STUNMessage(parsing: datagram) else { return 0 }
    _ = message.hasValidIntegrity(in: datagram, key: HMACSHA1(key: "VOkJxbRl1RmTxUk/WvJxBt"))
    _ = message.hasValidFingerprint(in: datagram)
    for range in [message.username, message.software] {
        if let range { precondition(range.upperBound <= count, "a range beyond the datagram") }
    }
    // What the peek sees in a request is what the parser sees, unless USERNAME comes late or twice.
    if let ufrag, let username = message.username, message.integrityOffset == nil {
        precondition(ufrag.count < username.count, "the fragment is longer than the name")
    }
    return 0
}
