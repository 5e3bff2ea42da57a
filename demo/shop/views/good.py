"""Pages that ask the database for what they show, once."""

from django.contrib.auth.decorators import login_required
from django.db.models import Avg, Count
from django.shortcuts import get_object_or_404, render

from shop.models import Author, Book, Order

PAGE = 25


def page_start(request):
    """Where the page that `?page=` names begins."""
    return (max(int(request.GET.get("page", 1)), 1) - 1) * PAGE


def home(request):
    return render(request, "shop/home.html", {"newest": Book.objects.order_by("-published_on", "id")[:5]})


def books(request):
    start = page_start(request)
    listed = Book.objects.select_related("author", "publisher").prefetch_related("tags").order_by("title", "id")
    return render(request, "shop/books.html", {"books": listed[start : start + PAGE]})


def best_books(request):
    listed = (
        Book.objects.select_related("author", "publisher")
        .annotate(stars=Avg("reviews__stars"), votes=Count("reviews"))
        .filter(votes__gte=5)
        .order_by("-stars", "id")
    )
    return render(request, "shop/best_books.html", {"books": listed[:PAGE]})


def book(request, pk):
    shown = get_object_or_404(Book.objects.select_related("author", "publisher", "stock"), pk=pk)
    reviews = shown.reviews.select_related("customer").order_by("-id")[:10]
    return render(request, "shop/book.html", {"book": shown, "reviews": reviews})


def authors(request):
    start = page_start(request)
    listed = Author.objects.prefetch_related("books")
    return render(request, "shop/authors.html", {"authors": listed[start : start + PAGE]})


def orders(request):
    start = page_start(request)
    listed = Order.objects.select_related("customer").prefetch_related("items__book").order_by("-placed_at", "id")
    return render(request, "shop/orders.html", {"orders": listed[start : start + PAGE]})


@login_required
def account(request):
    customer = request.user.customer
    latest = customer.orders.annotate(lines=Count("items")).order_by("-placed_at")[:10]
    return render(request, "shop/account.html", {"customer": customer, "orders": latest})
