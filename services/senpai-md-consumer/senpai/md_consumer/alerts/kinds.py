"""What there is to be told about the system itself: kinds of alerts, with their thresholds and their words."""

from typing import Final, NamedTuple

from md_contract.signals import Severity


class Kind(NamedTuple):
    """One kind of alert. It fires when its value has been at `fires_at` or above for `hold_s`, and resolves when it has
    been below `resolves_below` for `quiet_s`. Unless said otherwise its value is a count, or says that something is so.

    The texts say what happened, where, and what to do; they know `{value}`, `{subject}` and `{why}`.
    """

    severity: Severity
    quiet_s: float
    firing: str
    resolved: str
    fires_at: float = 1
    resolves_below: float = 1
    hold_s: float = 0
    summary: str = ""  # instead of `firing`, where too many fire at once; knows `{value}`, their number
    summary_resolved: str = ""


KINDS: Final[dict[str, Kind]] = {
    "latency": Kind(
        "warning", fires_at=1_000.0, resolves_below=500.0, quiet_s=5,
        firing="events take {value:.0f} ms from the venue's clock until they are worked off: see queue and rates at "
        "/stats",
        resolved="events take {value:.0f} ms again",
    ),
    "gap": Kind(
        "warning", quiet_s=60,
        firing="{value:.0f} messages were lost between producer and consumer: see the slow consumers of NATS, and "
        "/stats bus",
        resolved="no message was lost in the last minute; {value:.0f} in all of this gap",
    ),
    "backpressure": Kind(
        "critical", fires_at=0.9, resolves_below=0.7, quiet_s=5,
        firing="the queue is {value:.0%} full, so quotes and books are dropped: too many events for this consumer",
        resolved="the queue is {value:.0%} full again",
    ),
    "stale": Kind(
        "warning", quiet_s=10,
        firing="no event of {subject} for {why}, far longer than usual: see its feed at the producer's /health; if "
        "events arrive, they may be dropped as repeats: see bus.duplicates at /stats",
        resolved="{subject} speaks again, or is no longer followed",
        summary="{value:.0f} symbols have fallen silent at about the same time: see the producer's /health",
        summary_resolved="all of these symbols speak again, or are no longer followed",
    ),
    "feed_gap": Kind(
        "warning", quiet_s=60,
        firing="the feed of {subject} has lost {why} for good: see the producer's log and /bus-stats; what looks back "
        "over the gap is not trusted",
        resolved="the feed of {subject} has lost nothing in the last minute",
        summary="the feeds of {value:.0f} symbols have lost events at about the same time: see the producer's log and "
        "/bus-stats",
        summary_resolved="these feeds have lost nothing in the last minute",
    ),
    "source_switch": Kind(
        "info", quiet_s=10,
        firing="{subject} now comes from {why}: its windows begin anew; see the producer's /providers",
        resolved="the windows of {subject} hold one source again",
        summary="{value:.0f} symbols have changed their source at about the same time: see the producer's /providers",
        summary_resolved="the windows of all of these symbols hold one source again",
    ),
    "split_symbol": Kind(
        "critical", fires_at=0.2, resolves_below=0.05, hold_s=20, quiet_s=30,
        firing="{value:.0%} of the messages follow a hole in seq, so somebody else gets the rest and features are "
        "wrong: another consumer is in the queue group senpai-md; stop it, run one",
        resolved="every message arrives here again",
    ),
    "nats": Kind(
        "critical", quiet_s=5,
        firing="there was no connection to NATS: start NATS, or check NATS_URL; the service connects by itself",
        resolved="connected to NATS again",
    ),
    "duplicates": Kind(
        "warning", fires_at=0.2, resolves_below=0.05, quiet_s=30,
        firing="messages repeat a seq ({value:.0%} of the last ones) and are dropped, or had to be numbered anew: two "
        "producers or providers publish the same symbols with one epoch, or somebody forges seq; see bus at /stats",
        resolved="messages are numbered as they should be again",
    ),
    "plugin_off": Kind(
        "warning", quiet_s=10,
        firing="the plug-in {subject} was switched off: {why}; mend it and restart the service",
        resolved="the plug-in {subject} works again",
        summary="{value:.0f} plug-ins were switched off: see /stats",
        summary_resolved="all of these plug-ins work again",
    ),
}  # fmt: skip
