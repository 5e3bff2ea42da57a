"""Rows written one at a time, and what is asked again although it is known."""

from __future__ import annotations

from typing import Any

from campus.models import Enrolment, Offering, Slot, Student, Term
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.signals import post_save
from django.forms import ModelForm, modelformset_factory
from press.models import Article, Counter, LogLine, Mail, SiteConfig, Speaker, Talk
from scenarios.registry import Where, aggregate, duplicate, problem, query_loop, write_loop
from scenarios.serving import page

LOG = "DELETE FROM press_logline"
MAIL = "DELETE FROM press_mail"
SOME_MAIL = """
DELETE FROM press_mail;
INSERT INTO press_mail (id, address, subject, state, attempts)
SELECT n, 'm' || n || '@example.org', 'Subject', 'new', 0 FROM generate_series(1, 24) n
"""
COUNTERS = """
DELETE FROM press_counter;
INSERT INTO press_counter (id, name, value) SELECT n, 'counter-' || n - 1, n - 1 FROM generate_series(1, 30) n
"""
APPEARANCES = "DELETE FROM press_appearance WHERE position >= 90"
RELATED = "DELETE FROM press_article_related WHERE from_article_id > 29 OR to_article_id > 29"


@problem("create", write_loop("press_logline"), children=10, restore=LOG)
def log_each(request: Any) -> Any:
    for one in Student.objects.filter(year=1).order_by("matriculation")[:10]:
        LogLine.objects.create(subject=one.matriculation, number=one.pk)
    return LogLine.objects.count()


@log_each.fixed
def _(request: Any) -> Any:
    found = Student.objects.filter(year=1).order_by("matriculation")[:10]
    LogLine.objects.bulk_create(LogLine(subject=one.matriculation, number=one.pk) for one in found)
    return LogLine.objects.count()


@problem("save", write_loop("press_counter"), children=12, restore=COUNTERS)
def save_each(request: Any) -> Any:
    for one in Counter.objects.filter(value__lt=12).order_by("id"):
        one.value += 100
        one.save()
    return sorted(Counter.objects.values_list("value", flat=True))


@save_each.fixed
def _(request: Any) -> Any:
    found = list(Counter.objects.filter(value__lt=12).order_by("id"))
    for one in found:
        one.value += 100
    Counter.objects.bulk_update(found, ["value"])
    return sorted(Counter.objects.values_list("value", flat=True))


@problem("update", write_loop("press_mail"), children=12, before=SOME_MAIL, restore=MAIL)
def update_each(request: Any) -> Any:
    with transaction.atomic():
        for key in Mail.objects.order_by("id").values_list("id", flat=True)[:12]:
            Mail.objects.filter(pk=key).update(state="seen")
    return Mail.objects.filter(state="seen").count()


@update_each.fixed
def _(request: Any) -> Any:
    with transaction.atomic():
        keys = list(Mail.objects.order_by("id").values_list("id", flat=True)[:12])
        Mail.objects.filter(pk__in=keys).update(state="seen")
    return Mail.objects.filter(state="seen").count()


@problem("delete", write_loop("press_mail"), children=10, before=SOME_MAIL, restore=MAIL)
def delete_each(request: Any) -> Any:
    for one in Mail.objects.filter(id__gt=14).order_by("id"):
        one.delete()
    return Mail.objects.count()


@delete_each.fixed
def _(request: Any) -> Any:
    Mail.objects.filter(id__gt=14).delete()
    return Mail.objects.count()


@problem("get_or_create", write_loop("press_counter"), children=10, where=Where.COMMAND, restore=COUNTERS)
def get_or_create_each(job: Any) -> Any:
    """An import that looks before it writes; half of the rows are there."""
    return [Counter.objects.get_or_create(name=f"counter-{n}", defaults={"value": n})[0].value for n in range(15, 45)]


@get_or_create_each.fixed
def _(job: Any) -> Any:
    names = [f"counter-{n}" for n in range(15, 45)]
    Counter.objects.bulk_create(
        (Counter(name=name, value=n) for n, name in enumerate(names, 15)), ignore_conflicts=True
    )
    found = Counter.objects.in_bulk(names, field_name="name")
    return [found[name].value for name in names]


@problem("update_or_create", write_loop("press_counter"), children=8, restore=COUNTERS)
def update_or_create_each(request: Any) -> Any:
    for n in range(8):
        Counter.objects.update_or_create(name=f"counter-{n}", defaults={"value": 500 + n})
    return sorted(Counter.objects.values_list("value", flat=True))


