"""What gunicorn serves. Agents are started here, before Django is: each in the worker, as their documentation says."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "compare_site.settings")


def _start_opentelemetry() -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument()
    PsycopgInstrumentor().instrument()


def _start_sentry() -> None:
    import sentry_sdk

    sentry_sdk.init(dsn=os.environ["COMPARE_SENTRY_DSN"], traces_sample_rate=1.0)


match os.environ.get("COMPARE_TOOL"):
    case "opentelemetry":
        _start_opentelemetry()
    case "sentry":
        _start_sentry()

application = get_wsgi_application()
