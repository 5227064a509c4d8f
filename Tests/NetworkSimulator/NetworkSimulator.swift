// Links with loss, delay, jitter and rate in virtual time.
