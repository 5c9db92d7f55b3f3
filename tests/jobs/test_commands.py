"""The table of commands: what a row names is there, and all doors offer what it says."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from bone_backend.avizo.forms import FORMS
from bone_backend.errors import OptionError
from bone_backend.jobs.commands import COMMANDS, OFFERED, find, named
from bone_backend.jobs.run import run_here, run_in_worker
from bone_backend.options.fields import Options
from bone_backend.volumes.volume import save


@pytest.mark.parametrize("name", COMMANDS)
def test_the_function_of_a_command_takes_its_options_and_a_progress(name):
    module, _, function = COMMANDS[name].function.partition(":")
    source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")  # torch is not loaded
    [found] = [node for node in ast.parse(source).body if getattr(node, "name", "") == function]
    assert [argument.arg for argument in found.args.args] == ["options", "progress"]


@pytest.mark.parametrize("name", OFFERED)
def test_a_command_that_is_offered_has_options_a_usage_examples_and_words_for_its_result(name):
    command = COMMANDS[name]
    assert issubclass(command.table(), Options)
    assert command.usage.endswith("[options]")
    assert command.examples[0].startswith(f"bone {name}")
    assert callable(named(command.shown))


def test_avizo_has_a_panel_for_each_command_that_says_so():
    assert {name for name, command in COMMANDS.items() if command.in_avizo} == set(FORMS)


def test_statistics_run_by_name_as_all_commands_do(tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    found = run_here("statistics", {"scan": str(tmp_path / "scan.npy")})
    assert (found["count"], found["mean"], found["min"], found["max"]) == (59, 30.0, 1, 59)
    assert found["path"] == str(tmp_path / "scan.npy")
    with pytest.raises(OptionError, match="voxels is 'half': choose nonzero or all"):
        run_here("statistics", {"scan": str(tmp_path / "scan.npy"), "voxels": "half"})


def test_what_only_the_command_line_does_is_no_job_of_the_worker():
    with pytest.raises(OptionError, match="The worker does not do 'demo'"):
        run_in_worker("demo", {}, python=Path("/nowhere"))


def test_a_function_by_its_path_is_a_command_of_plain_values():
    assert find("mocks.jobs:echo").run({"a": 1}, lambda *_: None)["options"] == {"a": 1}
