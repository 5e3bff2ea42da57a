"""People, courses, enrolments, rooms. Every integer key counts from 1."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models


class Stamped(models.Model):
    """What most tables begin with."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Faculty(models.Model):
    slug = models.SlugField(primary_key=True, max_length=20)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Institute(Stamped):
    """Its table and a column are written in mixed case."""

    name = models.CharField(max_length=80)
    faculty = models.ForeignKey(Faculty, models.PROTECT, db_column="FacRef", related_name="institutes")
    director = models.ForeignKey("Lecturer", models.SET_NULL, null=True, related_name="directs")
    floor = models.SmallIntegerField(default=0)

    class Meta:
        db_table = "UniInstitute"

    def __str__(self) -> str:
        return self.name


class Person(models.Model):
    """Base of an inheritance over several tables."""

    name = models.CharField(max_length=80)
    email = models.EmailField()
    home_town = models.CharField(max_length=40, default="")

    def __str__(self) -> str:
        return self.name


class Lecturer(Person):
    office = models.CharField(max_length=10)
    institute = models.ForeignKey(Institute, models.PROTECT, related_name="lecturers")


class Student(Person):
    matriculation = models.CharField(max_length=12, unique=True)
    advisor = models.ForeignKey(Lecturer, models.SET_NULL, null=True, related_name="advisees")
    year = models.SmallIntegerField()
    credit_points = models.IntegerField(default=0)


class Term(models.Model):
    """A legacy name for its key."""

    id = models.AutoField(primary_key=True, db_column="term_no")
    name = models.CharField(max_length=20)
    starts = models.DateField()

    def __str__(self) -> str:
        return self.name


class CourseQuerySet(models.QuerySet):
    def taught(self) -> Any:
        return self.filter(retired=False)


class Course(Stamped):
    code = models.CharField(max_length=10, primary_key=True)
    title = models.CharField(max_length=80)
    institute = models.ForeignKey(Institute, models.PROTECT, related_name="courses")
    requires = models.ManyToManyField("self", symmetrical=False, related_name="required_by")
    syllabus = models.TextField(default="")
    details = models.JSONField(default=dict)
    credit_points = models.SmallIntegerField(default=6)
    retired = models.BooleanField(default=False)

    objects = CourseQuerySet.as_manager()

    def __str__(self) -> str:
        return self.title

    @property
    def running_count(self) -> int:
        """A property that queries, as they creep in."""
        return self.offerings.filter(cancelled=False).count()

    @property
    def latest_offering(self) -> Any:
        return self.offerings.order_by("-term_id", "id").first()


class Offering(models.Model):
    """A course in a term."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    course = models.ForeignKey(Course, models.CASCADE, related_name="offerings")
    term = models.ForeignKey(Term, models.PROTECT, db_column="term_no", related_name="offerings")
    lecturer = models.ForeignKey(Lecturer, models.PROTECT, related_name="offerings")
    assistant = models.ForeignKey(Lecturer, models.PROTECT, null=True, related_name="assists")
    capacity = models.IntegerField(default=20)
    cancelled = models.BooleanField(default=False)
    students = models.ManyToManyField(Student, through="Enrolment", related_name="offerings")


class Enrolment(Stamped):
    """A through model that has something to say for itself."""

    student = models.ForeignKey(Student, models.CASCADE, related_name="enrolments")
    offering = models.ForeignKey(Offering, models.CASCADE, related_name="enrolments")
    state = models.CharField(max_length=10, default="active")
    grade = models.SmallIntegerField(null=True)


class Assignment(models.Model):
    offering = models.ForeignKey(Offering, models.CASCADE, related_name="assignments")
    title = models.CharField(max_length=60)
    max_points = models.SmallIntegerField(default=10)


class Submission(models.Model):
    assignment = models.ForeignKey(Assignment, models.CASCADE, related_name="submissions")
    enrolment = models.ForeignKey(Enrolment, models.CASCADE, related_name="submissions")
    points = models.SmallIntegerField(default=0)
    text = models.TextField(default="")


class Building(models.Model):
    """Of the facility management's own schema: not ours to migrate."""

    code = models.CharField(max_length=4, primary_key=True, db_column="BldgCd")
    street = models.CharField(max_length=60, db_column="StreetNm")

    class Meta:
        managed = False
        db_table = "tblBuilding"


class Room(models.Model):
    number = models.IntegerField(primary_key=True, db_column="RoomNo")
    building = models.ForeignKey(Building, models.DO_NOTHING, db_column="BldgCd", related_name="rooms")
    seats = models.IntegerField(db_column="SeatCnt")

    class Meta:
        managed = False
        db_table = "tblRoom"


class Slot(models.Model):
    """When and where; the room's table is not ours, so there is no constraint."""

    offering = models.ForeignKey(Offering, models.CASCADE, related_name="slots")
    room = models.ForeignKey(Room, models.DO_NOTHING, db_constraint=False, related_name="slots")
    weekday = models.SmallIntegerField()
    hour = models.SmallIntegerField()


class Locker(models.Model):
    """One for each student, if at all; its key is the student's."""

    student = models.OneToOneField(Student, models.CASCADE, primary_key=True, related_name="locker")
    number = models.IntegerField()
