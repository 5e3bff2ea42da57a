"""Tables that were there before Django."""

from django.db import models


class Invoice(models.Model):
    """Unmanaged, its columns named by others."""

    number = models.IntegerField(primary_key=True, db_column="InvoiceNo")
    customer = models.ForeignKey(
        "shop.Customer", models.DO_NOTHING, db_column="cust", related_name="invoices", db_constraint=False
    )

    class Meta:
        managed = False
        db_table = "INVOICES"


class Line(models.Model):
    """A table name with a dot in it, which is no schema."""

    invoice = models.ForeignKey(Invoice, models.DO_NOTHING)

    class Meta:
        managed = False
        db_table = "invoices.lines"
