"""What a piece of code and its data are, as a digest: all that can be reached from them, or the reason why not."""
