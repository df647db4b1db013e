"""The settings of the world, in seconds, and what it takes for granted of the outside.

The last write of a request leaves at most `FREEZE` after the final check, arrives at most `TRAVEL` later, and what was
accepted can be searched for at most `LAG` after that, unless the index stalls: together less than the settling lasts.
"""

from __future__ import annotations

from typing import Final

from atum_schema.flow import Policy
from atum_workers.retry import RetryPolicy
from atum_workers.settling import SettlePolicy

REQUEST_TIMEOUT: Final = 20.0
CLAIM_LEASE: Final = 8.0
POSTING_LEASE: Final = 30.0
ROUND_LEASE: Final = POSTING_LEASE
RECORD_PATIENCE: Final = 40.0
PUBLISH_TIMEOUT: Final = 5.0
TICKET_LOST_AFTER: Final = 10.0
PULL_AFTER: Final = 2.0
POISON_CRASHES: Final = 3
BATCH_MAILS: Final = 3
CEILING: Final = 3

RETRY: Final = RetryPolicy(attempts=3, tries=6, base=10.0, maximum=60.0)
SETTLE: Final = SettlePolicy(
    schedule=(60.0, 180.0, 400.0),
    without_control=500.0,
    retention=50_000.0,
    tries=RETRY.tries,
    crashes=POISON_CRASHES,
)
FLOW: Final = Policy(
    share=0.5, requests=3, probe_s=5.0, probe_max_s=60.0, pause_probe_s=30.0, half_life_s=REQUEST_TIMEOUT
)

FREEZE: Final = 150.0
TRAVEL: Final = 5.0
SLOW_TRAVEL: Final = 25.0
"""What a request may take where the index does not stall."""
LAG: Final = 120.0
STALL: Final = 700.0
TIME_DECIDES: Final = 840.0
"""After the anchor: when settling ends at the earliest although no control was ever in the log."""

DRAINED_WITHIN: Final = 20_000.0
"""From the end of all faults to the end of all mails, at most."""
STEPS: Final = 20_000
"""Of one seed, at most."""
