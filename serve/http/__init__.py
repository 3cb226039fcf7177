"""The scorer over HTTP: aiohttp, one process a core on one port, a supervisor that starts them again.

supervisor   checks new versions once for all, starts worker processes, and starts those anew that ended
worker       opens the model, answers; one task scores, in turn, what handlers have read
"""
