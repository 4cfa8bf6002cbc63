"""A ViT as transformers writes it: the same logits, weights and streams here; proven, drawn, asked; or refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

import regard
from regard.data.picture_decode import decode_one
from regard.looking.proof import prove
from regard.pretrained.rows import Layout, Place
from regard.pretrained.vit_folder import read_vit
from regard.vit_run import ViTRun

from ..conftest import Call
from .made import edit, refused, shaken, store, tensors_of

from transformers import ViTConfig, ViTForImageClassification, ViTModel  # isort: skip  (made sets HF_HUB_OFFLINE first)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil  # isort: skip

Pixels = npt.NDArray[np.uint8]

SMALL = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 40}
NAMES = {"id2label": dict(enumerate(["cat", "crane", "dog", "crane", "owl"]))}
MADE: dict[str, dict[str, Any]] = {
    "square": {"image_size": 32, "patch_size": 8, **NAMES},
    "two classes without names": {"image_size": 24, "patch_size": 8},
    "no biases of queries, keys, values": {"image_size": 32, "patch_size": 8, "qkv_bias": False, **NAMES},
    "higher than wide, a border lost": {"image_size": [45, 26], "patch_size": 8, **NAMES},
    "patches wider than high": {"image_size": [24, 40], "patch_size": [6, 10], "hidden_act": "gelu_new", **NAMES},
    "grey": {"image_size": 32, "patch_size": 16, "num_channels": 1, "layer_norm_eps": 1e-3, "num_attention_heads": 3,
             "hidden_act": "relu", **NAMES},
}  # fmt: skip


def theirs(name: str = "square", **other: Any) -> ViTForImageClassification:
    """Random weights, nowhere 0 or 1, also where ViTs begin with 0: biases."""
    config = ViTConfig(**{**SMALL, **MADE[name], **other}, attn_implementation="eager")
    torch.manual_seed(len(name))
    model = shaken(ViTForImageClassification(config), noise=0.3)
    assert isinstance(model, ViTForImageClassification)
    return model


def picture(model: ViTForImageClassification, path: Path, seed: int = 0) -> Pixels:
    """(height, width, channels) noise of exactly the model's size, also in the file."""
    size, channels = model.config.image_size, model.config.num_channels
    shape = [size, size] if isinstance(size, int) else list(size)
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, channels), dtype=np.uint8)
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(path)
    return pixels


