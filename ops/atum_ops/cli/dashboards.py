"""`dashboards`: the files that Grafana imports."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write the files to; made where it is missing.",
)
def dashboards(output: Path) -> None:
    """Write Grafana's dashboards, as they fit this version, one JSON file for each.

    Grafana reads them by import or by provisioning (docs/dashboards.md). They ask Prometheus, and need no setting of ours.

    \b
    Example:
      atum-mailer dashboards --output /var/lib/grafana/dashboards/atum-mailer
    """
    from atum_ops.dashboards.files import write
    from atum_schema.errors import AtumError

    try:
        for path in write(output):
            click.echo(path)
    except OSError as error:
        raise AtumError(f"cannot write to {output}: {error.strerror}") from None
