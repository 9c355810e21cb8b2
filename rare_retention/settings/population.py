"""Population values of the bottleneck student: losses, signals and gradients without sampling.

With x ~ N(0, I_D) the loss of task k is ||D_k W - A_k||_F^2, A_k = Lambda_k^(1/2) B_k^T, and its
gradients have closed forms, so that G_r and G_F exist at every step, also when the batch holds no
rare row. Everything here is for one student; the setting maps it over students.
"""

import jax
import jax.numpy as jnp


def residuals(encoder: jax.Array, decoders: jax.Array, scale: jax.Array) -> jax.Array:
    """Residual maps E_k = D_k W - A_k.

    Args:
        encoder: W [N, D].
        decoders: D_k [k, d_T, N], of k tasks that own the first k d_T coordinates in order.
        scale: square roots of the spectra, [k, d_T].

    Returns:
        E, [k, d_T, D].
    """
    tasks, block, width = decoders.shape
    product = decoders.reshape(-1, width) @ encoder
    target = scale.reshape(-1, 1) * jnp.eye(tasks * block, encoder.shape[1])
    return (product - target).reshape(tasks, block, -1)


def losses(encoder: jax.Array, decoders: jax.Array, scale: jax.Array) -> jax.Array:
    """Population loss l_k = E||y_k - yhat_k||^2 of each task under its own decoder, [K]."""
    return jnp.square(residuals(encoder, decoders, scale)).sum((-2, -1))


def task_loss(encoder: jax.Array, decoders: jax.Array, scale: jax.Array, task: int) -> jax.Array:
    """Population loss of one task, at the cost of its own d_T rows; shapes as in `residuals`."""
    block = scale.shape[1]
    target = scale[task][:, None] * jnp.eye(block, encoder.shape[1], k=task * block)
    return jnp.square(decoders[task] @ encoder - target).sum()


def encoder_gradient(weight: jax.Array, decoders: jax.Array, residual: jax.Array) -> jax.Array:
    """Gradient of sum_k weight_k l_k with respect to W: sum_k 2 weight_k D_k^T E_k, [N, D]."""
    weighted = decoders * (2 * weight)[:, None, None]
    width, inputs = decoders.shape[-1], residual.shape[-1]
    return weighted.reshape(-1, width).T @ residual.reshape(-1, inputs)


def row_basis(encoder: jax.Array) -> jax.Array:
    """Orthonormal basis of the row space of W, U^T [N, D], so that P_W = U U^T.

    Shifted Cholesky-QR (Fukaya et al. 2020): matmuls but for N x N factors, and orthonormal to
    float32 rounding for condition numbers of W up to about 10^6. One shifted pass is enough up to
    10^5 only; beyond, the pass after it would factorise a singular matrix.
    """
    basis = encoder
    for shift in (1e-6, 1e-6, 0.0, 0.0):
        gram = basis @ basis.T
        eye = jnp.eye(gram.shape[0], dtype=gram.dtype)
        factor = jnp.linalg.cholesky(gram + shift * jnp.trace(gram) * eye)
        basis = jax.scipy.linalg.solve_triangular(factor, basis, lower=True)
    return basis


def signals(basis: jax.Array, spectra: jax.Array) -> jax.Array:
    """Captured share s_k(U) = Tr(P_U C_k) / Tr(C_k), [K].

    Args:
        basis: U^T with orthonormal rows, [N, D].
        spectra: eigenvalues lambda [K, d_T].
    """
    captured = jnp.square(basis).sum(0)[: spectra.size].reshape(spectra.shape)
    return (captured * spectra).sum(-1) / spectra.sum(-1)


def common_gradient(basis: jax.Array, moment: jax.Array) -> jax.Array:
    """G_F(U)^T = 2 U^T M_F (I - P_U), [N, D], of Theorem 4 at orthonormal U.

    Args:
        basis: U^T with orthonormal rows, [N, D].
        moment: the diagonal of M_F = sum_{k in F} pi_k C_k in the coordinates of the input, [D].
    """
    weighted = basis * moment[None]
    return 2 * (weighted - (weighted @ basis.T) @ basis)
