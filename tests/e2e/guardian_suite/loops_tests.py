"""Tests that a project would add to its own: the same page of permissions, read with a loop and without one."""

import pytest
from django.contrib.auth import get_user_model
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm
from guardian.testapp.models import Post

USERS = 8


@pytest.fixture
def permissions(db):
    post = Post.objects.create(title="A post")
    for number in range(USERS):
        assign_perm("testapp.change_post", get_user_model().objects.create(username=f"user {number}"), post)


@pytest.mark.pgprism(n_plus_one=0)
def test_permissions_fails(permissions):
    assert len({one.user.username for one in UserObjectPermission.objects.order_by("id")}) == USERS


@pytest.mark.pgprism(n_plus_one=0, max_queries=1)
def test_permissions_passes(permissions):
    listed = UserObjectPermission.objects.select_related("user").order_by("id")
    assert len({one.user.username for one in listed}) == USERS
