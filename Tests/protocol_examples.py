"""What a client of consilium.v1 may say, and what it may not and the server refuses by form alone."""

from protocol import DEFINITIONS, names

LONG = "é" * 4001
PATCH = {"image": {"sop": "1.2", "frame": 1}}
# By command, fields that are at fault.
BAD = {
    "join": [{}, {"token": 7}, {"token": "a" * 4097}, {"token": "a", "resume": {}},
             {"token": "a", "resume": {"session": "b", "seq": -1}}, {"token": "a", "resume": {"session": "b", "seq": "1"}}],
    "leave": [{"id": "7"}],
    "negotiate": [{}, {"sdp": 7}, {"sdp": "v=0", "streams": {}}]
    + [{"sdp": "v=0", "streams": [{"mid": "0", "stream": "camera", "role": "camera", **fault}]}
       for fault in ({"mid": ""}, {"mid": "m" * 33}, {"stream": "a b"}, {"stream": "s" * 65}, {"role": "vista"},
                     {"label": "l" * 101}, {"label": None}, {"muted": "no"})]
    + [{"sdp": "v=0", "streams": [{"mid": str(n), "stream": f"s{n}", "role": "camera"} for n in range(17)]},
       {"sdp": "v=0", "streams": [{"mid": "0", "role": "camera"}]}],
    "stream.mute": [{}, {"stream": "../x", "muted": True}, {"stream": "camera"}, {"stream": "camera", "muted": 1}],
    "participant.mute": [{}, {"participant": "p 1"}, {"participant": "p1", "stream": ""}],
    "participant.remove": [{}, {"participant": 3}, {"participant": "p1", "reason": "r" * 201}],
    "lobby.admit": [{}, {"participant": None}],
    "lobby.reject": [{}, {"participant": "p1", "reason": 7}],
    "hand.raise": [{"id": -1}],
    "hand.lower": [{"participant": "p/1"}],
    "floor.take": [{"id": 1.5}],
    "floor.give": [{}, {"participant": ""}],
    "floor.release": [{"id": None}],
    "chat.send": [{}, {"text": 7}, {"text": ""}, {"text": " \n\t"}, {"text": LONG}],
    "spotlight.set": [{}, {"participant": "p1"}, {"stream": "camera"}, {"participant": "p1", "stream": "caméra"}],
    "spotlight.clear": [{"id": 2**53 + 1}],
    "recording.start": [{"title": 7}, {"title": "t" * 201}, {"title": None}],
    "recording.stop": [{"id": "x"}],
    "recording.consent": [{}, {"given": "yes"}, {"given": None}],
    "viewport.open": [{}, {"viewport": "main", "study": "1.2"}, {"viewport": "main", "study": "abc", "series": "1.2"},
                      {"viewport": "", "study": "1.2", "series": "1.2"},
                      {"viewport": "main", "study": "1.2", "series": "1" * 65}],
    "viewport.update": [{}, {"viewport": "main"}, {"patch": PATCH}]
    + [{"viewport": "main", "patch": fault}
       for fault in ({}, {"invert": None}, {"image": {"sop": "1.2", "frame": 0}}, {"image": {"sop": "x", "frame": 1}},
                     {"image": {"sop": "1.2"}}, {"area": {"left": 0, "top": 0, "right": 1e7, "bottom": 9}},
                     {"area": {"left": 0, "top": 0, "right": 9}}, {"orientation": {"rotation": 45, "flipHorizontal": False}},
                     {"orientation": {"rotation": 90}}, {"voi": {"center": 1, "width": 0, "function": "LINEAR"}},
                     {"voi": {"center": 1e9, "width": 1, "function": "LINEAR"}},
                     {"voi": {"center": 1, "width": 1, "function": "linear"}}, {"invert": 1}, {"focalPoint": [1, 2]},
                     {"viewUp": [1, 2, 3, 4]}, {"focalPoint": [1, 2, 1e7]}, {"parallelScale": 0})],
    "viewport.close": [{}, {"viewport": "v" * 65}],
    "view.set": [{"streams": {}}, {"streams": [{}]}, {"streams": "all"}, {"id": None}]
    + [{"streams": [{"participant": "p1", "stream": "camera", "width": 640, "height": 360, **fault}]}
       for fault in ({"participant": "p 1"}, {"stream": ""}, {"width": -1}, {"height": 32769}, {"width": "640"}, {"height": 1.5},
                     {"screen": 16}, {"pinned": 1})]
    + [{"streams": [{"participant": "p1", "stream": "camera", "width": 1, "height": 1}] * 257}],
    "pointer": [{}, {"viewport": "main", "sop": "1.2", "frame": 0, "x": 1, "y": 1},
                {"viewport": "main", "sop": "sop", "frame": 1, "x": 1, "y": 1},
                {"viewport": "main", "sop": "1.2", "frame": 1, "x": "1", "y": 1},
                {"viewport": "main", "sop": "1.2", "frame": 1, "x": 1, "y": 10000001}],
    "room.end": [{"reason": "r" * 201}],
    "ping": [{"id": True}],
}
BAD_MESSAGES = [{"id": 7, "do": command, **fields} for command, list_ in BAD.items() for fields in list_]
# Rules that only the words of the schema tell.
BAD_BUT_VALID = [
    {"id": 7, "do": "viewport.update", "viewport": "main", "patch": {"area": {"left": 5, "top": 0, "right": 5, "bottom": 9}}},
    {"id": 7, "do": "negotiate", "sdp": "v=0", "streams": [{"mid": "0", "stream": "a", "role": "camera"}] * 2},
]
GOOD_MESSAGES = [example for name in sorted(names("command")) for example in DEFINITIONS["command." + name]["examples"]]
