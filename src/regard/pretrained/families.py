"""The fixed list of architectures that regard reads and writes; nothing outside of it can be asked for by a folder."""

from regard.errors import RegardError
from regard.model.config import TransformerConfig
from regard.pretrained.document import shown
from regard.pretrained.fields import misfits
from regard.pretrained.gpt2 import GPT2
from regard.pretrained.llama import LLAMA
from regard.pretrained.qwen3 import QWEN3
from regard.pretrained.table import Family
from regard.pretrained.vit import VIT

FAMILIES = {family.architecture: family for family in (QWEN3, LLAMA, GPT2)}  # a name here, a table beside
"""Of language models; a model of pictures, ViT, has a door of its own (vit.py)."""


def family_asked_for(architectures: object, where: str) -> Family:
    """The family of config.json's `architectures`. Raises RegardError with the whole list for any other (M12)."""
    known = ", ".join([*FAMILIES, VIT.architecture])
    do = f"give a folder of one of {known}; regard runs no code that comes with a model"
    if architectures is None:
        raise RegardError(where, "architectures is missing, so this is no language model's folder", do)
    if not isinstance(architectures, list) or len(architectures) != 1 or architectures[0] not in list(FAMILIES):
        raise RegardError(where, f"architectures is {shown(architectures)}", do)
    return FAMILIES[architectures[0]]


def family_of(config: TransformerConfig) -> Family:
    """The family that has every part of the config, Qwen3 first. Raises RegardError naming the part that none has."""
    found = {family.name: misfits(family, config) for family in FAMILIES.values()}
    fitting = [family for family in FAMILIES.values() if not found[family.name]]
    if fitting:
        return fitting[0]
    nearest = min(found, key=lambda name: len(found[name]))
    raise RegardError(
        "export", f"no format that other programs read has {', '.join(found[nearest][:3])}",
        f"train with {nearest}'s parts; {nearest} is the nearest format")  # fmt: skip
