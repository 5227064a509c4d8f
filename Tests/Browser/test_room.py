"""Rooms in real browsers: everyone sees everyone, through loss and through TCP."""

from rooms import KEEP_SOCKETS, close, enter, pictures, relayed, share_screen, wait_for


def test_three_windows_with_camera_and_screen_all_see_each_other_move(browser, server):
    pages = [enter(browser, server, "three", f"Dr {role}", role) for role in ("chair", "presenter", "expert")]
    for page in pages:
        share_screen(page)
    names = [f"p{number}/{stream}" for number in (1, 2, 3) for stream in ("camera", "screen")]
    for page in pages:
        me = page.evaluate("consilium.self.participant ?? consilium.self")
        others = {name for name in names if not name.startswith(f"{me}/")}
        assert len(others) == 4
        pictures(page, others, seconds=60)
        sounds = page.evaluate("consilium.media.sounds.map((sound) => `${sound.participant}/${sound.stream}`)")
        assert {f"p{n}/microphone" for n in (1, 2, 3) if f"p{n}" != me} <= set(sounds)
    close(*pages)


def test_with_two_percent_loss_the_pictures_still_move(browser, server):
    with relayed(server, loss=2) as relay:
        sender = enter(browser, server, "loss", "Dr A", "chair", script=relay.script)
        viewer = enter(browser, server, "loss", "Dr B", "expert", script=relay.script)
        for _ in range(3):
            pictures(viewer, {"p1/camera"})
            pictures(sender, {"p2/camera"})
        status = relay.tell("status")
        lost = status["up"]["counters"]["lost"] + status["down"]["counters"]["lost"]
        assert lost > 10, f"the relay lost nothing, so nothing was shown: {status}"
        close(sender, viewer)


def test_a_browser_without_udp_joins_by_tcp(browser, launch, server):
    # Without a proxy this policy leaves only TCP, as behind a firewall that drops all UDP.
    walled = launch("--webrtc-ip-handling-policy=disable_non_proxied_udp")
    inside = enter(walled, server, "tcp", "Dr Inside", "chair")
    outside = enter(browser, server, "tcp", "Dr Outside", "expert")
    pictures(inside, {"p2/camera"})
    pictures(outside, {"p1/camera"})
    protocol = inside.evaluate("""async () => {
        const report = [...(await consilium.media.peer.getStats()).values()];
        const pair = report.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded");
        return report.find((entry) => entry.id === pair.localCandidateId).protocol;
    }""")
    assert protocol == "tcp"
    close(inside, outside)


def test_who_reloads_the_page_leaves_no_ghost_behind(browser, server):
    page = enter(browser, server, "reload", "Dr A", "chair")
    page.reload()
    page.click("#join")
    wait_for(page, "window.consilium?.view && consilium.media.state === 'connected'", 20)
    people = page.evaluate("Object.entries(consilium.state.participants).filter(([, p]) => p.status === 'present').length")
    assert people == 1
    close(page)


def test_a_broken_connection_resumes_with_the_same_peer_connection(browser, server):
    chair = enter(browser, server, "resume", "Dr A", "chair")
    expert = enter(browser, server, "resume", "Dr B", "expert", script=KEEP_SOCKETS)
    pictures(expert, {"p1/camera"})
    expert.evaluate("() => { window.peerBefore = consilium.media.peer; for (const socket of window.sockets) socket.close(); }")
    wait_for(chair, "consilium.state.participants.p2?.status === 'disconnected'", 5)
    chair.evaluate("consilium.call.perform('chat.send', { text: 'said while you were away' })")
    wait_for(expert, "consilium.state.chat.some((line) => line.text === 'said while you were away')", 20)
    assert expert.evaluate("consilium.media.peer === window.peerBefore && consilium.media.state === 'connected'")
    pictures(expert, {"p1/camera"})
    close(chair, expert)
