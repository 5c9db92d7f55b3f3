"""Faults know their options; exceptions come out of another process as they went in."""

from __future__ import annotations

import json
import pickle

import pytest

from bone_backend.errors import (
    BoneError,
    Cancelled,
    Fault,
    OptionError,
    OutputError,
    ProgramFault,
    ScanError,
    WorkerError,
    as_plain,
    called,
    from_plain,
)

TWO = Fault(f"{called('gpus')} is 4, but {called('batch_size')} is 2.", "device")


def test_a_fault_reads_as_in_a_configuration_file_and_knows_its_options():
    assert TWO == "gpus is 4, but batch_size is 2."
    assert TWO.names == ("device", "gpus", "batch_size")
    assert TWO.put(str.upper) == "GPUS is 4, but BATCH_SIZE is 2."


def test_what_a_user_has_named_is_never_taken_for_an_option():
    fault = Fault(f"{called('output')} is /data/output is here/batch_size; choose another.")
    assert fault.put(str.upper) == "OUTPUT is /data/output is here/batch_size; choose another."


def test_a_fault_inside_another_one_keeps_its_options():
    whole = Fault(f"an epoch has 3 patches: {TWO.put(called)}")
    assert whole.names == ("gpus", "batch_size")
    assert whole == "an epoch has 3 patches: gpus is 4, but batch_size is 2."
    assert Fault(TWO, "compile").names == ("compile", *TWO.names)


@pytest.mark.parametrize(
    "error",
    [
        OptionError([TWO, "epochs is 0."]),
        OutputError(f"{called('output')} x: is already there."),
        ScanError("skull.tif: two\nlines"),
        WorkerError("it crashed"),
        Cancelled("Stopped."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_back_from_json_and_from_a_pickle_as_it_was(error):
    for back in (from_plain(json.loads(json.dumps(as_plain(error)))), pickle.loads(pickle.dumps(error))):
        assert type(back) is type(error)
        assert str(back) == str(error)
        if isinstance(error, BoneError):
            assert back.faults == error.faults
            words = [[fault.names, fault.put(str.upper)] for fault in back.faults]
            assert words == [[fault.names, fault.put(str.upper)] for fault in error.faults]


def test_what_nobody_foresaw_comes_back_as_a_fault_of_the_program_with_its_traceback():
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        told = as_plain(error)
    assert told["traceback"].startswith("Traceback")
    back = from_plain(told)
    assert isinstance(back, ProgramFault)
    assert str(back) == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("kind", ["as_plain", "Fault", "Sequence", "KeyError", "an older one"])
def test_a_kind_that_is_none_of_ours_is_a_fault_of_the_worker(kind):
    assert type(from_plain({"kind": kind, "message": "text"})) is WorkerError
