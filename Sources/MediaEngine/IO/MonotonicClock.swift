// The clock of the media core: nanoseconds of CLOCK_MONOTONIC.
import CLinux

package enum MonotonicClock {
    /// One read per batch of packets, never per packet.
    package static func now() -> UInt64 { clinux_monotonic_nanoseconds() }
}
