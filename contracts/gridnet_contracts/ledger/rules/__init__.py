"""What each action does: the only place that says so. Pure: state in, state and movements out."""
