"""Blobs: the one storage account of the workspace, and the addresses that lead to it."""
