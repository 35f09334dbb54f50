"""Imports the modules that SENPAI_PLUGINS names, and makes entries for the heart's tables of what they declare."""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from traceback import extract_tb
from types import ModuleType
from typing import Final

from senpai.md_consumer.features import FEATURES, Feature
from senpai.md_consumer.plugins.declared import API_VERSION, MARK, FeatureDeclaration, RuleDeclaration
from senpai.md_consumer.plugins.features import feature_of
from senpai.md_consumer.plugins.guard import Guard, Limits, Stopwatch, describe
from senpai.md_consumer.plugins.loaded import Plugins
from senpai.md_consumer.plugins.rules import rule_of
from senpai.md_consumer.rules import RULES, RuleSpec

MOST_PLUGINS: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class PluginsError(ValueError):
    """Plug-ins that cannot be used; the message has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def load(
    modules: str,
    *,
    features: Mapping[str, Feature] = FEATURES,
    limits: Limits | None = None,
    clock: Callable[[], int] | None = None,
) -> Plugins:
    """Load the plug-ins of a comma-separated list of modules.

    Args:
        modules: as SENPAI_PLUGINS has them; empty for none.
        features: the built-in features that are computed.
        limits: what a plug-in may take.
        clock: measures their calls, ns; None: nothing is ever too slow.

    Raises:
        PluginsError: some cannot be used.
    """
    loading = _Loading(features, limits or Limits(), Stopwatch(clock))
    for name in dict.fromkeys(name.strip() for name in modules.split(",") if name.strip()):
        loading.take(name)
    return loading.finish()


class _Loading:
    """What has been found so far."""

    def __init__(self, builtin: Mapping[str, Feature], limits: Limits, watch: Stopwatch) -> None:
        self._builtin = builtin
        self._limits = limits
        self._watch = watch
        self._problems: list[str] = []
        self._guards: dict[str, Guard] = {}
        self._features: dict[str, Feature] = {}
        self._rules: dict[str, RuleSpec] = {}

    def take(self, name: str) -> None:
        """Import one module and take what it declares."""
        module = self._imported(name)
        if module is None:
            return
        version = getattr(module, "PLUGIN_API", API_VERSION)
        if version != API_VERSION:
            self._problem(name, f"it is for version {version!r} of the plug-in API; this service has {API_VERSION}")
            return
        found = 0
        for label, thing in list(vars(module).items()):
            declared = thing if isinstance(thing, RuleDeclaration) else getattr(thing, "__dict__", {}).get(MARK)
            if isinstance(declared, FeatureDeclaration | RuleDeclaration) and _is_of(module, declared):
                found += 1
                self._add(name, label, declared)
        if not found:
            self._problem(name, "it declares no feature(...) and no rule(...): see docs/plugins.md")

    def finish(self) -> Plugins:
        """Everything, once all names are known.

        Raises:
            PluginsError: there are problems.
        """
        known = {**self._builtin, **self._features}
        for name, spec in self._rules.items():
            for read in spec.reads:
                if read not in known:
                    left_out = "FEATURES leaves it out" if read in FEATURES else f"there are {', '.join(sorted(known))}"
                    self._problem(self._guards[name].module, f"{name}: reads no feature {read!r}: {left_out}")
        if len(self._guards) > MOST_PLUGINS:
            self._problem("SENPAI_PLUGINS", f"{len(self._guards)} plug-ins are too many: at most {MOST_PLUGINS}")
        if self._problems:
            raise PluginsError(self._problems)
        return Plugins(self._features, self._rules, tuple(self._guards.values()), self._watch)

    def _imported(self, name: str) -> ModuleType | None:
        if not _MODULE.fullmatch(name) or name.endswith(".py"):
            self._problem(name, "name a module, with dots and without .py, such as my_package.my_module")
            return None
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                self._problem(name, f"it imports {error.name}, which is not installed")
            else:
                self._problem(name, "there is no such module: run from the folder it is in, or set PYTHONPATH to it")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever a user's module does, it is told in one line
            self._problem(name, f"it cannot be imported: {describe(error)}{_place(error)}")
        return None

    def _add(self, module: str, name: str, declared: FeatureDeclaration | RuleDeclaration) -> None:
        problems = declared.problems()
        if isinstance(declared, FeatureDeclaration) and declared.name is not None:
            name = str(declared.name)
        if not _NAME.fullmatch(name):
            problems.append("its name has to be of lower-case letters, digits and _, 64 at most")
        if name in FEATURES or name in RULES:
            problems.append("this name is taken by the service: give it another one")
        if name in self._guards:
            problems.append(f"this name is taken by a plug-in of {self._guards[name].module}: give it another one")
        for problem in problems:
            self._problem(module, f"{name}: {problem}")
        if problems:
            return
        is_feature = isinstance(declared, FeatureDeclaration)
        guard = Guard(name, "feature" if is_feature else "rule", module, self._watch, self._limits)
        self._guards[name] = guard
        if isinstance(declared, FeatureDeclaration):
            self._features[name] = feature_of(declared, guard)
        else:
            self._rules[name] = rule_of(declared, guard)

    def _problem(self, module: str, text: str) -> None:
        self._problems.append(" ".join(f"SENPAI_PLUGINS: {module}: {text}".split()))


def _is_of(module: ModuleType, declared: FeatureDeclaration | RuleDeclaration) -> bool:
    """Whether it was declared there, and not imported from another module."""
    return declared.module == module.__name__


def _place(error: BaseException) -> str:
    """Where in the user's files it happened."""
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename.startswith(tuple(sys.path))]
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"