@update_or_create_each.fixed
def _(request: Any) -> Any:
    Counter.objects.bulk_create(
        (Counter(name=f"counter-{n}", value=500 + n) for n in range(8)),
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["value"],
    )
    return sorted(Counter.objects.values_list("value", flat=True))


@problem("m2m_add", write_loop("press_article_related"), children=6, restore=RELATED)
def relate_each(request: Any) -> Any:
    article = Article.objects.get(pk=30)
    for other in Article.objects.filter(pk__gt=30).order_by("pk"):
        article.related.add(other)
    return sorted(article.related.values_list("pk", flat=True))


@relate_each.fixed
def _(request: Any) -> Any:
    article = Article.objects.get(pk=30)
    article.related.add(*Article.objects.filter(pk__gt=30))
    return sorted(article.related.values_list("pk", flat=True))


@problem("through", write_loop("press_appearance"), children=8, restore=APPEARANCES)
def appoint_each(request: Any) -> Any:
    """A through model's rows, one `save` each."""
    talk = Talk.objects.get(pk=4)
    for n, speaker in enumerate(Speaker.objects.filter(affiliation__in=["Lab 1", "Lab 2"]).order_by("name")[:8]):
        talk.appearances.create(speaker=speaker, position=90 + n)
    return talk.appearances.filter(position__gte=90).count()


@appoint_each.fixed
def _(request: Any) -> Any:
    from press.models import Appearance

    talk = Talk.objects.get(pk=4)
    chosen = Speaker.objects.filter(affiliation__in=["Lab 1", "Lab 2"]).order_by("name")[:8]
    Appearance.objects.bulk_create(
        Appearance(talk=talk, speaker=speaker, position=90 + n) for n, speaker in enumerate(chosen)
    )
    return talk.appearances.filter(position__gte=90).count()


def _note(sender: Any, instance: Any, **_: Any) -> None:
    LogLine.objects.create(subject=instance.name, number=instance.value)


@problem(
    "signal", write_loop("press_counter|press_logline"), children=8, restore=COUNTERS + ";" + LOG, where=Where.COMMAND
)
def saves_and_signals(job: Any) -> Any:
    """Each save has a handler that writes too."""
    post_save.connect(_note, sender=Counter)
    try:
        with transaction.atomic():
            for one in Counter.objects.order_by("-value")[:8]:
                one.value += 1
                one.save(update_fields=["value"])
    finally:
        post_save.disconnect(_note, sender=Counter)
    return LogLine.objects.count()


@saves_and_signals.fixed
def _(job: Any) -> Any:
    with transaction.atomic():
        found = list(Counter.objects.order_by("-value")[:8])
        Counter.objects.filter(pk__in=[one.pk for one in found]).update(value=F("value") + 1)
        LogLine.objects.bulk_create(LogLine(subject=one.name, number=one.value + 1) for one in found)
    return LogLine.objects.count()


@problem("raw", write_loop("press_logline"), children=9, restore=LOG)
def raw_inserts(request: Any) -> Any:
    with transaction.atomic(), connection.cursor() as cursor:
        for n in range(9):
            cursor.execute(
                "insert into press_logline (subject, number, line) values (%s, %s, %s)", [f"row {n}", n * 3, "raw"]
            )
    return LogLine.objects.count()


@raw_inserts.fixed
def _(request: Any) -> Any:
    with transaction.atomic(), connection.cursor() as cursor:
        values = [value for n in range(9) for value in (f"row {n}", n * 3, "raw")]
        cursor.execute(
            "insert into press_logline (subject, number, line) values " + ", ".join(["(%s, %s, %s)"] * 9), values
        )
    return LogLine.objects.count()


@problem("locked", write_loop("press_counter"), children=6, restore=COUNTERS, where=Where.COMMAND)
def transfer_each(job: Any) -> Any:
    """Read for update, then written, one by one in one transaction."""
    with transaction.atomic():
        for n in (4, 9, 12, 17, 21, 28):
            one = Counter.objects.select_for_update().get(pk=n)
            one.value += 10
            one.save(update_fields=["value"])
    return sorted(Counter.objects.values_list("value", flat=True))


@transfer_each.fixed
def _(job: Any) -> Any:
    with transaction.atomic():
        Counter.objects.filter(pk__in=(4, 9, 12, 17, 21, 28)).update(value=F("value") + 10)
    return sorted(Counter.objects.values_list("value", flat=True))


@problem("duplicate", duplicate("press_siteconfig"), children=5)
def settings_again(request: Any) -> Any:
    return page(
        "{% for n in numbers %}{{ n }}: {{ theme }};{% endfor %}",
        numbers=range(5),
        theme=lambda: SiteConfig.objects.get(key="theme").value,
    )


