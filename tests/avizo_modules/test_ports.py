"""Every option has its port, of the right kind, with its default; only what means something is shown."""

import pytest

from bone_backend.avizo.forms import COMPARE, FIT, FORMS, PREDICT
from bone_backend.avizo.ports import port_label, port_name, port_names
from bone_backend.options.fields import Options, option
from bone_backend.options.programs import FitOptions, PredictOptions, dump
from mocks.avizo import BEHAVIOURS, Behaviour, Session

from .steps import MODULES, open_advanced, open_module

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
NAMES = ["BONe_DLFit", "BONe_DLPred", "BONe_IoU"]


def shown(module):
    return [name for name in module.portnames if getattr(module.ports, name).visible]


@ALL
@pytest.mark.parametrize("name", NAMES)
def test_a_panel_opens_under_every_behaviour(behaviour, name):
    session = Session(behaviour)
    module = open_module(session, name)
    module.fire()
    assert (session.messages, session.warnings, session.console, session.processes) == ([], [], "", [])
    assert not module.ports.data.visible


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_option_has_a_port_or_is_filled_in_by_the_module(form):
    module = open_module(Session(), form.name)
    fields = [*form.options.option_fields(), *form.host.option_fields()]
    for field in fields:
        if field.name in form.without:
            assert not hasattr(module.ports, port_name(field.name)) or field.kind == "volume"
        else:
            for name in port_names(field):
                assert getattr(module.ports, name).name.isidentifier()
    assert len(set(module.portnames)) == len(module.portnames)


@ALL
def test_an_untouched_panel_means_the_defaults(behaviour):
    module = open_module(Session(behaviour), "BONe_DLFit")
    values = module.door.panel.values(FitOptions)
    given = {"pairs": [["a", "b"], ["c", "d"]], "output": "run"}
    assert dump(FitOptions.parse({**values, **given})) == dump(FitOptions.parse(given))
    module = open_module(Session(behaviour), "BONe_DLPred")
    values = module.door.panel.values(PredictOptions)
    given = {"scan": "a", "model": "b", "output": "c"}
    assert dump(PredictOptions.parse({**values, **given})) == dump(PredictOptions.parse(given))


@ALL
def test_what_the_user_sets_arrives_as_the_option_wants_it(behaviour):
    session = Session(behaviour)
    module = open_module(session, "BONe_DLFit")
    ports = module.ports
    session.select(ports.detail, "Advanced")
    session.select(ports.mode, "2.5D")
    session.select(ports.slices, "7")
    session.type(ports.learningRate, "0.0005")
    session.type(ports.seed, 12345)
    session.select(ports.architecture, "FPN")
    session.select(ports.loss, "Focal Tversky")
    session.type(ports.lossAlpha, 0.7)
    session.type(ports.mapLabels, "255:1 128:2")
    session.type(ports.classNames, "1:trabecular bone, 2:pores:#ff0000")
    session.type(ports.earlyStopping, "12")
    session.type(ports.name, "femur")
    session.select(ports.overwrite, "on")
    values = module.door.panel.values(FitOptions)
    given = {"pairs": [["a", "b"], ["c", "d"]], "output": "run"}
    made = FitOptions.parse({**values, **given})
    assert (made.mode, made.slices, made.learning_rate, made.seed) == ("2.5D", 7, 0.0005, 12345)
    assert (made.architecture, made.loss, made.loss_alpha) == ("FPN", "Focal Tversky", 0.7)
    assert made.map_labels == ((255, 1), (128, 2))
    assert [(item.value, item.name) for item in made.class_names] == [(1, "trabecular bone"), (2, "pores")]
    assert (made.early_stopping, made.name, made.overwrite) == (12, "femur", True)
    session.type(ports.earlyStopping, "none")
    assert "early_stopping" not in module.door.panel.values(FitOptions)


def test_numbers_are_clipped_by_the_limits_of_the_option_and_not_by_avizos_ten():
    session = Session(Behaviour(programmatic_values="clipped"))
    ports = open_advanced(session, "BONe_DLFit").ports
    assert ports.accumulate.texts[0].value == 1
    session.type(ports.accumulate, 5000)
    assert ports.accumulate.texts[0].value == 1024
    session.type(ports.trainSplit, -1.0)
    assert ports.trainSplit.texts[0].value == 0.0
    assert session.warnings == []


