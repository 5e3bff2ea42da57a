"""Text and UUID keys, `to_field`, `db_table`, `db_column`, one-to-one primary keys, multi-table inheritance."""

from __future__ import annotations

import uuid

from django.db import models


class Department(models.Model):
    """A natural text key."""

    code = models.CharField(max_length=8, primary_key=True)
    title = models.CharField(max_length=80)
    head = models.ForeignKey("Physician", models.SET_NULL, null=True, related_name="headed_departments")


class Staff(models.Model):
    """The base of an inheritance over several tables."""

    name = models.CharField(max_length=80)
    department = models.ForeignKey(Department, models.PROTECT, related_name="staff")
    mentor = models.ForeignKey("self", models.SET_NULL, null=True, related_name="mentees")


class Physician(Staff):
    speciality = models.CharField(max_length=40)


class Nurse(Staff):
    level = models.IntegerField()


class Badge(models.Model):
    """Its primary key is its staff member's."""

    staff = models.OneToOneField(Staff, models.CASCADE, primary_key=True, related_name="badge")
    serial = models.CharField(max_length=20)


class Insurer(models.Model):
    slug = models.SlugField(max_length=20, unique=True)
    title = models.CharField(max_length=80)


class Ward(models.Model):
    number = models.IntegerField(primary_key=True, db_column="ward_no")
    title = models.CharField(max_length=60)
    floor = models.IntegerField()

    class Meta:
        db_table = "hospital_ward_register"


class Patient(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80)
    ward = models.ForeignKey(Ward, models.SET_NULL, null=True, db_column="current_ward", related_name="patients")
    physician = models.ForeignKey(Physician, models.PROTECT, related_name="patients")
    insurer = models.ForeignKey(Insurer, models.PROTECT, to_field="slug", related_name="insured")
    anamnesis = models.TextField(default="")
    allergies = models.ManyToManyField("Allergy", related_name="patients", db_table="patient_allergy_map")


class Allergy(models.Model):
    substance = models.CharField(max_length=60)


class Contact(models.Model):
    """At most one emergency contact for each patient."""

    patient = models.OneToOneField(Patient, models.CASCADE, related_name="emergency_contact")
    phone = models.CharField(max_length=30)


class Appointment(models.Model):
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="appointments")
    staff = models.ForeignKey(Staff, models.PROTECT, related_name="appointments")
    starts_at = models.DateTimeField()
    room = models.IntegerField(default=0)


class Handover(models.Model):
    """One row, four people."""

    giver = models.ForeignKey(Staff, models.PROTECT, related_name="handovers_given")
    taker = models.ForeignKey(Staff, models.PROTECT, related_name="handovers_taken")
    witness = models.ForeignKey(Staff, models.PROTECT, related_name="handovers_seen")
    writer = models.ForeignKey(Staff, models.PROTECT, related_name="handovers_written")


class Drug(models.Model):
    atc = models.CharField(max_length=10, primary_key=True, db_column="atc_code")
    name = models.CharField(max_length=60)
    leaflet = models.TextField(default="")


class Prescription(models.Model):
    appointment = models.ForeignKey(Appointment, models.CASCADE, related_name="prescriptions")
    drugs = models.ManyToManyField(Drug, through="Dose", related_name="prescriptions")


class Dose(models.Model):
    prescription = models.ForeignKey(Prescription, models.CASCADE, related_name="doses")
    drug = models.ForeignKey(Drug, models.PROTECT, related_name="doses", db_column="drug_atc")
    milligrams = models.IntegerField()


class Measurement(models.Model):
    patient = models.ForeignKey(Patient, models.CASCADE, related_name="measurements")
    kind = models.CharField(max_length=20)
    value = models.FloatField()


class LabResult(models.Model):
    """Lives in the database `archive`, out of reach of foreign keys."""

    patient_ref = models.UUIDField(db_index=True)
    batch = models.ForeignKey("LabBatch", models.CASCADE, related_name="results")
    value = models.IntegerField()


class LabBatch(models.Model):
    """In the database `archive` too."""

    title = models.CharField(max_length=40)
