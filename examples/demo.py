"""The main job: C(τ) of the linear network to order 3 and 1/N, by VEGAS on an embedded Ray cluster, then exactly."""

from pathlib import Path

import numpy as np

import nnqft


def main() -> None:
    """Compute, print the table, write out/demo.png and out/demo.json."""
    theory = nnqft.theory("linear", N=100, gamma=1.0, kappa=1.0, sigma_w=0.5, sigma_b=0.1)
    question = {"order": 3, "width_order": 1, "tau": [0.25 * n for n in range(21)], "rtol": 2e-4}
    result = nnqft.compute(theory, "two_point", **question, integrator="vegas", executor="ray", progress=True)
    print(result.table())

    exact = nnqft.compute(theory, "two_point", **question, integrator="exact")
    pulls = (result.mean - exact.mean) / result.sdev
    print(f"against the exact integrals: largest of {len(pulls)} deviations {np.abs(pulls).max():.1f} standard errors")

    folder = Path("out")
    folder.mkdir(exist_ok=True)
    result.save(folder / "demo.json")
    result.plot().figure.savefig(folder / "demo.png", dpi=150)
    print(f"wrote {folder / 'demo.png'} and {folder / 'demo.json'}")


if __name__ == "__main__":
    main()
