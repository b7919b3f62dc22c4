"""How a few seed examples become many: templates filled and read back, rounds with a stop rule, replies kept as said.

In: seed examples, a template, a language model. Out: `interfaces.Grown`: what was kept, and all else with its reason.
The components of `prompts` are put together from these parts; none of them knows a component.
"""
