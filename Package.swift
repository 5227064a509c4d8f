// swift-tools-version: 6.2
import Foundation
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A shim target: a C header, a line of C, and the libraries it links. Nothing else sees a C macro.
func shim(_ name: String, link libraries: [String] = []) -> Target {
    .target(name: name, linkerSettings: libraries.map { .linkedLibrary($0) })
}

/// Intel's library is for x86-64; elsewhere its shim has nothing in it.
#if arch(x86_64)
    let ipsecMB = ["IPSec_MB"]
#else
    let ipsecMB: [String] = []
#endif

func room(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource] = []
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: strict)
}

/// `kept` are files beside the tests that are read in place.
func tests(_ name: String, _ dependencies: [Target.Dependency], kept: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: kept, swiftSettings: strict)
}

func tool(_ name: String, path: String, _ dependencies: [Target.Dependency], kept: [String] = []) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, exclude: kept, swiftSettings: strict)
}

let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

var targets: [Target] = [
    shim("CLinux"),
    shim("COpenSSL", link: ["ssl", "crypto"]),
    shim("CSRTP", link: ["srtp2"]),
    shim("CIPSecMB", link: ipsecMB),
    shim("COpus", link: ["opus"]),
    shim("CVPX", link: ["vpx"]),
    shim("CWebSockets", link: ["websockets", "uv"]),
    shim("CZlib", link: ["z"]),

    room("WireFormats"),
    room("PacketRing", ["CLinux"]),
    room("PeerTransport", ["WireFormats", "COpenSSL", "CSRTP", "CIPSecMB"]),
    room("Forwarding", ["WireFormats"], exclude: ["Audio/README.md", "Bandwidth/README.md"]),
    room(
        "MediaEngine", ["Forwarding", "PeerTransport", "WireFormats", "PacketRing", "CLinux"],
        exclude: ["Workers/README.md"]),
    room("Rooms"),
    room("Imaging", ["CZlib"], exclude: ["Pixels/FORMAT.md"]),
    room("Archive", ["WireFormats", "Rooms", "PacketRing", "COpenSSL", "COpus", "CVPX", "CZlib", grdb]),
    room("WebClient", resources: [.copy("pages")]),
    room(
        "Gateway",
        ["Rooms", "Archive", "Imaging", "MediaEngine", "PacketRing", "WebClient", "CWebSockets", "COpenSSL"]),
    .executableTarget(
        name: "consilium",
        dependencies: [
            "Gateway", "Rooms", "Archive", "Imaging", "MediaEngine", "WebClient", "PeerTransport", arguments, yams,
        ],
        swiftSettings: strict),

    tool("make-demo-data", path: "tools/make-demo-data", ["Imaging", arguments]),
    .target(
        name: "CForwardFloor", dependencies: ["CIPSecMB"], path: "tools/bench/CForwardFloor",
        linkerSettings: [.linkedLibrary("crypto"), .linkedLibrary("srtp2")]),
    tool(
        "bench-forward", path: "tools/bench/forward",
        ["CForwardFloor", "MediaEngine", "Forwarding", "PeerTransport", "WireFormats", "CLinux", arguments]),

    tool(
        "loadgen", path: "tools/loadgen",
        ["MediaEngine", "Forwarding", "PeerTransport", "WireFormats", "CLinux", arguments], kept: ["README.md"]),
    tool("bench-switching", path: "tools/bench/switching", ["ForwardingSimulation", arguments]),
    tool("bench-networks", path: "tools/bench/networks", ["ForwardingSimulation", arguments]),

    .target(
        name: "NetworkSimulator", path: "Tests/NetworkSimulator", swiftSettings: strict),
    tests("NetworkSimulatorTests", ["NetworkSimulator"]),
    tests("WireFormatsTests", ["WireFormats"]),
    tests("PacketRingTests", ["PacketRing"]),
    tests("PeerTransportTests", ["PeerTransport", "WireFormats", "NetworkSimulator", "COpenSSL", "CSRTP"]),
    // Whole worlds in virtual time, for tests and for the programs that run thousands of them.
    .target(
        name: "ForwardingSimulation", dependencies: ["Forwarding", "WireFormats", "NetworkSimulator"],
        path: "Tests/ForwardingSimulation", swiftSettings: strict),
    tests("ForwardingTests", ["Forwarding", "WireFormats", "NetworkSimulator", "ForwardingSimulation"]),
    // Stands before malloc in the test program and counts by thread.
    .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    tests(
        "MediaEngineTests",
        ["MediaEngine", "Forwarding", "PeerTransport", "WireFormats", "PacketRing", "CLinux", "AllocationCounter"]),
    tests("RoomsTests", ["Rooms"], kept: ["session-2026.ndjson"]),
    tests("ImagingTests", ["Imaging"]),
    // Synthetic participants, and a program that records them: the tests kill it.
    .target(
        name: "ArchiveWorkshop", dependencies: ["PacketRing", "CVPX", "COpus"], path: "Tests/ArchiveWorkshop",
        swiftSettings: strict),
    tool("archive-writer", path: "Tests/ArchiveWriter", ["Archive", "ArchiveWorkshop", "PacketRing"]),
    tests("ArchiveTests", ["Archive", "ArchiveWorkshop", "archive-writer", "PacketRing", "CVPX", "COpus", grdb]),
    tests("GatewayTests", ["Gateway", "Rooms", "WebClient"]),
    tests("consiliumTests", ["consilium"]),
]

// Fuzz targets need libFuzzer's flags on the whole build, so they exist only when asked for: tools/fuzz sets this.
if ProcessInfo.processInfo.environment["CONSILIUM_FUZZ"] != nil {
    let fuzzed: [(name: String, dependency: Target.Dependency)] = [
        ("stun", "WireFormats"), ("rtp", "WireFormats"), ("rtcp", "WireFormats"), ("sdp", "WireFormats"),
        ("payload", "WireFormats"), ("dicom", "Imaging"),
    ]
    targets += fuzzed.map { fuzz in
        .executableTarget(
            name: "fuzz-\(fuzz.name)", dependencies: [fuzz.dependency], path: "Tests/Fuzz/\(fuzz.name)",
            exclude: ["corpus"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])])
    }
}

let package = Package(
    name: "consilium",
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    ],
    targets: targets
)
