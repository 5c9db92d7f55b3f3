"""Menu entries, port groups, help pages: current, complete, and drawn as pictures."""

import ast
import html
import re
from html.parser import HTMLParser

import pytest

from avizo_modules import generate
from bone_backend.avizo.forms import FORMS
from mocks.avizo import Session
from mocks.avizo.drawing.panel import draw_panel
from mocks.avizo.registration import check_folder, read_groups

from .steps import MODULES, open_module

EACH = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
ROOT = MODULES.parent


def test_the_generated_files_are_current():
    assert [path.name for path in generate.stale()] == [], "run: python -m avizo_modules.generate"


def test_a_change_of_an_option_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "HERE", tmp_path)
    for form in FORMS.values():
        (tmp_path / form.name).mkdir()
    assert len(generate.stale()) == 9
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.stale() == []
    path = tmp_path / "BONe_IoU" / "BONe_IoU.html"
    path.write_text(path.read_text(encoding="utf-8").replace("Reference", "Referenz"), encoding="utf-8")
    assert generate.stale() == [path]


@EACH
def test_menu_entry_groups_and_help_fit_the_module(form):
    module = open_module(Session(), form.name)
    entry, groups = check_folder(MODULES / form.name, module)
    assert entry.name == form.title
    assert entry.category == "BONe"
    named = {name for group in groups.groups for name in group.ports}
    loose = {"detail", "showAllPairs", "apply", "data", "startStop", "showConsole", "filename"}
    assert set(module.portnames) - named - {c.name for c in form.connections} <= loose


@EACH
def test_the_help_page_is_whole_and_names_every_option(form):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.text = [], ""

        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            self.text += data

    reader = Reader()
    reader.feed((MODULES / form.name / f"{form.name}.html").read_text(encoding="utf-8"))
    assert reader.open == []
    for _, fields in form.groups():
        for field in fields:
            assert field.label in reader.text
            assert form.in_words(field.help) in reader.text


@EACH
def test_the_help_page_speaks_of_ports_and_never_of_options_or_flags(form):
    page = html.unescape((MODULES / form.name / f"{form.name}.html").read_text(encoding="utf-8"))
    fields = [*form.options.option_fields(), *form.host.option_fields()]
    page = page.replace("bootstrap.py worker --with-torch", "")  # a command to be typed
    told = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    names = {field.name for field in fields if "_" in field.name} | {field.flag for field in fields}
    assert {name for name in names if re.search(rf"(?<![\w-]){name}(?![\w-])", told)} == set()
    assert "--" not in told
    assert "FILE" not in told


@EACH
def test_the_panel_can_be_drawn(form, tmp_path):
    module = open_module(Session(), form.name)
    groups = read_groups(MODULES / form.name / f"{form.name}.xml")
    width, height = draw_panel(module, tmp_path / "panel.png", groups=groups, expand_all=True)
    assert width == 940
    assert 300 < height < 4500


@EACH
def test_the_steps_of_the_help_page_speak_of_what_is_in_the_panel(form):
    fields = [field for _, fields in form.groups() for field in fields]
    known = {field.label for field in fields} | {label for _, label in form.lines}
    known |= {connection.label for connection in form.connections} | {"Apply", "Stop"}
    bold = re.findall(r"<b>(.*?)</b>", " ".join(generate.STEPS[form.command]))
    assert bold
    assert set(bold) <= known


def names_of_avizo(source):
    """Names of Avizo's API that a Python source uses."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "arg", None)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.append(node.value)
        found |= {
            name
            for name in names
            if isinstance(name, str)
            and (name.startswith(("hx_", "HxPort", "HxConnection", "_hx_core")) or name == "PyScriptObject")
        }
    return found


def test_only_the_adapter_and_the_modules_know_avizos_names():
    for folder in ("bone_backend", "standalone", "external_worker"):
        for path in (ROOT / folder).rglob("*.py"):
            if "avizo" not in path.relative_to(ROOT).parts:
                assert names_of_avizo(path.read_text(encoding="utf-8")) == set(), path
    assert names_of_avizo("hx_message.error('x')") == {"hx_message"}
    assert "hx_message" in names_of_avizo((ROOT / "bone_backend/avizo/host.py").read_text(encoding="utf-8"))


@EACH
def test_a_script_file_is_read_by_an_old_python(form):
    source = (MODULES / form.name / f"{form.name}.pyscro").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert names_of_avizo(source) == {"hx_paths", "hx_message", "PyScriptObject", "HxPortInfo"}
