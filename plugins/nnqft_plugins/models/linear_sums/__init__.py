"""All orders of the linear network, in closed form."""
