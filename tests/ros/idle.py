"""A process that waits to be ended, whatever it is told: `python -m tests.ros.idle`."""

import time

if __name__ == "__main__":
    time.sleep(120)
