"""Tags that query, as templates collect them."""

from __future__ import annotations

from typing import Any

from django import template
from press.models import Comment

register = template.Library()


@register.simple_tag
def comment_count(article: Any) -> int:
    return Comment.objects.filter(article=article).count()


@register.inclusion_tag("campus/_renditions.html")
def renditions(image: Any) -> dict[str, Any]:
    return {"renditions": image.renditions.order_by("width")}
