"""How numbers, pages of text, curves and progress are shown; knows no physics."""
