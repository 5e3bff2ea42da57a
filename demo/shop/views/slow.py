"""Pages that cost the database something."""

import csv

from django.db import connection
from django.db.models import Avg, Count, F, Sum
from django.db.models.functions import TruncMonth
from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import render

from shop.models import Order, OrderItem, Review


def search(request):
    """Looks for words inside of reviews: no index helps `icontains`, PostgreSQL reads every row."""
    words = request.GET.get("q", "wonderful")
    found = Review.objects.filter(text__icontains=words).select_related("book")[:10]
    return render(request, "shop/search.html", {"words": words, "reviews": found})


def sales(request):
    """Income by month and publisher: a join of four tables and an aggregate over all that was ever sold."""
    rows = (
        OrderItem.objects.annotate(month=TruncMonth("order__placed_at"))
        .values("month", "book__publisher__name")
        .annotate(income=Sum(F("quantity") * F("price")), customers=Count("order__customer", distinct=True))
        .order_by("month", "book__publisher__name")
    )
    return JsonResponse({"rows": len(rows)})


def rivals(request):
    """Reviews of one book compared with those of its author's other books: a join that multiplies rows."""
    rows = (
        Review.objects.filter(stars__lt=F("book__author__books__reviews__stars"))
        .values("book__author__name")
        .annotate(pairs=Count("id"), stars=Avg("stars"))
        .order_by("-pairs", "book__author__name")[:10]
    )
    return JsonResponse({"rows": list(rows)})


def warehouse(request):
    """Stands for a call that always takes its time: surely over the slow log's threshold on any machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), pg_sleep(%s) FROM shop_stock WHERE quantity < %s", [0.15, 5])
        (low, _) = cursor.fetchone()
    return JsonResponse({"low": low})


class Lines:
    """A file for the csv module whose `write` hands the line back."""

    def write(self, line):
        return line


def export_orders(request):
    """All orders as CSV: `iterator()` makes Django read through a server-side cursor, chunk by chunk."""
    writer = csv.writer(Lines())
    listed = Order.objects.select_related("customer").order_by("id").iterator(chunk_size=500)
    lines = (writer.writerow([order.pk, order.customer.email, order.status, order.placed_at]) for order in listed)
    return StreamingHttpResponse(lines, content_type="text/csv")
