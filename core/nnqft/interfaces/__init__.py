"""What a plugin implements: a page for each kind."""
