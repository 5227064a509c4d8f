"""What our studies are to others: DCMTK reads the files, a private Orthanc indexes them, and all see the pixels we show."""

import array
import collections
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import urllib.request
import zlib

import pytest
from harness import Server, free_port, programs, until

SIZE, SLICES = 128, 12


def find(program):
    """The path of a program of somebody else. Without it the test fails, or is skipped where that is allowed."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        words = f"{program} is not installed; tools/setup test installs it"
        if os.environ.get("CONSILIUM_ALLOW_SKIPS") == "1":
            pytest.skip(words)
        pytest.fail(words)
    return path


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The folder of the demo studies, small ones, and its files."""
    folder = tmp_path_factory.mktemp("studies")
    subprocess.run([programs() / "make-demo-data", "--into", folder, "--size", str(SIZE), "--slices", str(SLICES)], check=True)
    files = sorted(folder.rglob("*.dcm"))
    assert len(files) > 2 * SLICES
    return folder, files


# --- DCMTK -----------------------------------------------------------------------------------------------------------


def dump(file, *tags):
    """Tag by name to its value, as dcmdump reads them; no value is an empty string."""
    words = [word for tag in tags for word in ("+P", tag)]
    text = subprocess.run([find("dcmdump"), "-Un", *words, file], check=True, capture_output=True, text=True).stdout
    values = {}
    for line in text.splitlines():
        value, _, name = line.split(" ", 2)[2].rpartition("#")
        value = value.strip()
        value = "" if value.startswith("(no value") else value.strip("[]").removeprefix("=")
        values.setdefault(name.split()[-1], value)
    return values


def stored_pixels(file, folder):
    """The bytes of Pixel Data as dcmdump takes them out of the file, little endian."""
    folder.mkdir()
    subprocess.run([find("dcmdump"), "-q", "+W", folder, file], check=True, capture_output=True)
    [raw] = folder.iterdir()
    return raw.read_bytes()


def test_dcmtk_takes_every_file_for_dicom_part_10(studies):
    _, files = studies
    tested = subprocess.run([find("dcmftest"), *files], check=True, capture_output=True, text=True).stdout
    assert tested.count("yes: ") == len(files)


def test_dcmtk_reads_every_file_to_its_end_without_a_complaint(studies):
    _, files = studies
    read = subprocess.run([find("dcmdump"), "-v", *files], capture_output=True, text=True)
    complaints = [line for line in read.stderr.splitlines() if line.startswith(("W:", "E:", "F:"))]
    assert read.returncode == 0 and complaints == []
    assert read.stdout.count("(7fe0,0010)") == len(files)


# --- Orthanc ---------------------------------------------------------------------------------------------------------


