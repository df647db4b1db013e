"""A Postmark to test against: same endpoints, texts and oddities, faults on demand, and a ledger of the truth.

The ledger says what was *really* accepted, which is what loss and duplicates are counted from. See
`docs/simulator.md`. Importing this package starts nothing.
"""
