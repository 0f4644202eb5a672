"""When a webhook that was not delivered is sent again; pure.

Source: the Standard Webhooks specification 1.0, "Deliverability and reliability".
"""

RETRIES = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The seconds between two attempts, about three days in all."""

RELAY_RETRIES = (5.0, 25.0, 90.0, 120.0, *RETRIES[2:])
"""For a webhook of fal: four of them come while its signature is valid, which is for 300 s."""

SPREAD = 0.1


def pause(tries: int, retries: tuple[float, ...], after: float | None, luck: float) -> float | None:
    """Return the seconds until the next attempt after `tries` that failed; None when there is none.

    `after` is what the receiver has asked for at least, `luck` (0 to 1) spreads the attempts of many.
    """
    if tries > len(retries):
        return None
    return max(retries[tries - 1] * (1 - SPREAD + 2 * SPREAD * luck), after or 0.0)
