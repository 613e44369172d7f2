"""Pages people read: templates, plots, pictures and words."""
