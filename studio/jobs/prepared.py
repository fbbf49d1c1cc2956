"""Loads what the process of a job needs, in the process that those of jobs are copies of.

The objects of the libraries stay for good. The garbage collector of each job would look at all of them, and the
memory that is shared would be copied: a third of the processor time of a small training. It leaves frozen ones alone.

A copied process has only one thread. The linear algebra library would start others in each job, and they wait for work
in a busy loop: more than half of the processor time of a small training. A training limits that library to one thread
anyway, so it is loaded for one.
"""

import os
import platform

from service.loading import loading

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read while the library is loaded
with loading():
    import studio.jobs.runner
    import studio.jobs.work  # noqa: F401
    from studio.learning.ilearner import pools

    # A process looks both up once, and each job would do it again. The storage library sends the second with its calls,
    # and a program is started to find it.
    pools()
    platform.platform()