@settings_again.fixed
def _(request: Any) -> Any:
    theme = SiteConfig.objects.get(key="theme").value
    return page("{% for n in numbers %}{{ n }}: {{ theme }};{% endfor %}", numbers=range(5), theme=theme)


@problem("duplicate", duplicate("auth_group|auth_user_groups"), children=4, login=True)
def rights_again(request: Any) -> Any:
    """A right that each part of a page asks for."""
    parts = ("head", "list", "side", "foot")
    return [(part, request.user.groups.filter(name="editors").exists()) for part in parts]


@rights_again.fixed
def _(request: Any) -> Any:
    editor = request.user.groups.filter(name="editors").exists()
    return [(part, editor) for part in ("head", "list", "side", "foot")]


class OfferingForm(ModelForm):
    class Meta:
        model = Offering
        fields = ("term", "capacity")


@problem("formset", duplicate("campus_term"), children=6)
def formset(request: Any) -> Any:
    """Each form reads the choices of its foreign key."""
    make = modelformset_factory(Offering, form=OfferingForm, extra=0)
    return [form.as_p() for form in make(queryset=Offering.objects.order_by("capacity", "id")[:6])]


@formset.fixed
def _(request: Any) -> Any:
    make = modelformset_factory(Offering, form=OfferingForm, extra=0)
    forms = list(make(queryset=Offering.objects.order_by("capacity", "id")[:6]))
    choices = list(forms[0].fields["term"].choices)
    for form in forms:
        form.fields["term"].choices = choices
    return [form.as_p() for form in forms]


@problem("constants", query_loop("campus_slot"), children=5)
def hours_a_day(request: Any) -> Any:
    return [Slot.objects.filter(weekday=day).count() for day in range(1, 6)]


@hours_a_day.fixed
def _(request: Any) -> Any:
    from django.db.models import Count

    found = dict(Slot.objects.values_list("weekday").annotate(n=Count("id")))
    return [found.get(day, 0) for day in range(1, 6)]


@problem("constants", query_loop("campus_student|campus_person"), children=9, where=Where.COMMAND)
def import_grades(job: Any) -> Any:
    """Keys from a file."""
    lines = [f"M{1000 + n * 13 % 60}" for n in range(9)]
    return [Student.objects.get(matriculation=line).name for line in lines]


@import_grades.fixed
def _(job: Any) -> Any:
    lines = [f"M{1000 + n * 13 % 60}" for n in range(9)]
    found = Student.objects.in_bulk(lines, field_name="matriculation")
    return [found[line].name for line in lines]


@problem(
    "create",
    write_loop("campus_enrolment"),
    aggregate("campus_person.id|campus_student.person_ptr_id", "campus_enrolment.student_id", "enrolments"),
    children=8,
    restore="DELETE FROM campus_enrolment WHERE state = 'wish'",
)
def enrol_class(request: Any) -> Any:
    """Each enrolment is checked, then written."""
    offering = Offering.objects.order_by("capacity", "id").first()
    taken = 0
    for student in Student.objects.filter(year=4).order_by("-matriculation")[:8]:
        if not Enrolment.objects.filter(student=student, offering=offering, state="wish").exists():
            Enrolment.objects.create(student=student, offering=offering, state="wish")
            taken += 1
    return taken


@enrol_class.fixed
def _(request: Any) -> Any:
    offering = Offering.objects.order_by("capacity", "id").first()
    students = list(Student.objects.filter(year=4).order_by("-matriculation")[:8])
    there = set(
        Enrolment.objects.filter(Q(offering=offering), student__in=students, state="wish").values_list(
            "student_id", flat=True
        )
    )
    made = Enrolment.objects.bulk_create(
        Enrolment(student=one, offering=offering, state="wish") for one in students if one.pk not in there
    )
    return len(made)


@problem("duplicate", duplicate("campus_term"), children=4, where=Where.COMMAND)
def current_term_again(job: Any) -> Any:
    """A helper that is called wherever it is needed."""

    def current() -> Any:
        return Term.objects.order_by("-starts").first()

    found = [Offering.objects.filter(term=current()).count(), Slot.objects.filter(offering__term=current()).count()]
    return [*found, current().name, current().starts.year]


@current_term_again.fixed
def _(job: Any) -> Any:
    term = Term.objects.order_by("-starts").first()
    found = [Offering.objects.filter(term=term).count(), Slot.objects.filter(offering__term=term).count()]
    return [*found, term.name, term.starts.year]
