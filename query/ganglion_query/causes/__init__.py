"""What may have made a request slow or fail: each kind of cause a pure function of the request and of what is usual.

request (spans on one axis, logs) + past (the day before)
    ──▶ failures · slowness · absences · repetition · telling logs ──▶ findings ──▶ verdict
"""
