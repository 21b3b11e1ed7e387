from __future__ import annotations

import pytest
import torch

from rerec_engine.training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 40, 8), (1, 8, 40)])
def test_orthogonalise_brings_singular_values_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrices)
    values = torch.linalg.svdvals(found)
    assert found.shape == matrices.shape
    assert values.min() > 0.5
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    alignment = ((u @ vh) * found).sum((1, 2)) / found.norm(dim=(1, 2)) / (u @ vh).norm(dim=(1, 2))
    assert alignment.min() > 0.97


def test_muon_solves_a_matrix_problem_and_keeps_equal_shapes_apart():
    generator = torch.Generator().manual_seed(0)
    targets = [torch.randn(6, 4, generator=generator) for _ in range(2)]
    weights = [torch.nn.Parameter(torch.zeros(6, 4)) for _ in targets]
    unused = torch.nn.Parameter(torch.ones(6, 4))
    optimizer = Muon([*weights, unused], lr=0.05)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
        loss = sum((w - t).square().sum() for w, t in zip(weights, targets, strict=True))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all((w - t).abs().max() < 0.05 for w, t in zip(weights, targets, strict=True))
    assert torch.equal(unused, torch.ones(6, 4))
