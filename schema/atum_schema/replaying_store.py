"""Replaying mails, set-based: what a verdict needs, and the next cycle of those that go out again.

Mails are locked by id, then places in `ready` are made.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema import arrays, moves
from atum_schema.moves import Move
from atum_schema.replaying import Facts, Judged, Kin, Posted, Told, Verdict, judge, judge_discard, recipients
from atum_schema.script import Statement, blocking
from atum_schema.status import Cause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from uuid import UUID

    from atum_schema.script import Script


class Wanted(NamedTuple):
    """A mail that somebody wants to be replayed."""

    mail_id: UUID
    #: The cycle that died; None: whichever it is in.
    cycle: int | None
    #: Whether it is asked for as a dead letter; else it may have any end that was not proven.
    letter: bool


class Outcome(NamedTuple):
    """What came of it."""

    mail_id: UUID
    #: The cycle it is in, before a replay; None: there is no such mail.
    cycle: int | None
    status: str | None
    judged: Judged


NO_SUCH_MAIL: Final = Judged(Verdict.NO_SUCH_MAIL, "no mail has this id")

GOES: Final = frozenset({Verdict.WOULD_SEND, Verdict.WOULD_DISCARD})
"""Verdicts with which what was asked for is done."""


# All statements bound the ids from both sides too: so only partitions that may hold one are looked into.
MAILS: Final = """
SELECT id, cycle, status, stream, to_line, cc_line, bcc_line, finished_at,
       coalesce(expires_at <= clock_timestamp(), false), crashes
FROM atum.mail WHERE id = ANY(%(ids)s) AND id BETWEEN %(first)s AND %(last)s
"""

LOCK_MAILS: Final = """
SELECT id, cycle, status, stream, to_line, cc_line, bcc_line, finished_at,
       coalesce(expires_at <= clock_timestamp(), false), crashes
FROM atum.mail WHERE id = ANY(%(ids)s) AND id BETWEEN %(first)s AND %(last)s ORDER BY id FOR UPDATE
"""

# A statement of its own: after a lock was waited for, it sees what its holder did.
GONE: Final = """
SELECT t.id FROM unnest(%(ids)s::uuid[]) AS t(id)
WHERE NOT EXISTS (SELECT FROM atum.content c WHERE c.mail_id = t.id)
"""

POSTS: Final = """
SELECT mail_id, outcome, answered_at, provider_message_id FROM atum.attempt
WHERE mail_id = ANY(%(ids)s) AND mail_id BETWEEN %(first)s AND %(last)s AND outcome IN ('accepted', 'unknown')
ORDER BY mail_id, answered_at
"""

# Whatever the provider tells of a recipient, but for its own suppression, it tells of a mail that it has accepted.
TOLD: Final = """
SELECT mail_id, kind, min(coalesce(told_at, noted_at)) FROM atum.recipient_event
WHERE mail_id = ANY(%(ids)s) AND mail_id BETWEEN %(first)s AND %(last)s
      AND kind IN ('delivered', 'bounced', 'soft_bounced', 'delayed', 'complained', 'opened', 'clicked', 'replied')
