// PacketRing
