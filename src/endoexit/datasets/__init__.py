"""Public data sets: where they come from, what is known of them, how their folders look."""
