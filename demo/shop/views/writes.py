"""Pages that write, as a careful team writes them."""

from decimal import Decimal

from django.db import IntegrityError, transaction
from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from shop.models import Book, Customer, Order, OrderItem, Review, Stock, Voucher


@csrf_exempt
@require_POST
def checkout(request):
    """An order: rows are locked, a savepoint guards the voucher, and everything is one transaction."""
    customer = Customer.objects.get(pk=int(request.POST["customer"]))
    wanted = sorted({int(pk) for pk in request.POST.getlist("book")})
    with transaction.atomic():
        stock = Stock.objects.select_for_update().select_related("book").filter(pk__in=wanted).order_by("pk")
        order = Order.objects.create(customer=customer, placed_at=timezone.now())
        items = [OrderItem(order=order, book=line.book, quantity=1, price=line.book.price) for line in stock]
        OrderItem.objects.bulk_create(items)
        try:
            with transaction.atomic():
                Voucher.objects.create(code=request.POST["voucher"], customer=customer)
            reduced = True
        except IntegrityError:
            reduced = False
        order.status = Order.Status.PAID
        order.save(update_fields=["status"])
    return JsonResponse({"order": order.pk, "items": len(items), "reduced": reduced}, status=201)


@csrf_exempt
@require_POST
def redeem(request):
    """A voucher that was redeemed before is refused by the unique index: an error, outside a transaction."""
    try:
        Voucher.objects.create(code=request.POST["voucher"], customer_id=int(request.POST["customer"]))
    except IntegrityError:
        return JsonResponse({"error": "this voucher was redeemed before"}, status=409)
    return JsonResponse({"redeemed": True}, status=201)


@csrf_exempt
@require_POST
def import_reviews(request):
    """A batch of new rows in one statement."""
    book = int(request.POST["book"])
    reviewers = Customer.objects.order_by("id").values_list("id", flat=True)[:200]
    made = Review.objects.bulk_create(
        Review(book_id=book, customer_id=pk, stars=pk % 5 + 1, text=f"Imported: what customer {pk} thinks of it.")
        for pk in reviewers
    )
    return JsonResponse({"made": len(made)}, status=201)


@csrf_exempt
@require_POST
def raise_prices(request):
    """Many changed rows in one statement."""
    books = list(Book.objects.filter(author_id=int(request.POST["author"])))
    for book in books:
        book.price += Decimal("0.01")
    Book.objects.bulk_update(books, ["price"])
    return JsonResponse({"changed": len(books)})
