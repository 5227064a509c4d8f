"""The programs of tools/bench that load a server, small and short: everything arrives, however slow the machine is."""

import json
import os
import subprocess

import pytest
from harness import ROOT, programs

RUNS = {
    "consultation": ["--points", "4", "--room-size", "4", "--megabits", "1", "--observers", "2"],
    "everyone": ["--points", "5"],
    "surgery": ["--viewers", "5", "--megabits", "2", "--megabits-panorama", "1", "--joins", "15", "--storm-seconds", "3",
                "--stayers", "5"],
    "flood": ["--packets", "20000", "--megabits", "1"],
}


@pytest.mark.skipif("CONSILIUM_URL" in os.environ, reason="starts servers of its own")
@pytest.mark.parametrize("name", RUNS)
def test_everything_arrives(name, tmp_path):
    if not (programs() / "loadgen").exists():
        pytest.skip("loadgen is not built")
    result = tmp_path / "figures.json"
    run = subprocess.run(
        [ROOT / "tools" / "bench" / f"run-{name}", "--smoke", "--seconds", "4", "--settle", "3", "--json", result,
         *RUNS[name]],
        env={**os.environ, "CONSILIUM_PROGRAMS": str(programs())}, capture_output=True, text=True, timeout=120,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    figures = json.loads(result.read_text())
    assert figures["ok"]
    assert figures["received"]["packets"] > 0
    assert figures["received"]["damaged"] == 0
