"""Settings of the ways in: the HTTP API, and the intake of jobs from RabbitMQ."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ApiSettings(BaseModel):
    """Where the API listens, and how long and how much it bears."""

    intake_jobs: int = Field(
        200, ge=1, le=500, description="Jobs that an intake stores in one transaction, at most."
    )

    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(8025, ge=1, le=65_535, description="Port that the API listens on.")
    api_head_timeout_s: float = Field(
        10.0, gt=0, le=600, description="How long a client may take to send a request's head, or say nothing."
    )
    api_body_timeout_s: float = Field(
        30.0, gt=0, le=600, description="How long a client may take to send a request's body."
    )
    api_store_timeout_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="How long a request waits for the database, before it is told to come back.",
    )
    api_connections: int = Field(
        4000,
        ge=10,
        le=100_000,
        description="Connections that are open at once; beyond, the idlest is closed.",
    )
