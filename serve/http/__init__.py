"""The scorer over HTTP: aiohttp, one process a core on one port, a supervisor that starts them again.

supervisor   holds the port, starts worker processes, each in a slot, and those anew that ended
             version_watch checks new versions once for all; versions_shared tells them to the workers
worker       opens the model, answers, takes new versions while it does
application  routes, limits, errors; body reads what comes, score_queue has one task score it in turn;
             page_routes are the page's, lookups does its slow ones in turn
connections  bounds how many are open, and how long an answer may wait to be taken
retry_wait   growing wait before a version or a worker that failed is tried again
"""
