"""The folder of a ViT as transformers writes it, read into our words: config, weights, how pictures become tokens."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from regard.errors import Notice, RegardError
from regard.model.config import TransformerConfig
from regard.model.transformer import Transformer
from regard.pretrained import weights
from regard.pretrained.document import read_json, shown
from regard.pretrained.fields import folded, read_fields, read_values
from regard.pretrained.folder import CONFIG, LARGEST_CONFIG, built, opened
from regard.pretrained.vit import VIT, rows_of, scales, scaling

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class PretrainedViT:
    """What a folder holds. Nothing of it is run, nothing is fetched."""

    config: TransformerConfig
    tensors: dict[str, Tensor]
    """By our names, float32; exactly the state of Transformer(config)."""
    size: tuple[int, int]
    """Height and width of a picture, in pixels."""
    patch: tuple[int, int]
    """Of a patch."""
    channels: int
    mean: tuple[float, ...]
    """Of each channel: what is taken from a byte / 255."""
    deviation: tuple[float, ...]
    """What the rest is divided by."""
    classes: tuple[str, ...]
    """What the scores are called."""
    notices: tuple[Notice, ...]
    """What was widened, defaulted or not followed."""

    def build(self) -> Transformer:
        """The model, on the CPU, in evaluation mode; it shares memory with `tensors`."""
        return built(self.config, self.tensors)


def read_vit(path: Path) -> PretrainedViT:
    """Reads config.json, preprocessor_config.json and the weights. Raises RegardError (rows M1 to M12, M16)."""
    path, theirs = opened(path)
    where, asked = str(path / CONFIG), theirs.get("architectures")
    if asked != [VIT.architecture]:
        what = f"architectures is {shown(asked)}, and of ViTs only one that scores classes can be asked"
        raise RegardError(where, what, f"give a folder of a {VIT.architecture}; regard runs no code of a model's")
    values, granted = read_values(VIT, theirs, where)
    whole = values | VIT.always(values)
    config = folded({name: value for name, value in whole.items() if not name.startswith("picture.")})
    channels, patch = values["picture.channels"], values["picture.patch"]
    mean, deviation, said = _scales(path, channels)
    found = weights.find(path, VIT)
    family = replace(VIT, rows=rows_of(config, channels, patch, found))
    places, ignored = weights.check(found, family, config, path)
    return PretrainedViT(
        config, weights.read(found, places), values["picture.size"], patch, channels, mean, deviation,
        values["picture.classes"], (*granted, *said, *weights.notices(found, places, ignored)),
    )  # fmt: skip


def _scales(path: Path, channels: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[Notice, ...]]:
    """Mean and deviation of each channel, and which fields were missing; without the file all of them are."""
    file = path / PREPROCESSOR
    theirs = read_json(file, LARGEST_CONFIG) if file.exists() else {}
    values, granted = read_fields(scaling(channels), theirs, str(file))
    said = Notice(f"field(s) missing from {PREPROCESSOR}, taken as transformers does", len(granted), granted)
    return *scales(values), (said,) if granted else ()
