"""Writes regions with their parents, carelessly or not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from shop.models import Region


class Command(BaseCommand):
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("variant")

    def handle(self, *args: Any, **options: Any) -> None:
        regions = Region.objects.filter(parent__isnull=False).order_by("-name")[:12]
        if options["variant"] == "fixed":
            regions = regions.select_related("parent")
        for region in regions:
            self.stdout.write(f"{region.name} < {region.parent.name}")
