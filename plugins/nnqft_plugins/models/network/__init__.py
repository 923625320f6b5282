"""What the models of random networks share: fields, lines, vertices, activations, expansions."""
