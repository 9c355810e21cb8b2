"""K linear-regression tasks on orthogonal blocks of a Gaussian input (paper Sec. 3, App. B.1)."""

import numpy as np

from rare_retention.config import ConfigError, From0, Positive, config
from rare_retention.theory.utility import power_prior, power_spectrum

_SUM_TOLERANCE = 1e-6


@config
class RegressionTasks:
    """A mixture of K regressions: task k owns the input coordinates [k d_T, (k + 1) d_T).

    The target of task k is y = Lambda_k^(1/2) B_k^T x with x ~ N(0, I_D), so that its covariance
    C_k has the eigenvalues lambda_{k,1} >= ... >= lambda_{k,d_T}.

    Attributes:
        inputs: D, the number of input coordinates.
        count: K, the number of tasks.
        block: d_T, the number of directions of each task; K d_T <= D.
        prior_exponent: beta of the prior pi_k ~ k^-beta (k = 1 is the most frequent task).
        prior: the K frequencies themselves, most frequent first; replaces `prior_exponent`. A task
            of frequency 0 is a sham: it is measured as all others are and never shown.
        spectrum_exponents: (alpha of the least frequent task, alpha of the most frequent one) of
            the spectra lambda_{k,j} ~ j^-alpha_k; linear in k between them. Equal exponents give
            every task the same complexity; a steeper spectrum is a simpler task (Figs. 12-16).
    """

    inputs: Positive = 1024
    count: Positive = 32
    block: Positive = 32
    prior_exponent: float = 1.0
    prior: tuple[float, ...] = ()
    spectrum_exponents: tuple[From0, From0] = (2.0, 2.0)

    def __post_init__(self) -> None:
        if self.count * self.block > self.inputs:
            if self.count > self.inputs:
                raise ConfigError(
                    "count", f"{self.count} tasks need as many inputs, but inputs = {self.inputs}"
                )
            raise ConfigError(
                "block",
                f"{self.count} tasks of {self.block} directions need {self.count * self.block} "
                f"inputs, but inputs = {self.inputs}; use a block of at most "
                f"{self.inputs // self.count}",
            )
        if self.prior:
            self._check_prior()

    def _check_prior(self) -> None:
        if len(self.prior) != self.count:
            raise ConfigError(
                "prior",
                f"expected one frequency for each of {self.count} tasks, got {len(self.prior)}",
            )
        if min(self.prior) < 0:
            raise ConfigError("prior", f"expected frequencies from 0 to 1, got {min(self.prior)}")
        if abs(sum(self.prior) - 1) > _SUM_TOLERANCE:
            scaled = tuple(round(p / sum(self.prior), 6) for p in self.prior)
            shown = str(scaled) if self.count <= 8 else "each divided by the sum"
            raise ConfigError(
                "prior", f"expected a sum of 1, got {sum(self.prior):.6g}; nearest: {shown}"
            )
        if any(a < b for a, b in zip(self.prior, self.prior[1:], strict=False)):
            raise ConfigError("prior", "expected the most frequent task first, descending")

    def frequencies(self) -> np.ndarray:
        """Prior pi [K], float64, descending, sum 1."""
        if self.prior:
            return np.asarray(self.prior, np.float64) / sum(self.prior)
        return power_prior(self.count, self.prior_exponent)

    def exponents(self) -> np.ndarray:
        """Spectral exponents alpha_k [K]; the most frequent task has the last configured one."""
        rare, frequent = self.spectrum_exponents
        return np.linspace(frequent, rare, self.count)

    def spectra(self) -> np.ndarray:
        """Eigenvalues lambda [K, d_T], float64, each row descending from 1."""
        return np.stack([power_spectrum(self.block, alpha) for alpha in self.exponents()])