@torch.no_grad()
def answered(model: ViTForImageClassification, pixels: Pixels, mean: float = 0.5, deviation: float = 0.5) -> Any:
    """What transformers says, with attentions and hidden states."""
    scaled = (torch.from_numpy(pixels).float() / 255 - mean) / deviation
    return model(scaled.permute(2, 0, 1)[None], output_attentions=True, output_hidden_states=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """vit/, cat.png of its size."""
    model = theirs()
    model.save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    picture(model, tmp_path / "cat.png")
    return tmp_path / "vit"


@pytest.fixture
def cat(folder: Path) -> Path:
    return folder.parent / "cat.png"


def opened(folder: Path) -> ViTRun:
    run = regard.load(folder)
    assert isinstance(run, ViTRun)
    return run


# the same numbers


@pytest.mark.parametrize("original", [True, False], ids=["old names", "new names"])
@pytest.mark.parametrize("name", MADE)
def test_logits_weights_and_streams_are_those_of_transformers(name: str, original: bool, tmp_path: Path) -> None:
    model = theirs(name)
    model.save_pretrained(tmp_path / "vit", save_original_format=original)
    written = "encoder.layer.0." in str(list(tensors_of(tmp_path / "vit")))
    assert written is original
    expected = answered(model, picture(model, tmp_path / "cat.png"))
    assert expected.logits.std() > 0.2  # else a small bound would say little
    recording = opened(tmp_path / "vit").look(tmp_path / "cat.png")
    assert recording.kept.logits is not None
    torch.testing.assert_close(recording.kept.logits[0], expected.logits[0], rtol=0, atol=1e-5)
    for layer, weights in enumerate(expected.attentions):
        assert weights.std() > 0.01
        for head in range(weights.shape[1]):
            found = torch.from_numpy(recording.weights(layer, head))
            torch.testing.assert_close(found, weights[0, head], rtol=0, atol=1e-5)
    for layer, stream in enumerate(expected.hidden_states[: model.config.num_hidden_layers]):
        torch.testing.assert_close(recording.kept.streams["in", layer], stream[0], rtol=0, atol=1e-4)


def test_the_number_of_parameters_is_theirs(folder: Path) -> None:
    found = read_vit(folder)
    assert found.config.parameters() == sum(parameter.numel() for parameter in theirs().parameters())
    assert found.config.parameters() == sum(parameter.numel() for parameter in found.build().parameters())


def test_a_tensor_of_more_axes_is_permuted_exactly_and_back() -> None:
    kernel = torch.arange(2 * 3 * 5 * 7).view(2, 3, 5, 7)  # width, channels, rows, columns
    place = Place("theirs", Layout((2, 3, 5, 7), (0, 2, 3, 1)), ("ours",), (2, 105))
    ours = place.read(kernel)
    for row, column, channel in ((0, 0, 0), (4, 6, 2), (1, 2, 1)):
        assert torch.equal(ours["ours"][:, (row * 7 + column) * 3 + channel], kernel[:, channel, row, column])
    assert torch.equal(place.write(ours), kernel)


SCALES: dict[str, dict[str, Any]] = {
    "as usual": {},
    "a mean for each channel": {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    "not normalised": {"do_normalize": False},
    "not rescaled": {"do_rescale": False, "image_mean": [100.0, 110.0, 120.0], "image_std": [50.0, 60.0, 70.0]},
    "another factor": {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
}


@pytest.mark.parametrize("name", SCALES)
def test_bytes_become_the_numbers_that_the_processor_makes_of_them(name: str, folder: Path, cat: Path) -> None:
    processor = ViTImageProcessorPil(size={"height": 32, "width": 32}, **SCALES[name])
    processor.save_pretrained(folder)
    with Image.open(cat) as image:
        expected: Tensor = processor(image, return_tensors="pt").pixel_values
    with torch.no_grad():
        logits = theirs()(expected).logits[0]
    run = opened(folder)
    recording = run.look(cat)
    assert recording.kept.logits is not None
    torch.testing.assert_close(recording.kept.logits[0], logits, rtol=1e-4, atol=1e-4)
    assert not run.notices


def test_weights_in_halves_are_widened_and_what_is_missing_is_said(folder: Path) -> None:
    theirs().half().save_pretrained(folder)
    (folder / "preprocessor_config.json").unlink()
    edit(folder / "config.json", qkv_bias=..., num_channels=...)
    said = [str(notice) for notice in read_vit(folder).notices]
    assert any("widened from F16" in one for one in said)
    assert any("2 fields missing from config.json" in one and "qkv_bias = True" in one for one in said)
    assert any("5 fields missing from preprocessor_config.json" in one and "image_mean = (0.5," in one for one in said)


# looked at, proven, drawn


def test_the_recording_is_proven_and_a_corrupted_one_is_not(folder: Path, cat: Path) -> None:
    run = opened(folder)
    recording = run.look(cat)
    assert recording.prove().badge.startswith("Proven (float32): every weight within ")
    recording.kept.call("self", 1).query[1, 3, 2] += 0.5
    assert recording.prove().badge.startswith("Not proven: check A, layer 1 head 1")


def test_the_proof_knows_the_bias_of_the_scores(folder: Path, cat: Path) -> None:
    """Or a model with another bias would pass for the one that was recorded."""
    run = opened(folder)
    kept = run.look(cat).kept
    with torch.no_grad():
        run.model.output.bias.zero_()  # type: ignore[union-attr]
    found = prove(kept, run.model)
    assert [check.name for check in found.checks if check.passed is False] == ["F", "S"]


def test_the_recording_says_which_token_is_which_and_shows_the_picture(folder: Path, cat: Path, call: Call) -> None:
    from regard.looking.picture import Picture

    assert call("look", folder, cat, "--save", "cat.regard").code == 0
    recording = regard.Recording.load("cat.regard")
    assert recording.tokens.labels[:3] == ("class", "0,0", "0,1")
    assert recording.tokens.kinds == ("class", *("patch",) * 16)
    seen = Picture.of(recording)
    with Image.open(cat) as image:
        assert np.array_equal(seen.pixels, np.asarray(image))
    assert (seen.class_token, seen.classes) == (True, ("cat", "crane (1)", "dog", "crane (3)", "owl"))
    assert recording.kept.sequence.position[0, :, 0].tolist() == list(range(17))
    assert call("look", "cat.regard", "--run", folder, "--prove").code == 0


def test_the_command_line_looks_and_draws(folder: Path, cat: Path, call: Call) -> None:
    done = call("look", folder, cat)
    assert done.code == 0
    assert "17 tokens: class 0,0 0,1" in done.out
    assert "Proven (float32)" in done.out
    assert done.err == ""
    for name in ("maps.svg", "maps.png", "page.html"):
        assert call("look", folder, cat, "--save", name).code == 0
    assert "who looks: class token" in Path("maps.svg").read_text()
    assert 'data-at="view=overlay"' in Path("page.html").read_text()
    assert call("look", folder, cat, "--save", "one.svg", "--query", "1,2", "--head", "2.1").code == 0
    assert "who looks: patch 1,2" in Path("one.svg").read_text()


def test_the_page_waits_for_a_picture_or_begins_with_one(
    folder: Path, cat: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []
    monkeypatch.setattr("regard.page.server.serve", lambda studio, **how: served.append(studio))
    assert call("look", folder, "--page").code == 0
    assert call("look", folder, cat, "--page").code == 0
    assert [studio.takes for studio in served] == ["picture", "picture"]
    assert [studio.start()["at"] for studio in served] == ["view=overlay"] * 2


# asked


def test_predicting_names_the_classes_with_their_probabilities(folder: Path, cat: Path, call: Call) -> None:
    with Image.open(cat) as image:
        shares = answered(theirs(), np.array(image)).logits[0].double().softmax(dim=-1).tolist()
    expected = dict(zip(["cat", "crane (1)", "dog", "crane (3)", "owl"], shares, strict=True))
    found = opened(folder).predict(cat)
    assert [p for _, p in found] == pytest.approx(sorted(shares, reverse=True), abs=1e-5)
    assert dict(found) == pytest.approx(expected, abs=1e-5)
    answer = call("predict", folder, cat, "--json").answer
    assert answer["output"] == max(expected, key=expected.__getitem__)
    assert answer["scores"] == pytest.approx(expected, abs=1e-5)
    assert answer["task"] == "classification"
    assert call("predict", folder, cat).out.split()[1] == answer["output"].split()[0]


def test_a_picture_of_other_proportions_is_cut_and_that_is_said(folder: Path, tmp_path: Path, call: Call) -> None:
    wide = np.random.default_rng(3).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide[:, :40]).save(tmp_path / "square.png")
    run = opened(folder)
    recording = run.look(tmp_path / "wide.png")
    run.predict(tmp_path / "wide.png")
    run.predict(tmp_path / "square.png")
    assert [str(notice) for notice in run.notices] == [
        "2 pictures cut to the middle, where transformers squeezes the whole"
    ]
    expected = answered(theirs(), decode_one(tmp_path / "wide.png", 32, 32, 3).pixels).logits[0]
    assert recording.kept.logits is not None
    torch.testing.assert_close(recording.kept.logits[0], expected, rtol=0, atol=1e-5)
    assert "transformers squeezes" in call("predict", folder, tmp_path / "wide.png").err


def test_other_pictures_are_scored_by_the_names_of_their_classes(folder: Path, tmp_path: Path) -> None:
    model, right, count = theirs(), 0, 0
    names = ["cat", "crane (1)", "dog", "crane (3)", "owl"]
    for number, name in enumerate(("cat", "dog", "owl")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(4):
            pixels = picture(model, tmp_path / "photos" / name / f"{k}.png", seed=10 * number + k)
            right += names[int(answered(model, pixels).logits[0].argmax())] == name
            count += 1
    scores = opened(folder).evaluate(tmp_path / "photos")
    assert scores["accuracy"] == pytest.approx(right / count)
    assert (scores["examples"], scores["baselines"]) == (12, {})


def test_info_needs_no_weights(folder: Path, call: Call) -> None:
    assert "a checkpoint of another program" in call("info", folder).out
    assert call("info", folder, "--json").answer["task"] == "classification"
    (folder / "model.safetensors").write_bytes(b"")
    assert call("info", folder).code == 0


# refused


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an unknown curve": ({"hidden_act": "quick_gelu"}, ("hidden_act is quick_gelu", "gelu")),
    "no classifier": ({"architectures": ["ViTModel"]}, ("architectures is ['ViTModel']", "ViTForImageClassification")),
    "masked pictures": ({"architectures": ["ViTForMaskedImageModeling"]}, ("architectures", "scores classes")),
    "no architecture": ({"architectures": ...}, ("architectures is None",)),
    "another kind": ({"model_type": "deit"}, ("model_type is deit", "give a model with model_type vit")),
    "heads of their own width": ({"head_dim": 16}, ("head_dim is 16", "head_dim left out")),
    "several labels": ({"problem_type": "multi_label_classification"}, ("problem_type is multi_label",)),
    "quantised": ({"quantization_config": {}}, ("quantization_config",)),
    "a number without a name": ({"id2label": {"0": "a", "2": "b"}}, ("id2label is", "from 0 on")),
    "no class": ({"id2label": {}}, ("id2label is {}",)),
    "names that are none": ({"id2label": {"0": 3}}, ("id2label is",)),
    "more classes than scores": ({"id2label": dict.fromkeys(map(str, range(6)), "a")}, ("classifier.bias (5,)",)),
    "four channels": ({"num_channels": 4}, ("num_channels is 4", "1 (grey) or 3")),
    "no size": ({"image_size": ...}, ("image_size is missing", "height and width")),
    "a size of three": ({"image_size": [32, 32, 32]}, ("image_size is [32, 32, 32]",)),
    "a size that is no number": ({"patch_size": "8"}, ("patch_size is 8",)),
    "a patch larger than the picture": ({"patch_size": [8, 33]}, ("patch_size is (8, 33)", "at most image_size")),
    "heads that do not divide": ({"num_attention_heads": 5}, ("num_attention_heads is 5", "divisor of hidden_size")),
    "odd heads": ({"num_attention_heads": 8}, ("num_attention_heads is 8", "even")),
    "other patches": ({"patch_size": 16}, ("tensors do not fit", "embeddings.patch_embeddings.projection.weight")),
    "absurd": ({"num_hidden_layers": 10**9}, ("config.json describes", "parameters")),
    "an absurd size": ({"image_size": 2**31 - 1, "patch_size": 2**30}, ("config.json describes", "parameters")),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_computed_is_refused_in_one_sentence_that_names_the_field(
    name: str, folder: Path, cat: Path, call: Call
) -> None:
    fields, words = WRONG[name]
    edit(folder / "config.json", **fields)
    for verb in ("look", "predict"):
        done = call(verb, folder, cat)
        assert done.code == 2
        assert all(word in done.sentence for word in words), done.sentence
    with refused(*words):
        read_vit(folder)


MISCHOSEN: dict[str, tuple[dict[str, Any], str]] = {
    "a deviation of 0": ({"image_std": [0.5, 0, 0.5]}, "image_std is [0.5, 0, 0.5]; it must be 3 numbers above 0"),
    "two channels": ({"image_mean": [0.5, 0.5]}, "image_mean is [0.5, 0.5]; it must be 3 finite numbers"),
    "no number": ({"image_mean": [0.5, True, 0.5]}, "image_mean is [0.5, True, 0.5]"),
    "not finite": ({"image_mean": [0.5, float("nan"), 0.5]}, "image_mean is [0.5, nan, 0.5]"),
    "neither yes nor no": ({"do_rescale": 1}, "do_rescale is 1; it must be true or false"),
    "no factor": ({"rescale_factor": 0}, "rescale_factor is 0; it must be a number above 0"),
}


@pytest.mark.parametrize("name", MISCHOSEN)
def test_a_processor_that_cannot_be_is_refused_by_its_field(name: str, folder: Path, cat: Path, call: Call) -> None:
    fields, words = MISCHOSEN[name]
    edit(folder / "preprocessor_config.json", **fields)
    sentence = call("look", folder, cat).sentence
    assert "preprocessor_config.json: " in sentence
    assert words in sentence


def test_M7_weights_without_a_classifier_or_with_more_are_refused(folder: Path) -> None:
    tensors = tensors_of(folder)
    store(folder, {name: it for name, it in tensors.items() if not name.startswith("classifier.")})
    with refused("2 tensors do not fit", "classifier.bias missing", "classifier.weight missing"):
        read_vit(folder)
    store(folder, tensors | {"vit.pooler.dense.weight": np.zeros((24, 24), np.float32)})
    with refused("pooler.dense.weight unexpected"):
        read_vit(folder)
    ViTModel(theirs().config).save_pretrained(folder)
    edit(folder / "config.json", architectures=["ViTForImageClassification"])
    with refused("tensors do not fit", "classifier.bias missing"):
        read_vit(folder)


def test_M12_another_architecture_is_refused_with_the_list(folder: Path, cat: Path, call: Call) -> None:
    edit(folder / "config.json", architectures=["DeiTForImageClassificationWithTeacher"], model_type="deit")
    sentence = call("look", folder, cat).sentence
    assert "DeiTForImageClassificationWithTeacher" in sentence
    assert "GPT2LMHeadModel, ViTForImageClassification" in sentence


def test_what_it_cannot_be_asked_is_refused(folder: Path, cat: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("So wise so young, they say, do never live long. " * 100)
    assert "it is no language model" in call("train", tmp_path / "words.txt", "--steps=1", "--from", folder).err
    assert "cannot be exported yet" in call("export", folder, "out").sentence
    assert "name pictures to evaluate on" in call("eval", folder).sentence
    assert "--temperature" in call("predict", folder, cat, "--temperature=1").sentence
    assert "--tour" in call("look", folder, cat, "--tour").sentence


def test_a_config_that_is_no_object_is_refused(folder: Path, cat: Path, call: Call) -> None:
    (folder / "config.json").write_text("{")
    assert "config.json: it cannot be read" in call("predict", folder, cat).sentence
    (folder / "config.json").write_text(json.dumps(["vit"]))
    assert "holds no JSON object" in call("predict", folder, cat).sentence


def test_a_place_is_a_number_where_the_table_is_learned(folder: Path, cat: Path) -> None:
    run = opened(folder)
    tokens = run.chopper(np.zeros((2, 32, 32, 3), np.uint8))
    assert tokens.position.shape == (1, 17, 1)
    assert replace(run.chopper, axes=2)(np.zeros((1, 32, 32, 3), np.uint8)).position.shape == (1, 17, 2)
