"""The common ground of client and daemon: memory, layouts, messages, states, errors.

Everything here but `segment` and `arena`, the only files that map memory, is pure: no socket,
thread, process or clock. It imports nothing else of ours.
"""
