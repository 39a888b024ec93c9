"""What the models say of a wrong value, as sentences: pydantic's own words, which no catalogue knows otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from salescoach.errors import Sentence, commas
from salescoach.wording import N_

SAID = {
    "missing": N_("Field required"),
    "extra_forbidden": N_("Extra inputs are not permitted"),
    "string_type": N_("Input should be a valid string"),
    "string_pattern_mismatch": N_("String should match pattern '{pattern}'"),
    "int_type": N_("Input should be a valid integer"),
    "int_parsing": N_("Input should be a valid integer, unable to parse string as an integer"),
    "int_from_float": N_("Input should be a valid integer, got a number with a fractional part"),
    "float_type": N_("Input should be a valid number"),
    "float_parsing": N_("Input should be a valid number, unable to parse string as a number"),
    "finite_number": N_("Input should be a finite number"),
    "decimal_type": N_("Decimal input should be an integer, float, string or Decimal object"),
    "decimal_parsing": N_("Input should be a valid decimal"),
    "bool_type": N_("Input should be a valid boolean"),
    "bool_parsing": N_("Input should be a valid boolean, unable to interpret input"),
    "list_type": N_("Input should be a valid list"),
    "tuple_type": N_("Input should be a valid tuple"),
    "dict_type": N_("Input should be a valid dictionary"),
    "mapping_type": N_("Input should be a valid mapping"),
    "model_type": N_("Input should be a valid dictionary or instance of {class_name}"),
    "date_type": N_("Input should be a valid date"),
    "date_from_datetime_inexact": N_("Datetimes provided to dates should have zero time - e.g. be exact dates"),
    "greater_than": N_("Input should be greater than {gt}"),
    "greater_than_equal": N_("Input should be greater than or equal to {ge}"),
    "less_than": N_("Input should be less than {lt}"),
    "less_than_equal": N_("Input should be less than or equal to {le}"),
}
COUNTED = {
    "string_too_short": (
        N_("String should have at least {min_length} character"),
        N_("String should have at least {min_length} characters"),
    ),
    "string_too_long": (
        N_("String should have at most {max_length} character"),
        N_("String should have at most {max_length} characters"),
    ),
    "too_short": (
        N_("{field_type} should have at least {min_length} item after validation, not {actual_length}"),
        N_("{field_type} should have at least {min_length} items after validation, not {actual_length}"),
    ),
    "too_long": (
        N_("{field_type} should have at most {max_length} item after validation, not {actual_length}"),
        N_("{field_type} should have at most {max_length} items after validation, not {actual_length}"),
    ),
}
CHOICES = ("literal_error", "enum")


def fault_of(detail: Mapping[str, Any]) -> Sentence:
    """What one error of a ValidationError says, as a sentence; a kind that is rare, in pydantic's words."""
    kind, said = detail["type"], str(detail["msg"])
    known = {name: _plain(value) for name, value in detail.get("ctx", {}).items()}
    if kind in CHOICES:
        return Sentence("Input should be {choices}", choices=choices_of(str(known["expected"])))
    if kind == "value_error":
        return Sentence("Value error, {error}", error=known["error"])
    if kind in COUNTED:
        one, many = COUNTED[kind]
        return Sentence(one if 1 in (known.get("min_length"), known.get("max_length")) else many, **known)
    if kind in SAID:
        return Sentence(SAID[kind], **known)
    return Sentence(said)


def _plain(value: Any) -> Any:
    """A whole number without a point, as pydantic writes a limit."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def choices_of(expected: str) -> Sentence:
    """'a', 'b' or 'c', as pydantic writes it, in the reader's language."""
    *first, last = re.findall(r"'[^']*'|\"[^\"]*\"|[^\s,]+", expected.replace(" or ", ", "))
    return Sentence("{names} or {last}", names=commas(first), last=last) if first else Sentence(last)
