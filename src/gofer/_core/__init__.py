"""The pure heart: what may start, what a failure stops, which error is first.

No clock, thread, loop, file, log or random number: time is handed in, and integers go out.
"""
