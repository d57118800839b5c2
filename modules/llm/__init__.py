"""The service that asks language models (spec modules/02).

From the outside in: :mod:`module` (sessions), the script ``llm.lua`` (which backend, in which order), :mod:`calls`
(one prompt to one backend: limits, retries, accounting) and :mod:`providers` (wire formats).
"""