class Orthanc:
    def __init__(self, folder: pathlib.Path):
        self.port = free_port()
        configuration = {
            "Name": "Consilium test", "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
            "HttpPort": self.port, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomServerEnabled": False, "Plugins": [], "SaveJobs": False,
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self.log = folder / "orthanc.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [find("Orthanc"), folder / "orthanc.json"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        until(self.answers, 30, "Orthanc's /system")

    def answers(self):
        assert self.process.poll() is None, f"Orthanc ended:\n{self.log.read_text(errors='replace')[-3000:]}"
        try:
            return self.json("/system")["Name"] == "Consilium test"
        except OSError:
            return False

    def get(self, path, body=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=body, timeout=20) as answer:
            return answer.read()

    def json(self, path, body=None):
        return json.loads(self.get(path, body))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    running = Orthanc(tmp_path_factory.mktemp("orthanc"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def uploaded(orthanc, studies):
    """Each file with the name that Orthanc gives its instance."""
    instances = {}
    for file in studies[1]:
        answer = orthanc.json("/instances", file.read_bytes())
        assert answer["Status"] == "Success", answer
        instances[file] = answer["ID"]
    return instances


@pytest.fixture(scope="module")
def ours(tmp_path_factory, studies):
    """Our own server over the same folder, and a token that may see images."""
    running = Server(tmp_path_factory.mktemp("server"), imaging__folder=studies[0]).start()
    token = running.token(room="reading", role="chair")
    until(lambda: sum(series["instances"] for study in listed(running, token) for series in study["series"])
          == len(studies[1]), 20, "the index of all images")
    yield running, token
    status, _ = running.stop()
    assert status == 0


def listed(server, token):
    return server.json("/v1/imaging/studies", token)["studies"]


def numbers(text):
    return [float(part) for part in text.split("\\")] if text else []


def test_orthanc_indexes_patient_studies_series_and_instances_as_they_were_written(orthanc, uploaded):
    tree = collections.defaultdict(lambda: collections.defaultdict(set))
    described = {}
    for file in uploaded:
        tags = dump(file, "PatientID", "PatientName", "StudyInstanceUID", "StudyDescription", "StudyDate",
                    "SeriesInstanceUID", "SeriesDescription", "Modality", "SOPInstanceUID")
        assert (tags["PatientID"], tags["PatientName"]) == ("DEMO-1", "DEMO^PHANTOM")
        tree[tags["StudyInstanceUID"]][tags["SeriesInstanceUID"]].add(tags["SOPInstanceUID"])
        described[tags["StudyInstanceUID"]] = (tags["StudyDescription"], tags["StudyDate"])
        described[tags["SeriesInstanceUID"]] = (tags["SeriesDescription"], tags["Modality"])

    [patient] = [orthanc.json(f"/patients/{name}") for name in orthanc.json("/patients")]
    assert patient["MainDicomTags"]["PatientID"] == "DEMO-1"
    indexed = collections.defaultdict(lambda: collections.defaultdict(set))
    for study in (orthanc.json(f"/studies/{name}") for name in patient["Studies"]):
        tags = study["MainDicomTags"]
        assert (tags["StudyDescription"], tags["StudyDate"]) == described[tags["StudyInstanceUID"]]
        for series in (orthanc.json(f"/series/{name}") for name in study["Series"]):
            about = series["MainDicomTags"]
            assert (about["SeriesDescription"], about["Modality"]) == described[about["SeriesInstanceUID"]]
            for instance in (orthanc.json(f"/instances/{name}") for name in series["Instances"]):
                indexed[tags["StudyInstanceUID"]][about["SeriesInstanceUID"]].add(
                    instance["MainDicomTags"]["SOPInstanceUID"])
    assert indexed == tree
    assert len(tree) == 2 and orthanc.json("/statistics")["CountInstances"] == len(uploaded)


def test_orthanc_gives_every_file_back_as_it_was(orthanc, uploaded):
    for file, instance in uploaded.items():
        assert hashlib.sha256(orthanc.get(f"/instances/{instance}/file")).digest() == hashlib.sha256(
            file.read_bytes()).digest(), file


def test_orthanc_sends_the_pixels_that_are_in_the_file(orthanc, uploaded, tmp_path):
    for number, (file, instance) in enumerate(uploaded.items()):
        raw = orthanc.get(f"/instances/{instance}/frames/0/raw")
        tags = dump(file, "Rows", "Columns")
        assert len(raw) == 2 * int(tags["Rows"]) * int(tags["Columns"])
        assert raw == stored_pixels(file, tmp_path / str(number)), file


def test_our_server_lists_what_orthanc_indexes(orthanc, uploaded, ours):
    listed_by_us = {
        (study["study"], study["date"].replace("-", ""), study["description"], series["series"], series["modality"],
         series["description"], str(series["number"]), series["instances"])
        for study in listed(*ours) for series in study["series"]
    }
    listed_by_orthanc = set()
    for name in orthanc.json("/series"):
        series = orthanc.json(f"/series/{name}")
        study = orthanc.json(f"/studies/{series['ParentStudy']}")["MainDicomTags"]
        tags = series["MainDicomTags"]
        listed_by_orthanc.add((
            study["StudyInstanceUID"], study["StudyDate"], study["StudyDescription"], tags["SeriesInstanceUID"],
            tags["Modality"], tags["SeriesDescription"], tags["SeriesNumber"], len(series["Instances"])))
    assert listed_by_us == listed_by_orthanc


def test_our_server_describes_and_orders_the_images_as_orthanc_does(orthanc, uploaded, ours):
    server, token = ours
    for name in orthanc.json("/series"):
        series = orthanc.json(f"/series/{name}")["MainDicomTags"]["SeriesInstanceUID"]
        detail = server.json(f"/v1/imaging/series/{series}", token)
        images = [detail["shared"] | image for image in detail["images"]]
        tags = {}
        for instance in orthanc.json(f"/series/{name}/instances"):
            found = orthanc.json(f"/instances/{instance['ID']}/simplified-tags")
            tags[found["SOPInstanceUID"]] = instance["ID"], found
        assert {image["sop"] for image in images} == set(tags)
        for image in images:
            told = tags[image["sop"]][1]
            assert (image["columns"], image["rows"]) == (int(told["Columns"]), int(told["Rows"]))
            assert image["photometric"] == told["PhotometricInterpretation"]
            assert image["bitsStored"] == int(told["BitsStored"])
            assert image["signed"] is (told["PixelRepresentation"] == "1")
            assert image["pixelSpacing"] == numbers(told["PixelSpacing"])
            assert image["position"] == pytest.approx(numbers(told["ImagePositionPatient"]))
            assert image["orientation"] == pytest.approx(numbers(told["ImageOrientationPatient"]))
            if "RescaleSlope" in told:
                assert (image["rescale"]["slope"], image["rescale"]["intercept"]) == (
                    float(told["RescaleSlope"]), float(told["RescaleIntercept"]))
            if "WindowCenter" in told:
                assert [(window["center"], window["width"]) for window in image["windows"]] == list(
                    zip(numbers(told["WindowCenter"]), numbers(told["WindowWidth"]), strict=True))
        ordered = [slice_[0] for slice_ in orthanc.json(f"/series/{name}/ordered-slices")["SlicesShort"]]
        shown = [tags[image["sop"]][0] for image in images]
        assert shown in (ordered, ordered[::-1])


# --- Our own pixels --------------------------------------------------------------------------------------------------


def decode_frame(frame):
    """The samples of a coded grey frame as little endian bytes; written from the format's description alone."""
    magic, kind, predictor, reduction, _, columns, rows, low, high, checksum, length = struct.unpack_from(
        "<4sBBBBIIiiII", frame)
    assert (magic, predictor, reduction) == (b"CFR1", 1, 0) and kind in (0, 1) and length == 2 * columns * rows
    planes = zlib.decompress(frame[32:], -15)
    assert len(planes) == length
    count = columns * rows
    bias = 0x8000 if kind == 1 else 0
    samples = array.array("H", bytes(length))
    for index in range(count):
        zigzag = planes[index] | planes[count + index] << 8
        error = -(zigzag >> 1) - 1 if zigzag & 1 else zigzag >> 1
        row, column = divmod(index, columns)
        # Signed samples are compared as signed: with the sign bit turned over, unsigned order is theirs.
        left = samples[index - 1] ^ bias if column else None
        above = samples[index - columns] ^ bias if row else None
        corner = samples[index - columns - 1] ^ bias if row and column else None
        if left is None and above is None:
            prediction = bias
        elif left is None or above is None:
            prediction = above if left is None else left
        elif corner >= max(left, above):
            prediction = min(left, above)
        elif corner <= min(left, above):
            prediction = max(left, above)
        else:
            prediction = left + above - corner
        samples[index] = ((prediction ^ bias) + error) & 0xFFFF
    if sys.byteorder == "big":
        samples.byteswap()
    decoded = samples.tobytes()
    assert zlib.crc32(decoded) == checksum
    values = array.array("h" if kind == 1 else "H", samples)
    assert (min(values), max(values)) == (low, high)
    return columns, rows, decoded


def test_our_server_shows_the_pixels_that_orthanc_sends(orthanc, uploaded, ours):
    server, token = ours
    compared = collections.Counter()
    for file, instance in uploaded.items():
        told = orthanc.json(f"/instances/{instance}/simplified-tags")
        if compared[told["SeriesInstanceUID"]] == 3:
            continue
        compared[told["SeriesInstanceUID"]] += 1
        status, headers, frame = server.get(f"/v1/imaging/frames/{told['SOPInstanceUID']}/1", token)
        assert status == 200, frame[:300]
        columns, rows, samples = decode_frame(frame)
        assert (columns, rows) == (int(told["Columns"]), int(told["Rows"]))
        assert samples == orthanc.get(f"/instances/{instance}/frames/0/raw"), file
    assert len(compared) == 3
