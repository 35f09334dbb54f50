"""What a user's own features and rules are made with; see docs/plugins.md.

    from senpai.md_consumer.plugins import Above, Below, Conditions, Trades, feature, rule

This is the whole of the plug-ins' API. A module may say `PLUGIN_API = 1`, so that a later version knows what it meets.
"""

from senpai.md_consumer.plugins.declared import API_VERSION, Above, Below, Conditions, feature, rule
from senpai.md_consumer.plugins.views import Book, Quote, Quotes, Trades

__all__ = ["API_VERSION", "Above", "Below", "Book", "Conditions", "Quote", "Quotes", "Trades", "feature", "rule"]
