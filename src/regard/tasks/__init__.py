"""The tasks: a kind of data here, a file beside. A new one is a line in this table."""

TASKS = {
    "text": "regard.tasks.language",
    "pictures": "regard.tasks.labelled_pictures",
}
