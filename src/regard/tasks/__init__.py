"""The tasks: what can be asked of each kind of data, and the file that asks it. A new one is a line in this table."""

TASKS = {
    "text": {"language": "regard.tasks.language"},
    "labelled_text": {"classification": "regard.tasks.labelled_texts"},
    "pictures": {
        "classification": "regard.tasks.labelled_pictures",
        "distillation": "regard.tasks.distilled_pictures",
    },
    "sounds": {"classification": "regard.tasks.labelled_sounds"},
    "series": {"forecasting": "regard.tasks.series"},
}
"""The first of a kind is asked where --task names none."""
