"""How the learning rate goes: up, flat, then down to zero when the steps or the minutes end (WSD, Hu et al. 2024)."""


def factor(step: int, progress: float, warm_up: int, cool_down: float) -> float:
    """What the learning rate is multiplied by, 0 to 1.

    step counts from 0; progress is the share of the training that is over, of its steps or its time; the last
    `cool_down` of it falls linearly. A machine that slows down makes fewer steps but still ends at zero.
    """
    up = min(1.0, (step + 1) / (warm_up + 1))
    down = min(1.0, (1.0 - progress) / cool_down) if cool_down > 0 else 1.0
    return up * max(0.0, down)
