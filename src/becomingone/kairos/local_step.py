"""The documents' own local step, kept word for word for compatibility."""

from __future__ import annotations

from becomingone.errors import KernelError


def local_step(phase: complex, history: complex, alpha: float) -> tuple[complex, float]:
    """Return ``local_phase = α·phase + (1−α)·history`` and ``local_coherence = |local_phase|``.

    This measures **loudness, not coherence**: a constant temperature of 0.9 is "0.9 coherent", and so is any noise
    that never changes sign (brightness noise scores 0.84). It is kept so that the documents' numbers can be
    reproduced; everything else in the kernel uses :class:`becomingone.kairos.channel.kernel.ChannelKernel`.

    Parameters
    ----------
    phase : complex
        The newest encoded sample.
    history : complex
        The previous ``local_phase``.
    alpha : float
        Weight of the newest sample, 0..1.

    Returns
    -------
    local_phase : complex
    local_coherence : float
        The modulus of ``local_phase``; exceeds 1 if the input does.

    Raises
    ------
    KernelError
        When ``alpha`` is outside 0..1.
    """
    if not 0.0 <= alpha <= 1.0:
        raise KernelError(f"alpha is {alpha!r}; it must be within 0..1")
    local_phase = alpha * phase + (1 - alpha) * history
    return local_phase, abs(local_phase)
