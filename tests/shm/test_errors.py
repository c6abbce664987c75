"""Errors: one code a class, and the class comes back from the code."""

import inspect

import pytest

from inferd.shm import errors
from inferd.shm.errors import BY_CODE, InferdError, rebuild

CLASSES = [
    each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, InferdError)
]
every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda each: each.__name__)


def test_codes_are_unique() -> None:
    assert {each.code: each for each in CLASSES} == BY_CODE
    assert len(BY_CODE) == len(CLASSES)


@every_class
def test_every_class_comes_back_from_its_code(kind: type[InferdError]) -> None:
    error = rebuild(kind.code, "what went wrong")
    assert type(error) is kind
    assert str(error) == "what went wrong"


@every_class
def test_every_class_has_a_code_of_its_own_that_reads_as_its_name(kind: type[InferdError]) -> None:
    words = "".join(word.capitalize() for word in kind.code.split("_"))
    assert words == ("Error" if kind is InferdError else kind.__name__)
    assert "code" in vars(kind)


@every_class
def test_programs_that_catch_the_built_in_error_go_on_working(kind: type[InferdError]) -> None:
    built_in = (RuntimeError, TypeError, ValueError)
    assert issubclass(kind, built_in) or kind is InferdError
    assert kind.__doc__


@pytest.mark.parametrize("code", ["", "no_such_code", "Error", "InferdError"])
def test_an_unknown_code_gives_the_base_class(code: str) -> None:
    error = rebuild(code, "from a newer daemon")
    assert type(error) is InferdError
    assert str(error) == "from a newer daemon"
