"""Each scenario's steps under one path, and the two admin sites."""

from __future__ import annotations

from django.urls import path
from scenarios.serving import serve, serve_async
from visits.backoffice import better_site, first_site

urlpatterns = [
    path("s/<str:name>/<str:variant>/<str:step>", serve),
    path("a/<str:name>/<str:variant>/<str:step>", serve_async),
    path("admin/problem/", first_site.urls),
    path("admin/fixed/", better_site.urls),
]
