"""Help pages: one line of usage, an example that holds, options in columns, nothing too wide."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bone_backend.jobs.commands import OFFERED, at_terminal
from bone_backend.options.field import OptionField
from standalone.command import build_parser
from standalone.flags import gather
from standalone.pages import SMALL

ROOT = Path(__file__).resolve().parents[2]
TABLES = {name: at_terminal(name).table() for name in OFFERED}
WIDTHS = (44, 80, 120)


def shown(capsys, monkeypatch, *words, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(words)
    assert end.value.code == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def typed(command: str) -> list[OptionField]:
    """The options that have a word of their own; those of further words stand behind the first."""
    fields = TABLES[command].option_fields()
    rests = {field.rest for field in fields}
    return [field for field in fields if field.name not in rests]


def word_of(field: OptionField) -> str:
    if field.positional:
        return f"  {field.name.upper()} "
    return field.flag.removeprefix("--")


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("page", ["--help", "--help-all", "-h"])
@pytest.mark.parametrize("command", [None, *OFFERED])
def test_no_line_is_longer_than_the_terminal(capsys, monkeypatch, command, page, columns):
    words = [command, page] if command else [page]
    text = shown(capsys, monkeypatch, *words, columns=columns)
    # an example is typed as it stands; all its lines fit into 80 columns
    example = {f"  {line}" for line in (OFFERED[command].examples if command else ())}
    for line in text.splitlines():
        assert len(line) < (80 if line in example else columns), line
        assert line == line.rstrip()


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", TABLES)
def test_help_all_has_every_option_with_its_help_and_its_limits(capsys, monkeypatch, command, columns):
    text = shown(capsys, monkeypatch, command, "--help-all", columns=columns)
    flat = " ".join(text.split())
    for field in typed(command):
        assert word_of(field).strip() in flat
        assert field.limits in flat
        # other options are named by their flags there
        assert "_" in field.help[:25] or " ".join(field.help.split())[:25] in flat


@pytest.mark.parametrize("command", TABLES)
def test_help_shows_what_the_table_marks_as_often_needed_and_where_the_others_are(
    capsys, monkeypatch, command
):
    text = shown(capsys, monkeypatch, command, "--help")
    starts = {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "}
    fields = typed(command)
    total = len(fields) + 3  # --json ...
    if OFFERED[command].has_config:  # --config, --save-config, and where there is none --overwrite
        total += 2 + all(field.name != "overwrite" for field in fields)
    total += 3 * any(field.name == "pairs" for field in fields)  # --pairs-from, --scans, --masks
    if total <= SMALL:
        assert all(f.flag in starts or f.name.upper() in starts for f in fields)
        assert "--help-all" not in text
        return
    for field in fields:
        is_wanted = field.often or field.required or field.positional
        assert (field.flag in starts or field.name.upper() in starts) == is_wanted, field.name
    assert text.splitlines()[-1] == f"--help-all shows all {total} options."


def test_the_dozen_of_a_fit_are_not_the_whole_table(capsys, monkeypatch):
    often = [field.name for field in TABLES["fit"].option_fields() if field.often or field.required]
    assert 10 <= len(often) <= 15
    assert {"pairs", "output", "minutes", "recipe", "class_names", "device"} <= set(often)
    assert len(shown(capsys, monkeypatch, "fit", "--help").splitlines()) < 80


@pytest.mark.parametrize("command", OFFERED)
def test_the_example_holds_and_the_usage_is_one_line(capsys, monkeypatch, command):
    text = shown(capsys, monkeypatch, command, "--help")
    assert text.startswith(f"bone {command} ")
    assert text.splitlines()[1] == ""
    for example in "\n".join(OFFERED[command].examples).replace("\\\n", " ").splitlines():
        words = shlex.split(example)
        assert words[:2] == ["bone", command]
        arguments = build_parser().parse_args(words[1:])
        gather(arguments, TABLES[command])


def test_bone_alone_prints_its_help_on_standard_output():
    done = subprocess.run(
        [sys.executable, "-m", "standalone.command"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("bone COMMAND [options]\n")
    for command, row in OFFERED.items():
        assert command in done.stdout
        assert row.summary in " ".join(done.stdout.split())


def test_the_front_page_does_not_load_the_table_of_options():
    code = (
        "import sys; from standalone.command import build_parser\n"
        "try: build_parser().parse_args(['--help'])\n"
        "except SystemExit: print('pydantic' in sys.modules, 'rich' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False False"
