"""How peers tell what they took."""

import json
import resource
import time


class Phases:
    """Wall seconds of each phase; printed as one line of JSON with CPU seconds and peak memory."""

    def __init__(self, name, started):
        self.name = name
        self.seconds = {"start": time.perf_counter() - started}
        self.last = time.perf_counter()

    def done(self, phase):
        now = time.perf_counter()
        self.seconds[phase] = now - self.last
        self.last = now

    def report(self, **more):
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(
            json.dumps(
                {
                    "peer": self.name,
                    "seconds": self.seconds,
                    "cpu_seconds": used.ru_utime + used.ru_stime,
                    "peak_bytes": used.ru_maxrss * 1024,
                    **more,
                }
            )
        )
