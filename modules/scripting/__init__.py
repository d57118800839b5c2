"""Policies of operators in Lua (spec modules/02 §6, modules/03 §8): who asks for what, in which order, how often.

Scripts are embedded Lua 5.3, each virtual machine in a process of its own, which can be killed: neither a pattern
that never ends nor an allocation in C can be stopped from inside. The process runs Lua and nothing else; all input and
output happens here, in the service::

    service                                    child process
    pool.ScriptSession.call ── vm.ScriptVm ──► child.main ── machine.Machine ── boot.lua ── script
             ▲      requests.py, functions          │ socket pair, frames.py
             └── io: name, arguments ◄──────────────┘

A script that waits yields to boot.lua, so that the calls of many sessions interleave in one machine. This package is
empty, so that a child loads no more than it needs: import :mod:`modules.scripting.pool`.
"""
