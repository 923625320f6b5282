"""Models: each file one, and what the networks among them share in a room of its own."""
