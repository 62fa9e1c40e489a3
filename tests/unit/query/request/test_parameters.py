"""Parameters of structured data: which there are, and which conditions they meet."""

from __future__ import annotations

import pytest

from logsink.errors import ArgumentError
from logsink.query.request.parameters import Parameter, parameters
from tests.unit.query.request.test_filters import matching

DATA = [
    '[deploy@32473 environment="prod" deploy="d-7"]',
    '[meta sequenceId="1"][deploy@32473 deploy="d-8" environment="prod"]',
    '[a@1 user="ro\\"ot" path="C:\\\\x\\]y"][b@1 user="root"]',
    "[Originator@6876 sub=Vpxa opID=7f3 user=root]",
    '[x empty=""]',
    None,
    '[ spaced@1 a="1"  b="2" ]',
]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("deploy=d-7", [0]),
        ("deploy=d-*", [0, 1]),
        ("deploy=?-8", [1]),
        ("deploy.deploy=d-7", [0]),
        ("deploy@32473.deploy=d-8", [1]),
        ("depl.deploy=d-7", []),
        ("sequenceId=1", [1]),
        ("meta.environment=prod", []),
        ('user=ro"ot', [2]),
        ("user=root", [2, 3]),
        ("b@1.user=root", [2]),
        ("a@1.user=root", []),
        (r"path=C:\x]y", [2]),
        ("Originator.sub=Vpxa", [3]),
        ("spaced.b=2", [6]),
        ("sub=Vp", []),
        ("opID=7*", [3]),
        ("empty=", [4]),
        ("empty=*", [4]),
        ("ser=root", []),
    ],
)
def test_parameters_of_structured_data(given: str, found: list[int]) -> None:
    assert matching(Parameter.parse(given), DATA) == [DATA[n] for n in found]


@pytest.mark.parametrize(
    ("given", "data", "found"),
    [
        ("user=root", '[a@1 msg="[1] login" user="root"]', True),
        ("tail=5 a]b", '[a@1 tail="5 a]b"]', True),
        (r"deploy=C:\Windows", r'[deploy@32473 deploy="C:\Windows"]', True),
        (r"deploy=C:\Windows", r'[deploy@32473 deploy="C:\\Windows"]', True),
        (r"path=a\*", r'[a@1 path="a\b"]', True),
        ("path=a?b", r'[a@1 path="a\\b"]', True),
        ("user=root", '[a@1 msg="login user=root failed"]', False),
        ("user=root", '[a@1 msg="[b user=root x"]', False),
        ("user=root", r'[a@1 msg="\" user=root \""]', False),
        ("x=a[!b]*c", '[a@1 x="a" y="c"]', False),
        ("x=a[!b]*c", '[a@1 x="a y c"]', True),
        ("user=root", "[a@1 msg=[b user=root]", True),
        ("user=root", "user=root", False),
        ("user=root", 'a "x" user=root', False),
    ],
)
def test_only_parameters_are_parameters(given: str, data: str, found: bool) -> None:
    assert matching(Parameter.parse(given), [data]) == [data] * found


def test_the_parameters_of_structured_data_in_order() -> None:
    data = r'[a@1 one="\"1\]" two=2 three=""][b four="4 [c five=5" six="\x\\"]'
    expected = [("a@1", "one", '"1]'), ("a@1", "two", "2"), ("a@1", "three", "")]
    assert list(parameters(data)) == [*expected, ("b", "four", "4 [c five=5"), ("b", "six", r"\x" + "\\")]


@pytest.mark.parametrize("given", ["user", "=x", ""])
def test_what_is_no_parameter(given: str) -> None:
    with pytest.raises(ArgumentError, match="as a parameter of structured data"):
        Parameter.parse(given)
