"""`doctor`: looks at everything the app needs, and says what to do about what is wrong. It changes nothing.

Only a probe is written to the records' storage, held by a lease, read by its link, and deleted again.
"""
