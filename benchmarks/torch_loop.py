"""The peer: a plain PyTorch loop that trains one bottleneck student after another."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


class Student(nn.Module):
    """yhat = D_k W x, with the decoder of each row gathered."""

    def __init__(self, width: int, inputs: int, tasks: int, block: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(inputs, width, bias=False)
        nn.init.orthogonal_(self.encoder.weight)
        self.decoders = nn.Parameter(torch.empty(tasks, block, width))
        bound = (3 / width) ** 0.5
        nn.init.uniform_(self.decoders, -bound, bound)

    def forward(self, x: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        """Predictions [B, d_T] of inputs [B, D]."""
        return torch.einsum("bjn,bn->bj", self.decoders[task], self.encoder(x))


def training(width: int, spectra: np.ndarray, inputs: int, rows: np.ndarray) -> Iterator[None]:
    """Trains one student; every `next` is a step.

    Args:
        width: N.
        spectra: eigenvalues [K, d_T].
        inputs: D.
        rows: task of each row of each batch, [L, B]; they are taken in turn, again and again.
    """
    tasks, block = spectra.shape
    model = Student(width, inputs, tasks, block)
    scale = torch.tensor(np.sqrt(spectra), dtype=torch.float32)
    own = torch.arange(tasks * block).reshape(tasks, block)  # coordinates of each task
    batches = torch.tensor(rows, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (1 + t / 1000) ** -0.5)
    step = 0
    while True:
        task = batches[step % len(batches)]
        x = torch.randn(len(task), inputs)
        y = x.gather(1, own[task]) * scale[task]
        loss = (model(x, task) - y).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        yield
