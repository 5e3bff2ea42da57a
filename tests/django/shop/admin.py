"""Two admin sites over the same models: as people write them first, and as they should be."""

from __future__ import annotations

from django.contrib import admin

from .models import Customer, Order, OrderLine, Product, Review


class FirstOrders(admin.ModelAdmin):
    list_display = ("number", "buyer", "status")
    ordering = ("id",)
    list_per_page = 12

    def buyer(self, order: Order) -> str:
        return order.customer.email


class BetterOrders(FirstOrders):
    list_select_related = ("customer",)


class FirstProducts(admin.ModelAdmin):
    list_display = ("sku", "labels")
    ordering = ("id",)
    list_per_page = 12
    show_full_result_count = False

    def labels(self, product: Product) -> str:
        return ", ".join(tag.name for tag in product.tags.all())


class BetterProducts(FirstProducts):
    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("tags")


class FirstCustomers(admin.ModelAdmin):
    list_display = ("name", "reviews")
    ordering = ("id",)
    list_per_page = 12

    def reviews(self, customer: Customer) -> int:
        return customer.review_set.count()


class BetterCustomers(FirstCustomers):
    def get_queryset(self, request):
        from django.db.models import Count

        return super().get_queryset(request).annotate(review_count=Count("review"))

    def reviews(self, customer: Customer) -> int:
        return customer.review_count


class FirstLines(admin.TabularInline):
    """The inline's own rows come in one query, but each shows a product."""

    model = OrderLine
    extra = 0
    can_delete = False
    fields = readonly_fields = ("article", "quantity")

    def article(self, line: OrderLine) -> str:
        return line.product.sku


class BetterLines(FirstLines):
    def get_queryset(self, request):
        return super().get_queryset(request).select_related("product")


class PlainReviews(admin.ModelAdmin):
    """No column of another table: nothing to find."""

    list_display = ("id", "stars", "body")
    ordering = ("id",)
    list_per_page = 12


def _site(name: str, orders, products, customers, lines) -> admin.AdminSite:
    site = admin.AdminSite(name)
    site.register(Order, type("Orders", (orders,), {"inlines": [lines], "fields": ["number", "status"]}))
    site.register(Product, products)
    site.register(Customer, customers)
    site.register(Review, PlainReviews)
    return site


first_site = _site("first", FirstOrders, FirstProducts, FirstCustomers, FirstLines)
better_site = _site("better", BetterOrders, BetterProducts, BetterCustomers, BetterLines)
