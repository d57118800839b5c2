"""Handlers of ``wasi_snapshot_preview1``, one module per family of functions (spec executor/06).

A handler is called with the VM and the raw arguments, integers as unsigned bit patterns. It decodes
what needs decoding, acts, writes its results, and returns an errno; results are written only with
SUCCESS. Pointers to other memory than the guest's abort the VM with GuestFault.
"""
