"""The talk's closed forms, a published reference."""

from nnqft_plugins.networks.published.forms import Published, published

__all__ = ["Published", "published"]
