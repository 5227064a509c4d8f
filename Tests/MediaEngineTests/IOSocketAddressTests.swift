// Addresses as values, and what the host says of itself.
import MediaEngine
import Testing

@Suite("SocketAddress")
struct IOSocketAddressTests {
    @Test(
        "an address parses, prints and parses again",
        arguments: ["192.0.2.1", "0.0.0.0", "255.255.255.255", "::1", "2001:db8::5", "fd00:1:2:3:4:5:6:7"])
    func roundTrip(text: String) throws {
        let address = try #require(SocketAddress(text, port: 4711))
        #expect(address.host == text)
        #expect(address.port == 4711)
        #expect(SocketAddress(address.host, port: 4711) == address)
    }

    @Test("an IPv4 address inside IPv6 is the IPv4 address")
    func mapped() throws {
        let mapped = try #require(SocketAddress("::ffff:192.0.2.1", port: 9))
        #expect(mapped == SocketAddress("192.0.2.1", port: 9))
        #expect(mapped.description == "192.0.2.1:9")
        #expect(SocketAddress("[2001:db8::1]", port: 9)?.description == "[2001:db8::1]:9")
    }

    @Test(
        "names and halves of addresses are refused", arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "[::1"])
    func refused(text: String) {
        #expect(SocketAddress(text, port: 1) == nil)
    }

    @Test("loopback and link-local are recognised")
    func scopes() throws {
        #expect(try #require(SocketAddress("127.3.2.1", port: 0)).isLoopback)
        #expect(try #require(SocketAddress("::1", port: 0)).isLoopback)
        #expect(try #require(SocketAddress("fe80::1", port: 0)).isLinkLocal)
        #expect(try #require(SocketAddress("febf::1", port: 0)).isLinkLocal)
        #expect(try !#require(SocketAddress("fec0::1", port: 0)).isLinkLocal)
        #expect(try #require(SocketAddress("169.254.9.9", port: 0)).isLinkLocal)
        #expect(try !#require(SocketAddress("10.0.0.1", port: 0)).isLoopback)
    }

    @Test("the host offers loopback last and nothing link-local")
    func host() {
        let addresses = hostAddresses()
        #expect(addresses.contains(.loopback4(port: 0)))
        #expect(!addresses.contains { $0.isLinkLocal })
        #expect(Set(addresses).count == addresses.count)
        let firstLoopback = addresses.firstIndex { $0.isLoopback } ?? addresses.endIndex
        #expect(addresses[firstLoopback...].allSatisfy { $0.isLoopback })
    }
}
