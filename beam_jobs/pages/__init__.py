"""Pages and pictures of a conversion: overview, preview, gallery of recipes."""
