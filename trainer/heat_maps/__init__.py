"""Where a network looks: heat maps, whether they can be trusted, whether they hit."""
