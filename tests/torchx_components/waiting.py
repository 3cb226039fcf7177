"""A program that waits for signals: it names each as it comes, and ends a moment after the first SIGTERM, with 7.

With the word "mortal" it leaves SIGTERM to the system. After a while it ends by itself, for tests that fail.
"""

import os
import signal
import sys
import time

PATIENCE_S = 20


def note(number: int, frame: object) -> None:
    os.write(1, f"{signal.Signals(number).name}\n".encode())  # print may be what is interrupted, and cannot begin again
    if number == signal.SIGTERM:
        ends.append(time.monotonic() + 0.5)


ends: list[float] = []
for noted in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    if signal.getsignal(noted) is not signal.SIG_IGN:
        signal.signal(noted, note)
if "mortal" not in sys.argv:
    signal.signal(signal.SIGTERM, note)
print("ready", *sys.argv[1:], flush=True)
until = time.monotonic() + PATIENCE_S
while not ends or time.monotonic() < ends[0]:
    time.sleep(0.05)
    if time.monotonic() > until:
        sys.exit("no signal has come")
print("last words", flush=True)
sys.exit(7)
