"""docs/alerts.md says of every alert what the catalogue says."""

from __future__ import annotations

import re
from typing import Final

from atum_ops.alerts import catalogue
from atum_schema.settings_alerts import AlertSettings
from tests import alert_pages

TEXT: Final = (alert_pages.DOCS / "alerts.md").read_text()


def table(heading: str) -> list[str]:
    """Give the rows of the table with this first line."""
    return TEXT.partition(f"{heading}\n")[2].partition("\n\n")[0].splitlines()[1:]


def test_the_table_of_alerts_is_that_of_the_catalogue() -> None:
    rows = table("| alert | severity | it fires when | threshold | for |")
    words = [line.split(" | ")[2] for line in rows]
    assert rows == [
        alert_pages.row(alert, text) for alert, text in zip(alert_pages.alerts(), words, strict=True)
    ]
    assert all(len(text) > 5 for text in words)


def test_the_table_of_what_mutes_what_is_that_of_the_code() -> None:
    assert (
        table("| while the condition of one of these is met | nobody is told of |")
        == alert_pages.inhibitions()
    )


def test_the_table_of_areas_is_that_of_the_catalogue() -> None:
    assert table("| area | alerts |") == alert_pages.areas()


def test_every_setting_that_is_not_a_threshold_of_its_own_row_is_told_of_too() -> None:
    names = {f"ATUM_{name.upper()}" for name in AlertSettings.model_fields}
    assert set(re.findall(r"`(ATUM_ALERT_[A-Z_]+)`", TEXT)) == names


def test_the_numbers_that_the_text_repeats_are_the_defaults() -> None:
    by_name = {alert.name: alert for alert in alert_pages.alerts()}
    threshold = AlertSettings.model_fields["alert_failure_rate_threshold"].default
    for name, times in (("AtumFailureBurnFast", 6), ("AtumFailureBurnSlow", 2)):
        assert by_name[name].threshold == times * threshold
        assert f"{times} × the threshold" in TEXT
    assert (
        f"`ATUM_ALERT_FAILURE_RATE_LEAST` mails ({AlertSettings.model_fields['alert_failure_rate_least'].default})"
        in TEXT
    )
    assert AlertSettings.model_fields["alert_cooldown_seconds"].default == 3600  # "an hour"


def test_a_burn_rate_is_never_more_than_the_text_says() -> None:
    burning = catalogue.alerts(
        alert_pages.settings(alert_failure_rate_threshold=50, alert_failure_rate_critical_threshold=60)
    )
    most = {alert.threshold for alert in burning if "Burn" in alert.name}
    assert most == {90}
    assert "| 90 % |" in TEXT
