"""The only part of regard that writes durably: what appears under its name is whole, whenever the process is killed.

durable.py has the operations and the tests' `hook` (set `regard.files.durable.hook`); the rest is built from them.
"""

from regard.files.checkpoints import (
    Checkpoint,
    best,
    checkpoints,
    leftovers,
    newest,
    read_checkpoint,
    verify,
)
from regard.files.commit import commit_checkpoint, prune, remove_leftovers, set_aside_damaged
from regard.files.durable import Content, Written, create, free_bytes, make_folder, refusing
from regard.files.header import Entry, read_safetensors_header
from regard.files.lock import Lock
from regard.files.log import Log, last_attempt
from regard.files.outputs import check_new, write, write_folder
from regard.files.tensors import SafetensorsContent, Stored, count_not_finite, read_safetensors, safetensors_bytes
from regard.files.writable import check_name, probe

__all__ = [
    "Checkpoint",
    "Content",
    "Entry",
    "Lock",
    "Log",
    "SafetensorsContent",
    "Stored",
    "Written",
    "best",
    "check_name",
    "check_new",
    "checkpoints",
    "commit_checkpoint",
    "count_not_finite",
    "create",
    "free_bytes",
    "last_attempt",
    "leftovers",
    "make_folder",
    "newest",
    "probe",
    "prune",
    "read_checkpoint",
    "read_safetensors",
    "read_safetensors_header",
    "refusing",
    "remove_leftovers",
    "safetensors_bytes",
    "set_aside_damaged",
    "verify",
    "write",
    "write_folder",
]
