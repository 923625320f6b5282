"""The vertex and propagator interface: fields, lines, vertices, the action and the theory they make."""
