"""The main job: C(τ) of the linear network to order 3 and 1/N, on an embedded Ray cluster."""

from pathlib import Path

import nnqft


def main() -> None:
    """Compute, print the table, write out/demo.png and out/demo.json."""
    theory = nnqft.theory("linear", N=100, gamma=1.0, kappa=1.0, sigma_w=0.5, sigma_b=0.1)
    result = nnqft.compute(
        theory,
        "two_point",
        order=3,
        width_order=1,
        tau=[0.25 * n for n in range(21)],
        rtol=2e-4,
        executor="ray",
        progress=True,
    )
    print(result.table())

    folder = Path("out")
    folder.mkdir(exist_ok=True)
    result.save(folder / "demo.json")
    result.plot().figure.savefig(folder / "demo.png", dpi=150)
    print(f"wrote {folder / 'demo.png'} and {folder / 'demo.json'}")


if __name__ == "__main__":
    main()
