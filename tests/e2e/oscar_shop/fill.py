"""Products to look at, made with Oscar's own factories: `python -m oscar_shop.fill`."""

import django

django.setup()

from oscar.test.factories import (  # noqa: E402
    CategoryFactory,
    ProductClassFactory,
    ProductFactory,
    StockRecordFactory,
)

PRODUCTS = 20

books = ProductClassFactory(name="Books")
novels = CategoryFactory(name="Novels", slug="novels")
for number in range(PRODUCTS):
    product = ProductFactory(
        title=f"Book {number}", upc=f"{number:013}", product_class=books, stockrecords=None, categories=None
    )
    product.categories.add(novels)
    StockRecordFactory(product=product, num_in_stock=number + 5)
print("filled")
