"""Pages as they are written by people who do not see their queries: each has one mistake, named in its docstring.

`fixed.py` has each of them again, without it.
"""

from decimal import Decimal

from django.apps import apps
from django.db.models import Count, Max, Min
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from shop.models import Author, Book, Customer, Order
from shop.views.good import PAGE, page_start

# The books in everybody's basket.
CHOSEN = (1, 2, 1, 2, 1, 2, 1, 2)
# Which customers of each ten get a present.
GIFTS = (2, 3, 5, 7)


def books(request):
    """Forward N+1, twice: the template asks each book for its author and for its publisher."""
    start = page_start(request)
    listed = Book.objects.prefetch_related("tags").order_by("title", "id")
    return render(request, "shop/books.html", {"books": listed[start : start + PAGE]})


def authors(request):
    """Reverse N+1: the template asks each author for the books."""
    start = page_start(request)
    return render(request, "shop/authors.html", {"authors": Author.objects.all()[start : start + PAGE]})


def tags(request):
    """Many-to-many N+1: each book for its tags."""
    start = page_start(request)
    listed = Book.objects.select_related("author", "publisher").order_by("title", "id")
    return render(request, "shop/books.html", {"books": listed[start : start + PAGE]})


def orders(request):
    """Two levels: the items of each order, and the book of each item. One query becomes a hundred."""
    start = page_start(request)
    listed = Order.objects.select_related("customer").order_by("-placed_at", "id")
    return render(request, "shop/orders.html", {"orders": listed[start : start + PAGE]})


def counts(request):
    """A count and a test for existence in a loop, where one annotated query would do."""
    start = page_start(request)
    lines = [
        {
            "author": author.name,
            "books": author.books.count(),
            "cheap": author.books.filter(price__lt=10).exists(),
        }
        for author in Author.objects.all()[start : start + PAGE]
    ]
    return JsonResponse({"authors": lines})


def stock(request):
    """Reverse one-to-one N+1: the stock of each book."""
    start = page_start(request)
    listed = Book.objects.order_by("id")[start : start + PAGE]
    return JsonResponse({"stock": {book.isbn: book.stock.quantity for book in listed}})


def descriptions(request):
    """Deferred field: `only()` left out a column that the page shows."""
    start = page_start(request)
    listed = Book.objects.only("title").order_by("id")[start : start + PAGE]
    return JsonResponse({"books": [{"title": book.title, "text": book.description[:80]} for book in listed]})


def basket(request):
    """Duplicates: the same customer and the same prices are read again for each line of the basket."""
    customer = int(request.GET.get("customer", 1))
    lines = [
        {
            "customer": Customer.objects.get(pk=customer).name,
            "price": str(Book.objects.values_list("price", flat=True).get(pk=pk)),
        }
        for pk in CHOSEN
    ]
    return JsonResponse({"lines": lines})


def gift_list(request):
    """Addresses as a marketing tool might send them."""
    first = int(request.GET.get("from", 0))
    return [f"customer{first + tens + n}@shop.example" for tens in (0, 10, 20) for n in GIFTS]


def gifts(request):
    """Query loop: the customers of a list that does not come from the database are looked up one by one."""
    names = {email: Customer.objects.get(email=email).name for email in gift_list(request)}
    return JsonResponse({"names": names})


def columns(request):
    """Chatty: every tile of the page asks for itself, no two of them alike."""
    tiles = {"books": Book.objects.count()}
    for model in apps.get_app_config("shop").get_models():
        for field in model._meta.concrete_fields:
            tiles[f"{model.__name__}.{field.name}"] = [
                str(model.objects.aggregate(value=function(field.name))["value"]) for function in (Count, Min, Max)
            ]
    return JsonResponse({"tiles": tiles})


@csrf_exempt
@require_POST
def raise_prices(request):
    """Write loop: one UPDATE for each book."""
    author = int(request.POST["author"])
    changed = 0
    for book in Book.objects.filter(author_id=author):
        book.price += Decimal("0.01")
        book.save(update_fields=["price"])
        changed += 1
    return JsonResponse({"changed": changed})
