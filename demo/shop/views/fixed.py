"""The pages of `bad.py`, corrected: the same addresses, the same answers, and the line that was missing."""

from django.apps import apps
from django.db.models import Count, Exists, Max, Min, OuterRef
from django.http import JsonResponse

from shop.models import Author, Book, Customer
from shop.views import bad, good, writes
from shop.views.good import PAGE, page_start

books = good.books
tags = good.books
authors = good.authors
orders = good.orders
raise_prices = writes.raise_prices


def counts(request):
    start = page_start(request)
    cheap = Book.objects.filter(author=OuterRef("pk"), price__lt=10)
    listed = Author.objects.annotate(count=Count("books"), cheap=Exists(cheap))
    lines = [
        {"author": author.name, "books": author.count, "cheap": author.cheap}
        for author in listed[start : start + PAGE]
    ]
    return JsonResponse({"authors": lines})


def stock(request):
    start = page_start(request)
    listed = Book.objects.select_related("stock").order_by("id")[start : start + PAGE]
    return JsonResponse({"stock": {book.isbn: book.stock.quantity for book in listed}})


def descriptions(request):
    start = page_start(request)
    listed = Book.objects.only("title", "description").order_by("id")[start : start + PAGE]
    return JsonResponse({"books": [{"title": book.title, "text": book.description[:80]} for book in listed]})


def basket(request):
    customer = Customer.objects.get(pk=int(request.GET.get("customer", 1)))
    prices = {pk: Book.objects.values_list("price", flat=True).get(pk=pk) for pk in set(bad.CHOSEN)}
    lines = [{"customer": customer.name, "price": str(prices[pk])} for pk in bad.CHOSEN]
    return JsonResponse({"lines": lines})


def gifts(request):
    found = Customer.objects.filter(email__in=bad.gift_list(request))
    return JsonResponse({"names": {customer.email: customer.name for customer in found}})


def columns(request):
    tiles = {"books": Book.objects.count()}
    for model in apps.get_app_config("shop").get_models():
        names = [field.name for field in model._meta.concrete_fields]
        functions = (Count, Min, Max)
        found = model.objects.aggregate(**{f"{n}_{one.__name__}": one(n) for n in names for one in functions})
        for name in names:
            tiles[f"{model.__name__}.{name}"] = [str(found[f"{name}_{one.__name__}"]) for one in functions]
    return JsonResponse({"tiles": tiles})
