"""Loads what the process of a job needs, in the process that those of jobs are copies of.

The objects of the libraries stay for good. The garbage collector of each job would look at all of them, and the
memory that is shared would be copied: a third of the processor time of a small training. It leaves frozen ones alone.
"""

import platform

from service.loading import loading

with loading():
    import studio.jobs.runner
    import studio.jobs.work  # noqa: F401
    from studio.learning.ilearner import pools

    # A process looks both up once, and each job would do it again. The storage library sends the second with its calls,
    # and a program is started to find it.
    pools()
    platform.platform()
