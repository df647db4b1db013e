"""Settings of retention against what there is: what would be dropped, what stays and why, what is overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from atum_ops import retaining_store as store
from atum_schema import live, retention, retention_store

if TYPE_CHECKING:
    from atum_ops.retaining_store import Old, Run, Size, Staying
    from atum_schema.database import Connection
    from atum_schema.retention import Month
    from atum_schema.settings import Settings

_GRACE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A month that the next run takes."""

    month: Month
    due_at: datetime
    size: Size
    staying: Staying

    @property
    def thick(self) -> bool:
        """Whether too many of its mails stay, so that the others are deleted one by one."""
        return sum(self.staying) > retention.MOST_ASIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Settings and reality."""

    now: datetime
    retention_days: int
    content_retention_days: int
    privacy: str
    oldest_month: Month | None
    oldest_mail: datetime | None
    months: tuple[Due, ...]
    aside: Old
    content: Old
    #: Since when the oldest sent mail is over that has content.
    oldest_content: datetime | None
    missing: tuple[str, ...]
    run: Run

    def attention(self) -> list[str]:
        """Say what an operator has to look at, one sentence each."""
        found = [
            f"{due.month} should have been dropped {(self.now - due.due_at).days} days ago"
            for due in self.months
            if not due.thick and self.now - due.due_at > _GRACE
        ]
        if self._is_overdue(self.aside, self.retention_days):
            found.append(f"{self.aside.number:,} mails that were put aside are older than they are kept")
        if self._is_overdue(self.content, 0 if self.privacy == "metadata" else self.content_retention_days):
            found.append(f"{self.content.number:,} contents of sent mails are older than they are kept")
        if self.missing:
            found.append(f"partitions are missing: {', '.join(self.missing)}; is a relay running?")
        if self.run.privacy not in {None, self.privacy}:
            found.append(
                f"ATUM_PRIVACY is {self.privacy!r} here, and was {self.run.privacy!r} where retention ran last"
            )
        if self.run.failure is not None:
            found.append(f"the last run failed: {self.run.failure}")
        return found

    def _is_overdue(self, old: Old, days: int) -> bool:
        return bool(
            old.number and old.oldest is not None and self.now - old.oldest > timedelta(days=days) + _GRACE
        )


def look(connection: Connection, base: Settings) -> Picture:
    """Compare what is set with what there is. `base` are the settings of the environment."""
    configured = live.current(connection, base)
    now, partitions = retention_store.partitions(connection)
    months = retention.months(partitions)
    days = configured.retention_days
    rule = retention.contents(
        now=now,
        content_days=configured.content_retention_days,
        drops_content=configured.drops_content,
        oldest=months[0] if months else None,
    )
    return Picture(
        now=now,
        retention_days=days,
        content_retention_days=configured.content_retention_days,
        privacy=configured.privacy,
        oldest_month=months[0] if months else None,
        oldest_mail=store.oldest_mail(connection),
        months=tuple(
            Due(
                month=month,
                due_at=retention.due_at(month, days=days),
                size=store.size(connection, month),
                staying=store.staying(connection, retention.bounds(month)),
            )
            for month in retention.due(months, now=now, days=days)
        ),
        aside=store.old_aside(connection, ended_before=now - timedelta(days=days)),
        content=store.old_content(connection, rule.ranges[0], ended_before=rule.ended_before),
        oldest_content=store.old_content(
            connection,
            retention.Range(retention.NOTHING, retention.EVERYTHING),
            ended_before=rule.ended_before,
        ).oldest,
        missing=tuple(retention.missing(partitions, now=now)),
        run=store.task(connection),
    )


def document(picture: Picture) -> dict[str, Any]:
    """Give the picture for machines."""
    walked = picture.run.walked_at
    return {
        "settings": {
            "retention_days": picture.retention_days,
            "content_retention_days": picture.content_retention_days,
            "privacy": picture.privacy,
        },
        "oldest_month": picture.oldest_month and str(picture.oldest_month),
        "oldest_mail": picture.oldest_mail,
        "oldest_content_of_a_sent_mail": picture.oldest_content,
        "next_run": {
            "months": [
                {
                    "month": str(due.month),
                    "due_at": due.due_at,
                    "mails": None if due.size.mails < 0 else due.size.mails,
                    "bytes": due.size.bytes,
                    "put_aside": due.staying._asdict(),
                    "dropped_whole": not due.thick,
                }
                for due in picture.months
            ],
            "mails_put_aside_before": picture.aside.number,
            "contents": picture.content.number,
            "at_least": store.LOOKED in {picture.aside.looked, picture.content.looked},
        },
        "missing_partitions": list(picture.missing),
        "last_run": {
            "started_at": picture.run.started_at,
            "ended_at": picture.run.ended_at,
            "failure": picture.run.failure,
            "walked_at": walked and datetime.fromtimestamp(walked, UTC),
        },
        "attention": picture.attention(),
    }


def why(staying: Staying) -> str:
    """Say in words what of a month stays."""
    return ", ".join(f"{number:,} {name}" for name, number in staying._asdict().items() if number) or "none"
