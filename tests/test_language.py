"""What `_` says in templates: the text in the page's language, once looked up, with what is put into it escaped."""

from __future__ import annotations

from flask import Flask
from flask_babel import force_locale

SAID = "{{ _('Counter %(number)s', number=given) }}"


def test_what_is_put_into_a_text_is_escaped_and_the_text_is_not(app: Flask) -> None:
    page = app.jinja_env.from_string("{{ _('<b>%(name)s</b>', name=given) }}{{ _('<hr>') }}")

    with app.app_context(), force_locale("nl"):
        assert page.render(given="<i>Ann</i>") == "<b>&lt;i&gt;Ann&lt;/i&gt;</b><hr>"


def test_in_plain_mails_it_is_left_as_it_is(app: Flask) -> None:
    plain = "{% autoescape false %}" + SAID + "{% endautoescape %}"

    with app.app_context(), force_locale("de"):
        said = app.jinja_env.from_string(plain).render(given="A & B")

    assert said == "Schalter A & B"


def test_the_same_text_is_said_in_each_language(app: Flask) -> None:
    page, said = app.jinja_env.from_string(SAID), []

    with app.app_context():
        for language in ("nl", "fr", "de", "en_GB", "nl"):
            with force_locale(language):
                said.append(page.render(given=3))

    assert said == ["Loket 3", "Guichet 3", "Schalter 3", "Counter 3", "Loket 3"]


def test_a_number_chooses_between_one_and_many_and_may_have_words_beside_it(app: Flask) -> None:
    page = app.jinja_env.from_string("{{ ngettext('%(num)s minute', '%(num)s minutes', given) }}")

    with app.app_context(), force_locale("nl"):
        assert [page.render(given=count) for count in (1, 5)] == ["1 minuut", "5 minuten"]


def test_a_percent_sign_is_written_twice_in_a_text_as_jinja_has_it(app: Flask) -> None:
    with app.app_context(), force_locale("en_GB"):
        assert app.jinja_env.from_string("{{ _('100 %%') }}").render() == "100 %"
