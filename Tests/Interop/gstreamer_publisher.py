"""Publishes H.264 by WHIP with GStreamer's webrtcbin: gstreamer_publisher.py ENDPOINT TOKEN. For Debian's own Python."""

import sys
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=25/1 ! videoconvert
  ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800
  ! video/x-h264,profile=constrained-baseline ! h264parse
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96
  ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! peer.
"""


class Publisher:
    def __init__(self, endpoint, token):
        self.endpoint = endpoint
        self.token = token
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.peer = self.pipeline.get_by_name("peer")
        self.peer.connect("on-negotiation-needed", self.negotiate)
        self.peer.connect("notify::ice-gathering-state", self.gathered)
        self.peer.connect("notify::connection-state", self.connected)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.failed)

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()

    def negotiate(self, peer):
        # The reply must be kept, else it is gone before it is used.
        self.promise = Gst.Promise.new_with_change_func(self.offered, None)
        peer.emit("create-offer", None, self.promise)

    def offered(self, promise, _):
        self.reply = promise.get_reply()
        self.offer = self.reply.get_value("offer")
        self.peer.emit("set-local-description", self.offer, Gst.Promise.new())

    def gathered(self, peer, _):
        if peer.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.send_offer)

    def send_offer(self):
        offer = self.peer.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(
            self.endpoint, offer.encode(), {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            print("refused", error.code, error.read().decode(), flush=True)
            self.loop.quit()
            return False
        _, sdp = GstSdp.SDPMessage.new_from_text(text.decode())
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.peer.emit("set-remote-description", description, Gst.Promise.new())
        return False

    def connected(self, peer, _):
        if peer.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            print("publishing", flush=True)

    def failed(self, _, message):
        print("failed", message.parse_error(), flush=True)
        self.loop.quit()


if __name__ == "__main__":
    Gst.init(None)
    Publisher(sys.argv[1], sys.argv[2]).run()
