"""For every rule what goes wrong without it, and where."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.model.promises import Broken


class Mutant(NamedTuple):
    """A rule that is off, the scope in which that shows, and the promise it breaks."""

    rule: str
    scope: str
    broken: Broken


MUTANTS: Final = (
    Mutant("posting_is_marked", "killed workers", Broken.DUPLICATE),
    Mutant("posting_is_marked", "killed workers", Broken.UNMARKED),
    Mutant("mark_is_synchronous", "crash", Broken.DUPLICATE),
    Mutant("mark_is_fenced", "crash", Broken.DUPLICATE),
    Mutant("fence_checks_token", "crash", Broken.DUPLICATE),
    Mutant("tokens_are_unique", "crash", Broken.DUPLICATE),
    Mutant("claim_needs_issued", "killed workers", Broken.DUPLICATE),
    Mutant("posted_is_not_released", "killed workers", Broken.DUPLICATE),
    Mutant("release_is_fenced", "killed workers", Broken.DUPLICATE),
    Mutant("deadline_starts_before_mark", "killed workers", Broken.DUPLICATE),
    Mutant("final_check", "killed workers", Broken.DUPLICATE),
    Mutant("both_clocks_count", "clocks", Broken.DUPLICATE),
    Mutant("lease_outlives_deadline", "killed workers", Broken.DUPLICATE),
    Mutant("expired_posting_is_settled", "killed workers", Broken.DUPLICATE),
    Mutant("expired_posting_is_settled", "killed workers", Broken.BESIDE),
    Mutant("settling_starts_at_anchor", "killed workers", Broken.DUPLICATE),
    Mutant("searches_are_spaced", "searches", Broken.DUPLICATE),
    Mutant("searches_compare_and_set", "searches", Broken.DUPLICATE),
    Mutant("failed_search_counts_nothing", "searches", Broken.DUPLICATE),
    Mutant("empty_needs_control", "stalled index", Broken.DUPLICATE),
    Mutant("all_unresolved_are_searched", "two unknown batches", Broken.PROOF_OVERLOOKED),
    Mutant("late_answers_count", "killed workers", Broken.PROOF_DISCARDED),
    Mutant("proof_pulls_back", "late index", Broken.MARKED_PROVEN),
    Mutant("proven_is_not_released", "late index", Broken.MARKED_PROVEN),
    Mutant("proof_is_final", "late index", Broken.PROOF_DISCARDED),
    Mutant("expired_is_not_resent", "expiry", Broken.RESENT_EXPIRED),
    Mutant("expiry_is_seen_at_mark", "expiry", Broken.MARKED_EXPIRED),
    Mutant("hold_holds", "hold, late index", Broken.DUPLICATE),
    Mutant("loss_is_settled", "lost commits that show", Broken.DUPLICATE),
    Mutant("fallback_waits", "fallback", Broken.DUPLICATE),
    Mutant("cancel_is_seen_at_mark", "cancel", Broken.AFTER_CANCEL),
    Mutant("cancel_is_synchronous", "cancel", Broken.AFTER_CANCEL),
    Mutant("window_under_lock", "relays", Broken.WINDOW),
    Mutant("unknown_leaves_window", "window", Broken.STUCK),
    Mutant("outcomes_in_one_transaction", "answers", Broken.NOT_ONE_OWNER),
    Mutant("recording_is_idempotent", "answers", Broken.NOT_ONE_OWNER),
    Mutant("outages_are_free", "outage", Broken.CHARGED),
    Mutant("lost_tickets_are_republished", "tickets", Broken.STUCK),
    Mutant("crashes_are_counted", "poison", Broken.STUCK),
)

SECOND_GUARDS: Final = {
    "fence_checks_state": "Tokens are unique and leave the row with the claim, so the token says the state.",
    "fence_checks_lease": "An expired claim that nobody freed is nobody else's; the mark gives it a new lease.",
    "deadline_starts_before_claim": "The mark gives a new lease, so before the mark is early enough.",
}
"""Rules that another rule makes up for: off alone, they break nothing. Why each does."""
