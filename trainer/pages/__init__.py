"""Pages people read: their templates, drawings, pictures and words."""
