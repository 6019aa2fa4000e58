"""Learning: task types, the training context, export, evaluation, gates and the report. Torch lives here alone."""
