"""The rules that keep the promises, each of them a switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All on is the design; a mutant is one or two of them off."""

    posting_is_marked: bool = True
    """A posting mark is committed before the POST; off: the claim alone."""
    mark_is_synchronous: bool = True
    """The posting mark survives a crash of the database; off: it commits as the claim does."""
    mark_is_fenced: bool = True
    """The mark succeeds for the holder of an unexpired claim only; off: for everybody who knows the batch."""
    fence_checks_token: bool = True
    """Part of the fence: the token is the row's."""
    fence_checks_state: bool = True
    """Part of the fence: the row is claimed."""
    fence_checks_lease: bool = True
    """Part of the fence: the lease has not run out."""
    tokens_are_unique: bool = True
    """A token is never used twice; off: a counter in the row, which a lost claim takes back."""
    claim_needs_issued: bool = True
    """A ticket of a batch that is not issued is refused; off: any ticket claims."""
    posted_is_not_released: bool = True
    """A worker gives a batch back only when it knows that nothing was posted; off: after a timeout as well."""
    release_is_fenced: bool = True
    """Only the holder of the token gives a batch back; off: everybody who knows the batch."""
    deadline_starts_before_claim: bool = True
    """The local deadline starts before the claim is sent; off: when the claim's answer arrives."""
    deadline_starts_before_mark: bool = True
    """The local deadline starts before the mark is sent; off: when the mark's answer arrives."""
    final_check: bool = True
    """The last bytes wait for a last look at the deadline; off: they follow the mark unseen."""
    both_clocks_count: bool = True
    """A deadline by two clocks that disagree has passed; off: the clock that was changed is believed."""
    lease_outlives_deadline: bool = True
    """The posting lease is longer than deadline and margin; off: it is the deadline."""
    expired_posting_is_settled: bool = True
    """An expired posting becomes unknown; off: it is issued again as an expired claim is."""
    settling_starts_at_anchor: bool = True
    """Settling starts at the latest moment of a possible acceptance; off: at the posting."""
    searches_are_spaced: bool = True
    """The next search waits after the one before; off: it is due at once."""
    searches_compare_and_set: bool = True
    """A search counts if `search_at` is what it was when the batch was read; off: always."""
    failed_search_counts_nothing: bool = True
    """A search that failed proves nothing; off: it counts as empty."""
    empty_needs_control: bool = True
    """An empty search counts if it found the control; off: always."""
    all_unresolved_are_searched: bool = True
    """A search looks for every unresolved batch of the mail; off: for the last."""
    late_answers_count: bool = True
    """An answer is recorded at any epoch; off: only while the batch is posting."""
    proof_pulls_back: bool = True
    """Proof takes the mail out of `ready` and of unposted batches; off: it changes the status alone."""
    loss_is_settled: bool = True
    """When commits of the database are known to be lost, open mails are searched by their id; off: they go on."""
    fallback_waits: bool = True
    """The fallback provider takes no mail with an unresolved attempt; off: it takes unknown mails."""
    proven_is_not_released: bool = True
    """Giving a marked batch back leaves out what was proven meanwhile; off: it is issued again with the rest."""
    proof_is_final: bool = True
    """Nothing that is said later of another attempt moves a proven mail; off: the last word counts."""
    expired_is_not_resent: bool = True
    """A mail whose time is over is not resent by settling; off: it is."""
    hold_holds: bool = True
    """Settling never resends under `hold`; off: it does."""
    cancel_is_seen_at_mark: bool = True
    """The mark gives the mails that may still be posted; off: those of the claim are posted."""
    cancel_is_synchronous: bool = True
    """An acknowledged cancel survives a crash of the database; off: it commits as the claim does."""
    expiry_is_seen_at_mark: bool = True
    """Expiry is looked at again at the mark; off: at the claim alone."""
    window_under_lock: bool = True
    """A relay counts and issues under the lock of the window's row; off: it counts first."""
    unknown_leaves_window: bool = True
    """An unknown batch is not in flight; off: it is."""
    outcomes_in_one_transaction: bool = True
    """Outcomes and the batch's end are one transaction; off: two."""
    recording_is_idempotent: bool = True
    """Outcomes are recorded once per token; off: as often as a worker says."""
    outages_are_free: bool = True
    """A provider-wide failure charges no attempt; off: it does."""
    lost_tickets_are_republished: bool = True
    """An issued batch without a ticket gets another; off: it is published once."""
    crashes_are_counted: bool = True
    """Claims that crashed are counted and their batch is split; off: it is issued again as it was."""