GROUP BY mail_id, kind
"""

# Mails that were sent in the place of these, or in the place of those.
KIN: Final = """
WITH RECURSIVE kin AS (
    SELECT m.resent_from AS root, m.id, m.status FROM atum.mail m WHERE m.resent_from = ANY(%(ids)s)
    UNION
    SELECT k.root, m.id, m.status FROM kin k JOIN atum.mail m ON m.resent_from = k.id
)
SELECT root, id, status FROM kin ORDER BY root, id
"""

# A batch's mails are sorted. Comparing its array with ours costs the product of their lengths: that is done outside.
HOLDERS: Final = """
SELECT state, mail_ids FROM atum.batch
WHERE state IN ('posting', 'unknown') AND mail_ids[1] <= %(last)s AND mail_ids[cardinality(mail_ids)] >= %(first)s
"""

SUPPRESSED: Final = """
SELECT stream, address FROM atum.suppression
WHERE stream = %(stream)s AND address = ANY(%(addresses)s) AND suppressed
"""


def gathering(ids: Collection[UUID], *, lock: bool = False) -> Script[dict[UUID, Facts]]:
    """Give what is known of these mails; those that do not exist are left out. `lock` locks them first, in order."""
    if not ids:
        return {}
    ordered = sorted(ids, key=attrgetter("int"))
    between = {"first": ordered[0], "last": ordered[-1]}
    values = {"ids": arrays.Uuids(ordered), **between}
    # Tuples all along: there may be a hundred thousand letters.
    if lock:
        rows = yield Statement(LOCK_MAILS, values, binary=True)
    else:
        rows = yield Statement(MAILS, values, binary=True)
    gone = {mail_id for (mail_id,) in (yield Statement(GONE, values, binary=True))}
    posts: dict[UUID, list[Posted]] = defaultdict(list)
    for mail_id, outcome, at, message_id in (yield Statement(POSTS, values, binary=True)):
        posts[mail_id].append(Posted(outcome, at, message_id))
    told: dict[UUID, list[Told]] = defaultdict(list)
    for mail_id, kind, at in (yield Statement(TOLD, values, binary=True)):
        told[mail_id].append(Told(kind, at))
    kin: dict[UUID, list[Kin]] = defaultdict(list)
    for root, mail_id, status in (yield Statement(KIN, values, binary=True)):
        kin[root].append(Kin(mail_id, status))
    held: dict[UUID, str] = {}
    for state, mail_ids in (yield Statement(HOLDERS, between, binary=True)):
        held.update(dict.fromkeys(mail_ids, state))
    facts = {}
    for mail_id, cycle, status, stream, to_line, cc_line, bcc_line, finished_at, is_expired, crashes in rows:
        facts[mail_id] = Facts(
            mail_id,
            cycle,
            status,
            stream,
            recipients(to_line, cc_line, bcc_line),
            finished_at,
            is_expired,
            not gone or mail_id not in gone,
            crashes,
            held.get(mail_id) if held else None,
            tuple(posts[mail_id]) if posts and mail_id in posts else (),
            tuple(told[mail_id]) if told and mail_id in told else (),
            tuple(kin[mail_id]) if kin and mail_id in kin else (),
        )
    return facts


def finding_suppressed(facts: Iterable[Facts]) -> Script[set[tuple[str, str]]]:
    """Give those of their recipients, each with the stream, that must not be mailed now."""
    of_stream: dict[str, set[str]] = defaultdict(set)
    for one in facts:
        of_stream[one.stream].update(one.recipients.all)
    suppressed = set()
    for stream, addresses in of_stream.items():
        values = {"stream": stream, "addresses": arrays.Texts(sorted(addresses))}
        suppressed.update((yield Statement(SUPPRESSED, values)))
    return suppressed


def judging(wanted: Sequence[Wanted]) -> Script[list[Outcome]]:
    """Say what replaying each of these mails would come to, from the database alone; nothing changes."""
    facts = yield from gathering({each.mail_id for each in wanted})
    suppressed = yield from finding_suppressed(facts.values())
    return [_outcome(each, facts, suppressed) for each in wanted]


def _outcome(wanted: Wanted, facts: Mapping[UUID, Facts], suppressed: Collection[tuple[str, str]]) -> Outcome:
    known = facts.get(wanted.mail_id)
    if known is None:
        return Outcome(wanted.mail_id, None, None, NO_SUCH_MAIL)
    judged = judge(known, suppressed, cycle=wanted.cycle, letter=wanted.letter)
    return Outcome(wanted.mail_id, known.cycle, known.status, judged)


def replaying(wanted: Sequence[Wanted], *, detail: str, most: int | None = None) -> Script[list[Outcome]]:
    """Replay those of these mails that would be sent, in the caller's transaction; give what came of each, in order.

    Each is locked before it is judged, so who is replayed here is replayed nowhere else. Batches need no lock: none
    takes up a mail that has ended. `detail` is for the events: who ordered it. With `most`, the list ends where so many
    were replayed.
    """
    facts = yield from gathering({each.mail_id for each in wanted}, lock=True)
    suppressed = yield from finding_suppressed(facts.values())
    outcomes = [_outcome(each, facts, suppressed) for each in wanted]
    if most is not None:
        outcomes = outcomes[: end(outcomes, most)]
    again = {one.mail_id for one in outcomes if one.judged.verdict is Verdict.WOULD_SEND}
    yield from moves.applying(
        [_replayed(known, detail) for known in facts.values() if known.mail_id in again]
    )
    return outcomes


def judging_discards(wanted: Sequence[Wanted]) -> Script[list[Outcome]]:
    """Say what giving each of these mails up would come to; nothing changes."""
    facts = yield from gathering({each.mail_id for each in wanted})
    return [_discarded(each, facts) for each in wanted]


def _discarded(wanted: Wanted, facts: Mapping[UUID, Facts]) -> Outcome:
    known = facts.get(wanted.mail_id)
    if known is None:
        return Outcome(wanted.mail_id, None, None, NO_SUCH_MAIL)
    return Outcome(wanted.mail_id, known.cycle, known.status, judge_discard(known, cycle=wanted.cycle))


def discarding(wanted: Sequence[Wanted], *, detail: str, most: int | None = None) -> Script[list[Outcome]]:
    """Give dead mails up, in the caller's transaction: canceled, and their content goes. As `replaying` else."""
    facts = yield from gathering({each.mail_id for each in wanted}, lock=True)
    outcomes = [_discarded(each, facts) for each in wanted]
    if most is not None:
        outcomes = outcomes[: end(outcomes, most)]
    going = {one.mail_id for one in outcomes if one.judged.verdict is Verdict.WOULD_DISCARD}
    yield from moves.applying(
        [
            Move(known.mail_id, known.status, Cause.DISCARDED, reason="discarded", detail=detail)
            for known in facts.values()
            if known.mail_id in going
        ]
    )
    return outcomes


def end(outcomes: Sequence[Outcome], most: int) -> int:
    """Give the place behind the last outcome before more than `most` go."""
    number = 0
    for place, outcome in enumerate(outcomes):
        if outcome.judged.verdict in GOES:
            if number == most:
                return place
            number += 1
    return len(outcomes)


def _replayed(known: Facts, detail: str) -> Move:
    # Who has killed a worker before stays alone: the MOVE forgets its crashes, its next batch does not.
    at_most = 1 if known.crashes else None
    return Move(known.mail_id, known.status, Cause.REPLAYED, detail=detail, due_s=0.0, at_most=at_most)


judged = blocking(judging)
judged_discards = blocking(judging_discards)
replay = blocking(replaying)
discard = blocking(discarding)
