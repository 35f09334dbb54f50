"""Tells the log of plug-ins: once that one has failed for the first time, once that it is off."""

import structlog

from senpai.md_consumer.plugins.loaded import Plugins

log = structlog.get_logger(__name__)


class Reporter:
    """To be called once a second; what happened meanwhile is in the counters."""

    def __init__(self, plugins: Plugins) -> None:
        self._guards = plugins.guards
        self._failed: set[str] = set()
        self._off: set[str] = set()

    def look(self) -> None:
        for guard in self._guards:
            if guard.first_error is not None and guard.name not in self._failed:
                self._failed.add(guard.name)
                error, where = guard.first_error
                log.warning("plugin_failed", plugin=guard.name, module=guard.module, error=error, where=where)
                log.debug("plugin_trace", plugin=guard.name, traceback=guard.trace)
            if guard.why_off is not None and guard.name not in self._off:
                self._off.add(guard.name)
                log.error("plugin_off", plugin=guard.name, module=guard.module, why=guard.why_off)
