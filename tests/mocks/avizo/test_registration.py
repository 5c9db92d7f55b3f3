"""Menu entries and port groups are read, and their faults told all at once."""

import pytest

from mocks.avizo import Session
from mocks.avizo.registration import RegistrationError, check_folder, read_groups, read_rc, tcl_words

RC = """# BONe
module -name "BONe IoU" \\
       -language "python" \\
       -file "share/python_script_objects/IoU.pyscro" \\
       -primary "HxUniformLabelField3 HxUniformScalarField3" \\
       -package "py_core" \\
       -xml "IoU.xml" -color $objectsColorsPythonScriptObject \\
       -category "{Python Scripts}"
"""
XML = """<module name="BONe IoU" connectionExpandedByDefault="false">
  <group name="Input" expandedByDefault="true"><port portName="a"/><port portName="apply"/></group>
</module>
"""
SCRIPT = """
class IoU(PyScriptObject):
    def __init__(self):
        self.a = HxPortText(self, "a", "A")
        self.apply = HxPortDoIt(self, "apply", "Apply")
    def compute(self):
        pass
"""


@pytest.fixture
def folder(tmp_path):
    for name, text in (("IoU.rc", RC), ("IoU.xml", XML), ("IoU.pyscro", SCRIPT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_whole_folder_is_accepted(folder):
    entry, groups = check_folder(folder, Session().load(folder / "IoU.pyscro"))
    assert (entry.name, entry.category) == ("BONe IoU", "Python Scripts")
    assert entry.primary == ("HxUniformLabelField3", "HxUniformScalarField3")
    assert entry.color == "$objectsColorsPythonScriptObject"
    assert not groups.connection_expanded
    assert groups.groups[0].ports == ("a", "apply")


def test_tcl_words_know_quotes_braces_comments_and_continued_lines():
    text = '# a "comment\nx -a "b c" \\\n {d {e} f}; y $g\n\n  # more\nz'
    assert tcl_words(text) == [["x", "-a", "b c", "d {e} f"], ["y", "$g"], ["z"]]
    for broken in ('x "a', "x {a {b}", 'x "a"b'):
        with pytest.raises(RegistrationError):
            tcl_words(broken)


def test_faults_of_a_menu_entry_are_told_together(folder):
    bad = (
        RC.replace("-package", "-pakage")
        .replace("HxUniformLabelField3", "HxLabels")
        .replace('"python"', '"tcl"')
    )
    (folder / "IoU.rc").write_text(bad, encoding="utf-8")
    with pytest.raises(
        RegistrationError, match=r"'-pakage' is not known; .*'-package' is missing; .*tcl.*HxLabels"
    ):
        read_rc(folder / "IoU.rc")
    (folder / "IoU.rc").write_text("", encoding="utf-8")
    with pytest.raises(RegistrationError, match="no `module` command"):
        read_rc(folder / "IoU.rc")


def test_files_that_are_not_there_are_told(folder):
    (folder / "IoU.pyscro").unlink()
    (folder / "IoU.xml").unlink()
    with pytest.raises(RegistrationError, match=r"IoU\.pyscro is not there; .*IoU\.xml is not there"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("</module>", "", "not well-formed"),
        ('portName="a"', 'name="a"', "unknown attribute 'name'"),
        ('"false"', '"no"', "it is true or false"),
        ("<group", "<box", "not well-formed"),
    ],
)
def test_faults_of_groups_are_told(folder, old, new, fault):
    (folder / "IoU.xml").write_text(XML.replace(old, new), encoding="utf-8")
    with pytest.raises(RegistrationError, match=fault):
        read_groups(folder / "IoU.xml")


def test_groups_name_existing_ports_once(folder):
    bad = XML.replace('<port portName="a"/>', '<port portName="b"/><port portName="apply"/>')
    (folder / "IoU.xml").write_text(bad, encoding="utf-8")
    with pytest.raises(RegistrationError, match="'b' does not exist; the port 'apply' stands in 2 groups"):
        check_folder(folder, Session().load(folder / "IoU.pyscro"))
