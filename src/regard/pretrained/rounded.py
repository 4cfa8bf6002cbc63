"""A model's weights as they are written: on the CPU, in the dtype asked for; and the proof that they came back."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from regard.errors import RegardError
from regard.files import Stored
from regard.model.config import TransformerConfig
from regard.model.sequence import Sequence
from regard.model.transformer import Transformer
from regard.pretrained.folder import built

DTYPES = {"float32": (torch.float32, "F32"), "float16": (torch.float16, "F16"), "bfloat16": (torch.bfloat16, "BF16")}
"""As an option names it: torch's dtype, and that of safetensors."""

TOLERANCE = 1e-5
"""The largest difference of a logit in float32 (M17); the same weights on the same machine give 0."""


def whole_state(model: Transformer) -> dict[str, Tensor]:
    """The model's tensors by name, float32 on the CPU. Raises RegardError for NaN or Inf, naming the tensor (M9)."""
    state = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in model.state_dict().items()}
    for name, tensor in state.items():
        if bad := int((~tensor.isfinite()).sum()):
            what = f"{bad:,} of its {tensor.numel():,} numbers are NaN or infinite"
            raise RegardError(f"export: tensor {name!r}", what, "export an earlier checkpoint")
    return state


def check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise RegardError("--dtype", f"{dtype!r} is not known", f"choose one of {', '.join(DTYPES)}")


def narrowed(tensor: Tensor, dtype: str, name: str) -> Tensor:
    """The tensor in the dtype. Raises RegardError, naming it, if float16 cannot hold a number of it (M17)."""
    narrow = tensor.to(DTYPES[dtype][0])
    if not narrow.isfinite().all():
        what = f"{tensor.abs().max():.4g} is too large for {dtype}, which ends at {torch.finfo(narrow.dtype).max:.4g}"
        raise RegardError(f"export: tensor {name!r}", what, "choose bfloat16")
    return narrow


def stored(tensor: Tensor, dtype: str) -> Stored:
    """As safetensors keeps it; numpy has no bfloat16, whose bits travel as uint16."""
    array = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()
    return Stored(array.view(np.uint16) if tensor.dtype == torch.bfloat16 else array, DTYPES[dtype][1])


@torch.no_grad()
def difference(
    config: TransformerConfig, state: Mapping[str, Tensor],
    back_config: TransformerConfig, back: Mapping[str, Tensor], dtype: str, where: str,
) -> float:  # fmt: skip
    """The largest difference of a logit, before and after, on a fixed random prompt: what rounding did; 0 in float32.

    Raises RegardError (our fault, code 1) unless config and tensors came back exactly, up to the dtype's rounding.
    """

    def wrong(what: str) -> RegardError:
        return RegardError(where, f"the export read back differs: {what}", "report this as a fault of regard", 1)

    if replace(back_config, dropout=config.dropout) != config:
        raise wrong("another config")
    exact = {name: tensor.to(DTYPES[dtype][0]).float() for name, tensor in state.items()}
    for name, tensor in exact.items():
        if name not in back or not (torch.equal(tensor, back[name]) or torch.equal(state[name], back[name])):
            raise wrong(f"tensor {name}")
    ids = torch.randint(config.vocabulary, (2, min(config.context, 32)), generator=torch.Generator().manual_seed(0))
    logits = [built(config, tensors)(Sequence.text(ids)) for tensors in (state, back)]
    largest = float((logits[0] - logits[1]).abs().max())
    if dtype == "float32" and not largest <= TOLERANCE:
        raise wrong(f"a logit by {largest:.2g}")
    return largest
