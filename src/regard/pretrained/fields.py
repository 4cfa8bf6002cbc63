"""config.json and a TransformerConfig, each made from the other by one family's table."""

from collections.abc import Mapping
from typing import Any

from regard.errors import Notice, RegardError
from regard.model.config import TransformerConfig
from regard.pretrained.document import get, is_there, put, shown
from regard.pretrained.rows import several
from regard.pretrained.table import Family, Field, Values


def flat(config: TransformerConfig) -> Values:
    """Every value but dropout, which belongs to training and not to what the model is."""
    found: Values = {}
    for name, value in config.to_json().items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": it for inner, it in value.items()}
        elif name != "dropout":
            found[name] = value
    return found


def folded(values: Values) -> TransformerConfig:
    """The inverse of `flat`, without dropout."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        put(nested, path, value)
    return TransformerConfig.from_json(nested)


def read_config(family: Family, theirs: Mapping[str, Any], where: str) -> tuple[TransformerConfig, tuple[Notice, ...]]:
    """config.json in our words, and what was taken for granted. Raises RegardError naming the field (M11)."""
    values, notices = read_values(family, theirs, where)
    return folded(values | family.always(values)), notices


def read_values(family: Family, theirs: Mapping[str, Any], where: str) -> tuple[Values, tuple[Notice, ...]]:
    """The same before it becomes a configuration: what the family's fields say, and no more."""
    for demand in family.fixed:
        value = get(theirs, demand.theirs)
        if value is not None and not demand.fits(value):
            what = f"{demand.theirs} is {shown(value)}, which regard does not compute for {family.name}"
            raise RegardError(where, what, f"give a model with {demand.theirs} {demand.allowed}")
    values, granted = read_fields(family.fields, theirs, where)
    for rule in family.rules:
        if not rule.fits(values):
            of = next(field for field in family.fields if rule.theirs in several(field.theirs))
            what = f"{rule.theirs} is {values[several(of.ours)[0]]}"
            raise RegardError(where, what, f"it must be {rule.wants}")
    strange = _strangers(family, theirs)
    notices = (
        Notice("field(s) missing from config.json, taken as transformers does", len(granted), granted),
        Notice("field(s) of config.json not followed", len(strange), strange),
    )
    return values, tuple(notice for notice in notices if notice.count)


def read_fields(fields: tuple[Field, ...], theirs: Mapping[str, Any], where: str) -> tuple[Values, tuple[str, ...]]:
    """Our values, and those of fields that are missing, as "field = value". Raises RegardError naming the field."""
    values: Values = {}
    granted = list[str]()
    for field in fields:
        ours = _read_field(field, theirs, values, where)
        values |= dict.fromkeys(several(field.ours), ours)
        if not any(is_there(theirs, place) for place in several(field.theirs)):  # null is there, and says: as usual
            granted.append(f"{several(field.theirs)[-1]} = {ours}")
    return values, tuple(granted)


def _read_field(field: Field, theirs: Mapping[str, Any], values: Values, where: str) -> Any:
    """Our value of one field; `values` are those read before it."""
    given = {place: value for place in several(field.theirs) if (value := get(theirs, place)) is not None}
    if not given:
        if field.missing is None:
            raise RegardError(where, f"{several(field.theirs)[-1]} is missing", f"it must be {field.kind.allowed}")
        return field.missing(values)
    if len({repr(value) for value in given.values()}) > 1:
        said = ", ".join(f"{place} = {shown(value)}" for place, value in given.items())
        raise RegardError(where, f"two fields for one thing differ: {said}", "remove the wrong one")
    place, value = next(iter(given.items()))
    try:
        return field.kind.read(value)
    except ValueError:
        raise RegardError(where, f"{place} is {shown(value)}", f"it must be {field.kind.allowed}") from None


def _strangers(family: Family, theirs: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields that the table does not know, among them those that ask for code: they are named, and never followed."""
    paths = [place for field in family.fields for place in several(field.theirs)]
    paths += [demand.theirs for demand in family.fixed] + list(family.written)
    known = {path.split(".")[0] for path in paths} | family.silent
    return tuple(sorted(name for name, value in theirs.items() if name not in known and value is not None))


def misfits(family: Family, config: TransformerConfig) -> list[str]:
    """The parts of our config that the family does not have; none: it can be written as one of the family."""
    values = flat(config)
    found = [
        f"{path} {values[path]} ({family.name} has {want})"
        for path, want in family.always(values).items()
        if values[path] != want
    ]
    for field in family.fields:
        first, *others = several(field.ours)
        found += [
            f"{path} {values[path]} ({first} is {values[first]})" for path in others if values[path] != values[first]
        ]
        try:
            field.kind.read(field.kind.write(values[first]))
        except ValueError:
            found.append(f"{first} {values[first]} (in {family.name} it is {field.kind.allowed})")
    return found + [f"{rule.theirs} (it must be {rule.wants})" for rule in family.rules if not rule.fits(values)]


def write_config(family: Family, config: TransformerConfig) -> dict[str, Any]:
    """The fields of config.json; `misfits` must have found none."""
    values = flat(config)
    theirs: dict[str, Any] = {"architectures": [family.architecture], "model_type": family.model_type}
    for field in family.fields:
        for place in several(field.theirs):
            put(theirs, place, field.kind.write(values[several(field.ours)[0]]))
    for place, value in family.written.items():
        put(theirs, place, value)
    return theirs
