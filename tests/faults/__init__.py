"""Faults by real means: servers killed, packets dropped, disks full, processes stopped.

    python -m tests.faults [fault ...] [--quick]      all, or these; a table at the end

Each fault is a function that runs real server processes under it and returns its figures. What
must hold whatever happens is checked by the run itself (`ledger`, `fleet`):

I1  a revoked token is accepted nowhere later than the bound after the answer
I2  what was answered exists, and what was answered as gone is gone
I3  each mail promised is sent, or a dead letter
I4  a token that counts once counts once
I5  connections come back: the database's own count of busy ones is zero
I6  no 5xx but 503
"""
