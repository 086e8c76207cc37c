"""Floor 6: the privacy laboratory. Measures what attackers learn from the node's own policy objects, in graphs of many.

Nothing here decides for a node. The routes of stems, embargoes and moments of announcements are drawn by the classes
that the node runs (:mod:`obscura.relay`); what the node does not have, as rules to compare with, is marked as such.
Everything is drawn from a seed by :class:`~obscura.base.randomness.Chance`: a seed repeats every number, on any machine
and with any number of processes. See docs/lab.md.
"""
