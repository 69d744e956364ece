"""Who does which task when: the signals rule against rules that know more.

A world of agents, links and tasks is made from one seed; the shipping code of the
signals subject works in it, one board per agent, and beside it, in the very same world,
an omniscient dispatcher and the rules of the literature. Nothing here is loaded by a
node: this is the one place that needs numpy and scipy.
"""
