"""The operator's HTTP service: picks the executor, hands out permits, runs the modules (spec modules/04, 05).

======================== ==========================================================================================
file                     what it is
======================== ==========================================================================================
:mod:`manager.app`       the HTTP application, put together from :mod:`manager.routes`
:mod:`manager.permits`   how many runs may be under way (§7)
:mod:`manager.versions`  manifest and installed executors (§8)
:mod:`manager.executions` runs: started, waited for, stopped, kept until somebody asks (§6)
:mod:`manager.modules`   the LLM and web services as processes (§5)
:mod:`manager.client`    the client's side, for nodes and tools in Python
======================== ==========================================================================================
"""
