"""The accelerator interface: layouts of its structs, and in Python what its kernels compute (spec settlement/02 §13).

Absent are the kernels that apply operations to tables: no vector has their inputs.
"""
