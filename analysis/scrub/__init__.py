"""A scrubbed copy of a dump: the same objects, types, stacks and locks, without what the program kept in them.

Default wipe: a byte reaches the copy only when a rule claims it (``ledger``); everything else stays zero.
"""
