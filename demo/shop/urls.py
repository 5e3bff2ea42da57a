"""Addresses of the demo shop: what is well written, what is not, what is slow, and what writes."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from shop.views import bad, fixed, good, slow, writes

# The same addresses and templates before and after: what changed is the one line that each page lacked.
looped = fixed if settings.FIXED else bad

urlpatterns = [
    path("", good.home, name="home"),
    path("books/", good.books, name="books"),
    path("books/best/", good.best_books, name="best-books"),
    path("books/<int:pk>/", good.book, name="book"),
    path("authors/", good.authors, name="authors"),
    path("orders/", good.orders, name="orders"),
    path("account/", good.account, name="account"),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("bad/books/", looped.books, name="bad-books"),
    path("bad/authors/", looped.authors, name="bad-authors"),
    path("bad/tags/", looped.tags, name="bad-tags"),
    path("bad/orders/", looped.orders, name="bad-orders"),
    path("bad/counts/", looped.counts, name="bad-counts"),
    path("bad/stock/", looped.stock, name="bad-stock"),
    path("bad/descriptions/", looped.descriptions, name="bad-descriptions"),
    path("bad/basket/", looped.basket, name="bad-basket"),
    path("bad/gifts/", looped.gifts, name="bad-gifts"),
    path("bad/columns/", looped.columns, name="bad-columns"),
    path("bad/prices/", looped.raise_prices, name="bad-raise-prices"),
    path("search/", slow.search, name="search"),
    path("reports/sales/", slow.sales, name="sales"),
    path("reports/rivals/", slow.rivals, name="rivals"),
    path("reports/warehouse/", slow.warehouse, name="warehouse"),
    path("export/orders.csv", slow.export_orders, name="export-orders"),
    path("checkout/", writes.checkout, name="checkout"),
    path("import/", writes.import_reviews, name="import-reviews"),
    path("prices/", writes.raise_prices, name="raise-prices"),
    path("vouchers/redeem/", writes.redeem, name="redeem"),
]
