"""What there is to be told about the system itself: kinds of alerts, with their thresholds and their words."""

from typing import Final, NamedTuple

from md_contract.signals import Severity


class Kind(NamedTuple):
    """One kind of alert. It fires when its value has been at `fires_at` or above for `hold_s`, and resolves when it has
    been below `resolves_below` for `quiet_s`.

    The texts say what happened, where, and what to do; they know `{value}`, `{subject}` and `{why}`.
    """

    severity: Severity
    fires_at: float
    resolves_below: float
    hold_s: float
    quiet_s: float
    firing: str
    resolved: str
    summary: str = ""  # instead of `firing`, where too many fire at once; knows `{value}`, their number
    summary_resolved: str = ""


KINDS: Final[dict[str, Kind]] = {
    "latency": Kind(
        "warning", 1_000.0, 500.0, 0, 5,
        "events take {value:.0f} ms from the venue's clock until they are worked off: see queue and rates at /stats",
        "events take {value:.0f} ms again",
    ),
    "gap": Kind(
        "warning", 1, 1, 0, 60,
        "{value:.0f} messages were lost between producer and consumer: see the slow consumers of NATS, and /stats bus",
        "no message was lost in the last minute; {value:.0f} in all of this gap",
    ),
    "backpressure": Kind(
        "critical", 0.9, 0.7, 0, 5,
        "the queue is {value:.0%} full, so quotes and books are dropped: too many events for this consumer",
        "the queue is {value:.0%} full again",
    ),
    "stale": Kind(
        "warning", 1, 1, 0, 10,
        "no event of {subject} for {why}, far longer than usual: see its feed at the producer's /health; if events "
        "arrive, they may be dropped as repeats: see bus.duplicates at /stats",
        "{subject} speaks again, or is no longer followed",
        "{value:.0f} symbols have fallen silent at about the same time: see the producer's /health",
        "all of these symbols speak again, or are no longer followed",
    ),
    "source_switch": Kind(
        "info", 1, 1, 0, 10,
        "{subject} now comes from {why}: its windows begin anew; see the producer's /providers",
        "the windows of {subject} hold one source again",
        "{value:.0f} symbols have changed their source at about the same time: see the producer's /providers",
        "the windows of all of these symbols hold one source again",
    ),
    "split_symbol": Kind(
        "critical", 0.2, 0.05, 20, 30,
        "{value:.0%} of the messages follow a hole in seq, so somebody else gets the rest and features are wrong: "
        "another consumer is in the queue group senpai-md; stop it, run one",
        "every message arrives here again",
    ),
    "nats": Kind(
        "critical", 1, 1, 0, 5,
        "there was no connection to NATS: start NATS, or check NATS_URL; the service connects by itself",
        "connected to NATS again",
    ),
    "duplicates": Kind(
        "warning", 0.2, 0.05, 0, 30,
        "messages repeat a seq ({value:.0%} of the last ones) and are dropped, or had to be numbered anew: two "
        "producers or providers publish the same symbols with one epoch, or somebody forges seq; see bus at /stats",
        "messages are numbered as they should be again",
    ),
    "plugin_off": Kind(
        "warning", 1, 1, 0, 10,
        "the plug-in {subject} was switched off: {why}; mend it and restart the service",
        "the plug-in {subject} works again",
        "{value:.0f} plug-ins were switched off: see /stats",
        "all of these plug-ins work again",
    ),
}  # fmt: skip
