"""The campaigns: what they call a loss, what they keep of it, and short runs in which nothing is lost."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.campaigns import damage, damaged_tiff
from benchmarks.campaigns.campaign import Campaign, parser

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the campaigns fork, limit and kill as Linux does"
)

ENDINGS = """
import json, os, signal, time
from benchmarks.campaigns import child
from bone_backend.errors import ScanError

def refuse():
    raise ScanError("a.tif: is damaged.")

def swallow():
    try:
        bytearray(1 << 40)
    except MemoryError as fault:
        raise ScanError("a.tif: is damaged.") from fault

def spin():
    while True:
        pass

def print_and_fail():
    print("half a word")
    raise KeyError("x")

works = {
    "done": lambda: [1, 2],
    "refused": refuse,
    "fault": print_and_fail,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "spin": spin,
    "memory": lambda: len(bytearray(os.urandom(1)) * (200 << 20)),
    "too much memory": lambda: len(bytearray(1 << 40)),
    "swallowed memory": swallow,
}
found = {name: child.run(work, processor_s=1, grown_mib=100) for name, work in works.items()}
life = child.Child(lambda: time.sleep(60))
assert life.is_running_for(0.2)
life.kill()
found["killed"] = life.end(killed=True)
print(json.dumps({name: [end.kind, end.text, end.value] for name, end in found.items()}))
"""


@pytest.fixture(scope="module")
def endings():
    """How children end that do what they should and what they should not."""
    done = subprocess.run(
        [sys.executable, "-c", ENDINGS], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("done", "done"),
        ("refused", "refused"),
        ("fault", "fault"),
        ("crash", "fault"),
        ("spin", "too slow"),
        ("memory", "too greedy"),
        ("too much memory", "too greedy"),
        ("swallowed memory", "too greedy"),
        ("killed", "killed"),
    ],
)
def test_a_child_that_hangs_crashes_or_takes_too_much_is_told_apart(endings, name, kind):
    assert endings[name][0] == kind


def test_a_child_tells_its_value_its_refusal_and_its_traceback(endings):
    assert endings["done"][2] == [1, 2]
    assert endings["refused"][1:] == ["a.tif: is damaged.", "ScanError"]
    assert "KeyError: 'x'" in endings["fault"][1]
    assert "SIGSEGV" in endings["crash"][1]


def asked(folder: Path, **values: float) -> argparse.Namespace:
    made = parser(None, count=5).parse_args(["--failures", str(folder / "failures")])
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_what_is_lost_is_kept_and_ends_with_status_1(tmp_path, capsys):
    (tmp_path / "a.tif").write_bytes(b"damaged")
    campaign = Campaign("try", asked(tmp_path))
    for number, _ in enumerate(campaign.trials()):
        if number == 3:
            campaign.lose("stack", "read as other voxels", keep=[tmp_path / "a.tif"])
        else:
            campaign.count("stack", "read alike")
    assert campaign.end() == 1
    assert (tmp_path / "failures" / "seed1_trial3" / "a.tif").read_bytes() == b"damaged"
    printed = capsys.readouterr().out
    assert "| try | tried | read alike | lost |" in printed
    assert "| stack | 5 | 4 | 1 |" in printed
    assert "trials 3" in printed


def test_nothing_lost_ends_with_status_0_and_leaves_no_folder(tmp_path):
    campaign = Campaign("try", asked(tmp_path))
    for _ in campaign.trials():
        campaign.count("stack", "read alike")
    assert campaign.end() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_trial_is_made_again_alone_by_its_number(tmp_path):
    drawn = [rng.random() for rng in Campaign("try", asked(tmp_path)).trials()]
    assert len(set(drawn)) == 5
    assert [rng.random() for rng in Campaign("try", asked(tmp_path, first=3, count=1)).trials()] == drawn[3:4]
    assert [rng.random() for rng in Campaign("try", asked(tmp_path, seed=2)).trials()] != drawn


def test_a_campaign_ends_when_its_minutes_are_over(tmp_path):
    assert list(Campaign("try", asked(tmp_path, minutes=0)).trials()) == []


def test_the_anatomy_of_a_tiff_is_that_of_tifffile(tmp_path):
    import tifffile

    for path in damaged_tiff.write_seeds(tmp_path):
        if path.is_dir():
            continue
        found = damaged_tiff.anatomy(path.read_bytes())
        with tifffile.TiffFile(path) as tif:
            assert len(found.chain) == len(tif.pages) + 1
            assert [entry.tag for entry in found.entries] == [
                tag.code for page in tif.pages for tag in page.tags
            ]


def test_damage_differs_from_trial_to_trial_and_is_the_same_for_the_same_generator(tmp_path):
    whole = damaged_tiff.write_seeds(tmp_path)[0].read_bytes()
    made = [damaged_tiff.damage(whole, random.Random(seed)) for seed in range(50)]
    assert made == [damaged_tiff.damage(whole, random.Random(seed)) for seed in range(50)]
    assert len(set(made)) > 40
    text = '{"epochs": 3, "name": "femur"}'
    texts = [damage.change_text(text, random.Random(seed)) for seed in range(50)]
    assert len(set(texts)) > 30


SHORT = {
    "fuzz_formats": ["--count", "48"],
    "fuzz_tiff": ["--count", "20"],
    "fuzz_models": ["--count", "10"],
    "fuzz_records": ["--count", "6"],
}
LONG = {  # as tests of fits, predictions and studies do it too
    "kills_fit": ["--count", "1"],
    "kills_predict": ["--count", "1"],
    "disk_full": ["--count", "2"],
    "kills_study": ["--count", "1", "--kills", "1", "--folds", "2"],
}
RUN = """
import importlib, json, os, sys
for name, words in json.loads(sys.argv[1]).items():
    status = importlib.import_module(f"benchmarks.campaigns.{name}").main([*words, "--failures", sys.argv[2]])
    print(json.dumps({"name": name, "status": status}), flush=True)
"""


@pytest.fixture(scope="module")
def short_runs(tmp_path_factory):
    return run_all(SHORT, tmp_path_factory.mktemp("failures"))


def run_all(campaigns, failures):
    """What each prints, and its status; all in one process, since torch takes seconds to import."""
    words = [sys.executable, "-c", RUN, json.dumps(campaigns), str(failures)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=550)
    printed, found = [], {}
    for line in done.stdout.splitlines():
        if line.startswith('{"name"'):
            answer = json.loads(line)
            found[answer["name"]] = answer["status"], "\n".join(printed)
            printed = []
        else:
            printed.append(line)
    assert set(found) == set(campaigns), done.stderr[-3000:]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_in_a_short_run(short_runs, name):
    status, printed = short_runs[name]
    assert status == 0, printed
    assert f"| {name} | tried |" in printed


@pytest.mark.rare
@pytest.mark.parametrize("name", LONG)
def test_nothing_is_lost_in_a_long_run(name, tmp_path):
    status, printed = run_all(LONG, tmp_path)[name]
    assert status == 0, printed
    assert f"| {name} | tried |" in printed


def test_every_campaign_has_a_short_run():
    folder = ROOT / "benchmarks" / "campaigns"
    names = {path.stem for path in folder.glob("*.py") if "def main(" in path.read_text(encoding="utf-8")}
    assert names == {*SHORT, *LONG}