@ALL
def test_ports_appear_when_they_mean_something(behaviour):
    session = Session(behaviour)
    module = open_advanced(session, "BONe_DLFit")
    ports = module.ports
    hidden = ["slices", "tileDepth", "patchDepth", "momentum", "weightDecay", "lossAlpha", "weightsOther"]
    assert not set(hidden) & set(shown(module))
    session.select(ports.mode, "3D")
    assert {"tileDepth", "patchDepth"} <= set(shown(module))
    session.select(ports.mode, "2.5D")
    assert "slices" in shown(module)
    assert "tileDepth" not in shown(module)
    session.select(ports.optimizer, "SGD")
    assert {"momentum", "weightDecay"} <= set(shown(module))
    session.select(ports.architecture, "U-Net")
    session.select(ports.backbone, "vgg11")
    session.select(ports.architecture, "Plain U-Net")
    assert {"plainChannels", "plainDepth"} <= set(shown(module))
    assert "backbone" not in shown(module)  # nor is its vgg11 then asked for
    session.select(ports.loss, "Tversky")
    assert {"lossAlpha", "lossBeta"} <= set(shown(module))
    session.select(ports.weights, "own file")
    assert "weightsOther" in shown(module)
    session.select(ports.weights, "imagenet")
    assert "weightsDir" in shown(module)
    assert "weightsOther" not in shown(module)


def test_advanced_options_are_hidden_until_asked_for_but_never_when_changed():
    session = Session()
    module = open_module(session, "BONe_DLFit")
    ports = module.ports
    assert "accumulate" not in shown(module)
    session.select(ports.detail, "Advanced")
    session.type(ports.accumulate, 4)
    session.type(ports.clipGradient, "1.5")
    session.select(ports.detail, "Easy")
    assert {"accumulate", "clipGradient"} <= set(shown(module))
    assert "loaderThreads" not in shown(module)


def test_hidden_values_do_not_reach_the_fit():
    session = Session()
    module = open_advanced(session, "BONe_DLFit")
    session.select(module.ports.mode, "3D")
    session.type(module.ports.tileDepth, 64)
    session.select(module.ports.mode, "2D")
    assert "tile_depth" not in module.door.panel.values(FitOptions)


def test_own_weights_without_a_file_are_told_and_not_replaced_by_random_ones():
    session = Session()
    module = open_advanced(session, "BONe_DLFit")
    session.select(module.ports.weights, "own file")
    assert "Weights: name the file, or choose another." in module.ports.missing.text
    session.pick(module.ports.weightsOther, __file__)
    assert "name the file" not in module.ports.missing.text
    assert module.door.panel.values(FitOptions)["weights"] == __file__


def test_a_free_word_has_a_line_of_its_own():
    session = Session()
    module = open_advanced(session, "BONe_DLFit")
    session.select(module.ports.device, "cuda:N")
    assert "Device: name cuda:N, or choose another." in module.ports.missing.text
    session.type(module.ports.deviceOther, "cuda:1")
    assert module.door.panel.values(FitOptions)["device"] == "cuda:1"


def test_a_wrong_word_is_told_in_the_panels_words():
    session = Session()
    module = open_advanced(session, "BONe_DLFit")
    session.type(module.ports.patchSize, "250")
    told = module.ports.missing.text
    assert "Patch size is 250" in told
    assert "patch_size" not in told
    assert "Run folder is missing" in told


def test_a_new_kind_of_option_needs_no_change_in_a_form(tmp_path):
    class NewOptions(Options):
        title = "New"
        strength: int = option(3, group="Data", label="Strength", unit="N", help="How strong.")

    field = NewOptions.option_fields()[0]
    assert (port_names(field), port_label(field)) == (["strength"], "Strength [N]")


def test_pairs_of_connections_are_numbered_to_twenty():
    module = open_module(Session(), "BONe_DLFit")
    names = [connection.name for connection in FIT.connections]
    assert names[:3] == ["scan1", "mask1", "scan2"]
    assert names[-1] == "mask20"
    assert all(hasattr(module.ports, name) for name in names)
    assert [connection.name for connection in PREDICT.connections] == ["scan"]
    assert [connection.name for connection in COMPARE.connections] == ["reference", "prediction"]


def test_a_module_made_from_a_field_has_it_connected():
    import numpy as np

    session = Session()
    scan = session.scalar_field(np.ones((4, 4, 4), np.uint8), name="scan")
    for name, port in (("BONe_DLFit", "scan1"), ("BONe_DLPred", "scan"), ("BONe_IoU", "reference")):
        module = open_module(session, name)
        module.data.connect(scan)  # what Avizo does on a right click
        module.fire()
        assert getattr(module.ports, port).source() is scan
        assert module.data.source() is None


def test_the_modules_hold_no_knowledge():
    sources = [(MODULES / name / f"{name}.pyscro").read_text(encoding="utf-8") for name in NAMES]
    assert all(len(source.splitlines()) <= 35 for source in sources)
    words = {"BONe_DLFit": "DLFit", "BONe_DLPred": "DLPred", "BONe_IoU": "IoU"}
    plain = {source.replace(words[name], "X") for source, name in zip(sources, NAMES, strict=True)}
    assert len(plain) == 1
