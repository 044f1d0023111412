"""What the project says it needs, in four files that must agree; no conda is needed to check it.

pyproject.toml is the source. environment.yml lists the same requirements, with the same ranges: those of the package
and of the extras `book` and `test`, so that one environment runs everything. constraints.txt pins each of them.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENVIRONMENT: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

#: The extras that environment.yml includes. Any other extra is for special machines.
EXTRAS = ("book", "test")
#: What only conda installs: the interpreter and tools that are no Python packages of ours.
ONLY_CONDA = {"python", "pip", "make", "git"}


def by_name(lines: list[str]) -> dict[str, SpecifierSet]:
    """Requirements of this system by their normalised names; a name that stands twice is an error."""
    found: dict[str, SpecifierSet] = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is required twice"
        found[name] = requirement.specifier
    return found


def pip_lines() -> list[str]:
    """What environment.yml hands to pip."""
    return next(item["pip"] for item in ENVIRONMENT["dependencies"] if isinstance(item, dict))


REQUIRED = by_name(
    [*PROJECT["dependencies"], *(line for name in EXTRAS for line in PROJECT["optional-dependencies"][name])]
)
CONDA = by_name([item for item in ENVIRONMENT["dependencies"] if isinstance(item, str)])
PIP = by_name([line for line in pip_lines() if not line.startswith("-")])
PINNED = by_name(
    [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
)


def test_environment_names_the_same_requirements_as_pyproject() -> None:
    assert {**CONDA, **PIP}.keys() - ONLY_CONDA == REQUIRED.keys()


def test_environment_gives_the_same_ranges_as_pyproject() -> None:
    listed = {**CONDA, **PIP}
    assert {name: listed.get(name) for name in REQUIRED} == REQUIRED


def test_environment_installs_the_package_itself_at_the_pinned_versions() -> None:
    assert [line for line in pip_lines() if line.startswith("-")] == ["-c constraints.txt", "-e ."]


def test_environment_asks_for_the_python_that_pyproject_asks_for() -> None:
    assert CONDA["python"] == SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_running_environment_satisfies_the_requirement(name: str) -> None:
    assert REQUIRED[name].contains(Version(version(name)).public, prereleases=True)


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_constraints_pin_the_requirement_within_its_range(name: str) -> None:
    assert name in PINNED, f"constraints.txt does not pin {name}"
    pin = re.fullmatch(r"==([^*,]+)", str(PINNED[name]))
    assert pin, f"constraints.txt says {name}{PINNED[name]}, which is no exact version"
    assert REQUIRED[name].contains(pin[1], prereleases=True)


@pytest.mark.parametrize("python", ["3.11.2", "3.12.0", "3.13.0", "3.14.0"])  # 3.11.2 is Debian 12's
def test_every_pin_installs_on_every_python_that_is_promised(python: str) -> None:
    assert python in SpecifierSet(PROJECT["requires-python"])
    refusing = {}
    for name in PINNED:
        try:
            needs = metadata(name).get("Requires-Python")
        except PackageNotFoundError:  # one of an extra that is not installed here
            continue
        if needs and python not in SpecifierSet(needs):
            refusing[name] = needs
    assert refusing == {}


@pytest.mark.parametrize("python", ["3.10.14", "3.15.0"])
def test_other_pythons_are_not_promised(python: str) -> None:
    assert python not in SpecifierSet(PROJECT["requires-python"])


def test_citation_names_the_version_and_the_license_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])


def test_citation_has_what_its_format_requires() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"]
    assert citation["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


def test_changelog_has_a_section_for_this_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
