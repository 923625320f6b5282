"""The shortest full run: rules, diagrams, numbers."""

import nnqft

theory = nnqft.theory("linear", N=100, sigma_w=0.5)
print(theory.rules)

for diagram in nnqft.diagrams(theory, "two_point", order=1):
    print(diagram.family, diagram.weight, diagram)

result = nnqft.compute(theory, "two_point", order=2, tau=[0.0, 1.0, 2.0], rtol=1e-3)
print(result.table())
print("1/N part of order 2 at τ = 0:", result.contribution(order=2, width=1).mean[0])
