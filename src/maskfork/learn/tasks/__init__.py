"""One file a task: from columns to a trained model and back to answers."""
