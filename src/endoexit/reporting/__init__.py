"""An evaluation as a page with figures, for people who want to look."""
