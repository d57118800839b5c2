"""Executors that are started before there is anything to run.

A *template* process loads once what every run needs and forks idle executors from there; each carries out one job in a
process of its own and is gone. The client starts the template and hands it jobs:

client (:mod:`executor.pool.client`)          template (:mod:`executor.pool.template`)
     │  control channel: frames, descriptors       │  forks, reaps
     ├─────────────────────────────────────────────┤
     │                                             ├── idle executor (:mod:`executor.pool.worker`)
     │                                             ├── idle executor
     └──────────── stdout, stderr, log ────────────┴── executor with a job

For tests of authors an executor may carry out a series of runs (:mod:`executor.pool.series`), whose client it is
connected with directly.
A pool may also be for every process of its user (:mod:`executor.pool.reception`): then those are the clients.

Only for Linux: elsewhere system libraries do not survive a fork.
"""
