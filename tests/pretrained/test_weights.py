"""Tensors that do not fit the config, are no numbers or lie elsewhere are refused by name (M6 to M10)."""

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.errors import RegardError
from regard.files import Stored, safetensors_bytes, write
from regard.pretrained import rows
from regard.pretrained.folder import read_folder

from .made import edit, refused, store, tensors_of

QUERY = "model.layers.1.self_attn.q_proj.weight"


def test_M7_a_missing_tensor_is_named(folder: Path) -> None:
    tensors = tensors_of(folder)
    del tensors[QUERY]
    store(folder, tensors)
    with refused(f"1 tensors do not fit config.json: {QUERY.removeprefix('model.')} missing"):
        read_folder(folder)


def test_M7_an_unexpected_tensor_is_named(folder: Path) -> None:
    store(folder, tensors_of(folder) | {"model.layers.1.extra.weight": np.ones(3, np.float32)})
    with refused("layers.1.extra.weight unexpected"):
        read_folder(folder)


def test_M7_a_turned_tensor_is_named_with_both_shapes(folder: Path) -> None:
    tensors = tensors_of(folder)
    store(folder, tensors | {QUERY: np.ascontiguousarray(tensors[QUERY].array.T)})
    with refused(f"{QUERY.removeprefix('model.')} (40, 192) instead of (192, 40)"):
        read_folder(folder)


def test_M7_of_many_faults_five_are_named_and_all_are_counted(folder: Path) -> None:
    tensors = tensors_of(folder)
    store(folder, {name: it for name, it in tensors.items() if "norm" not in name})
    count = sum("norm" in name for name in tensors)
    with pytest.raises(RegardError) as caught:
        read_folder(folder)
    assert f": {count} tensors do not fit config.json: layers.0." in str(caught.value)
    assert caught.value.what.count(" missing") == 5


def test_M7_a_tied_head_stored_twice_must_be_the_same(gpt2: Path) -> None:
    before, tensors = read_folder(gpt2), tensors_of(gpt2)
    table = tensors["transformer.wte.weight"].array
    store(gpt2, tensors | {"lm_head.weight": table})
    after = read_folder(gpt2)
    assert after.tensors.keys() == before.tensors.keys()
    assert "lm_head.weight" in str(after.notices)
    other = table.copy()
    other[3, 5] += 1
    store(gpt2, tensors | {"lm_head.weight": other})
    with refused("lm_head.weight", "differs", "tie_word_embeddings"):
        read_folder(gpt2)
    store(gpt2, tensors | {"lm_head.weight": table[:-1]})
    with refused("lm_head.weight"):
        read_folder(gpt2)


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.bool_], ids=str)
def test_M8_other_dtypes_are_refused_by_name(dtype: Any, folder: Path) -> None:
    tensors = tensors_of(folder)
    store(folder, tensors | {QUERY: tensors[QUERY].array.astype(dtype)})
    name = {"float64": "F64", "int8": "I8", "bool": "BOOL"}[np.dtype(dtype).name]
    with refused(QUERY, name, "F32, F16, BF16"):
        read_folder(folder)


def test_M8_eight_bit_floats_are_refused_by_name(folder: Path) -> None:
    """As a quantised checkpoint has them; the library's writer would not make one, so the header is edited."""
    tensors = tensors_of(folder)
    store(folder, tensors | {QUERY: tensors[QUERY].array.astype(np.uint8)})
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].replace(b'"U8"', b'"F8_E4M3"')
    file.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    with refused(QUERY, "F8_E4M3"):
        read_folder(folder)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_M9_numbers_that_are_none_are_counted_and_the_tensor_named(kind: str, folder: Path) -> None:
    tensors = tensors_of(folder)
    bad = tensors[QUERY].array.copy()
    bad[1, 2], bad[3, 4], bad[0, 0] = np.nan, np.inf, -np.inf
    narrow = {
        "F32": bad,
        "F16": bad.astype(np.float16),
        "BF16": Stored((bad.view(np.uint32) >> 16).astype(np.uint16), "BF16"),
    }
    store(folder, tensors | {QUERY: narrow[kind]})
    with refused(QUERY, f"3 of its {bad.size:,}"):
        read_folder(folder)


@pytest.mark.parametrize("field", ["num_hidden_layers", "vocab_size", "hidden_size", "intermediate_size", "head_dim"])
def test_M10_absurd_sizes_cost_nothing(field: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: object) -> None:
        raise AssertionError("a module was built")

    monkeypatch.setattr(rows, "Transformer", built)
    edit(folder / "config.json", **{field: 1_000_000_000})
    tracemalloc.start()
    start = time.perf_counter()
    with refused(str(folder), "parameters, the weights have"):
        read_folder(folder)
    assert time.perf_counter() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    edit(folder / "config.json", **{field: 2**40})
    with refused("config.json", field, str(2**40)):
        read_folder(folder)


def split(folder: Path, **files: str) -> None:
    """Two parts and their index; `files` replaces the names of the parts in the index."""
    tensors = tensors_of(folder)
    (folder / "model.safetensors").unlink()
    names = {"one": "model-1.safetensors", "two": "model-2.safetensors"}
    parts = {"one": dict(list(tensors.items())[:9]), "two": dict(list(tensors.items())[9:])}
    for part, held in parts.items():
        write(folder / names[part], safetensors_bytes(held))
    index = {name: files.get(part, names[part]) for part, held in parts.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def test_parts_with_plain_names_are_read(folder: Path) -> None:
    before = read_folder(folder)
    split(folder)
    after = read_folder(folder)
    assert all((after.tensors[name] == it).all() for name, it in before.tensors.items())


@pytest.mark.parametrize(
    "name", ["../model-2.safetensors", "/etc/passwd", "a/b.safetensors", "..", "model-2.bin", ".x.safetensors", ""]
)
def test_M6_names_that_lead_elsewhere_are_refused(name: str, folder: Path) -> None:
    split(folder, two=name)
    with refused("model.safetensors.index.json", "no plain .safetensors name"):
        read_folder(folder)


def _remove(folder: Path) -> None:
    (folder / "model-2.safetensors").unlink()


def _promise_more(folder: Path) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    edit(folder / "model.safetensors.index.json", weight_map=index | {"x.weight": "model-2.safetensors"})


def _store_twice(folder: Path) -> None:
    write(folder / "model-2.safetensors", (folder / "model-1.safetensors").read_bytes(), overwrite=True)


def _no_map(folder: Path) -> None:
    edit(folder / "model.safetensors.index.json", weight_map=[1])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_remove, ("model-2.safetensors", "missing")),
        (_promise_more, ("model-2.safetensors", "x.weight")),
        (_store_twice, ("model-2.safetensors", "lacks")),
        (_no_map, ("weight_map",)),
    ],
)
def test_M6_parts_that_do_not_hold_what_the_index_says_are_refused(
    damage: Callable[[Path], None], words: tuple[str, ...], folder: Path
) -> None:
    split(folder)
    damage(folder)
    with refused(*words):
        read_folder(folder)
