"""Settings about what is unknown: when the provider is asked, what an empty answer is worth, what follows."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from pydantic import BaseModel, Field, field_validator

from atum_schema.settings_operating import LIVE
from atum_schema.settings_text import listed

_MAX_SEARCHES: Final = 10
_MAX_SETTLE_S: Final = 604_800.0


class SettlingSettings(BaseModel):
    """The schedule of searches, and the policies of those mails that they do not find."""

    settle_s: str = Field(
        "30,120,600",
        description="When an unknown batch is searched for at the provider, seconds after its anchor.",
    )
    settle_without_control_s: float = Field(
        1800.0,
        gt=0,
        le=604_800,
        description="From when on an empty search counts although no later mail was found to prove the index alive.",
    )
    provider_retention_s: float = Field(
        45 * 86_400.0,
        gt=0,
        le=400 * 86_400,
        description="How long the provider can be searched for a mail; later, an empty search says nothing.",
    )
    resend_lanes: str = Field(
        "transactional",
        json_schema_extra=LIVE,
        description="Lanes whose mails go out again when nothing is found; in all others they are held.",
    )
    poison_crashes: int = Field(
        3,
        ge=1,
        le=100,
        description="How often a mail may be alone with a worker that dies, before it is dead.",
    )

    @field_validator("settle_s")
    @classmethod
    def _is_schedule(cls, value: str) -> str:
        try:
            times = [float(part) for part in listed(value)]
        except ValueError:
            raise ValueError(f"must be seconds separated by commas, not {value!r}") from None
        # "nan" is a float, and neither above nor below anything.
        if not 0 < len(times) <= _MAX_SEARCHES or not all(0 < time <= _MAX_SETTLE_S for time in times):
            raise ValueError(
                f"must be 1 to {_MAX_SEARCHES} times above 0 and up to {_MAX_SETTLE_S:.0f}, not {value!r}"
            )
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError(f"must rise from each time to the next, not {value!r}")
        return value

    @property
    def settle_schedule(self) -> tuple[float, ...]:
        """Seconds after the anchor at which an unknown batch is searched for."""
        return tuple(float(part) for part in listed(self.settle_s))

    @property
    def resend_lane_names(self) -> tuple[str, ...]:
        """The lanes whose mails go out again when settling finds nothing."""
        return listed(self.resend_lanes)
