"""Does theory say what networks do? A table for linear networks of two widths, and one for how small changes grow."""

import nnqft

theory = nnqft.theory("linear", sigma_w=0.5)
found = nnqft.check(theory, "two_point", tau=[0.0, 1.0, 2.0], N=[20, 50])
print(found)
print("agrees:", found.agrees, "· differences in errors:", found.agreement.round(1).tolist())

chaos = nnqft.theory("taylor", activation="tanh", expansion="bare", start="rest", sigma_w=1.8, kappa=0.3, N=50)
print(nnqft.check(chaos, "gradient", times=[(1, 0), (2, 0), (3, 0)], samples=100))
