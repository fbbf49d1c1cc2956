"""Runs the function app's triggers on a machine without the Functions host, by the host's own rules.

Which triggers there are is read from function_app itself. Names of receipts, queues and status blobs, the number of
tries and what happens after them are those of the Functions host's storage extensions.
"""
