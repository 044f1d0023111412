"""What is published besides the book: the workflow, the pages on the package, and the files that cite it."""

import re
from pathlib import Path

import pytest
import yaml

from attention_limits.companion.pages import find_root

ROOT = find_root(Path(__file__).parent)
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PACKAGE = ROOT / "src" / "attention_limits"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash_and_get_no_more_rights_than_they_need(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)( # v[\d.]+)?", text)
    assert used
    for action, release in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert release, f"{action} does not say which release it is"
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "environment" in job for job in workflow["jobs"].values())


def test_the_workflow_checks_as_this_repository_does_and_publishes_what_was_checked() -> None:
    (path,) = WORKFLOWS
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    assert ".ci/run" in [step.get("run") for step in jobs["check"]["steps"]]
    uploads = [step for step in jobs["check"]["steps"] if "upload-pages-artifact" in step.get("uses", "")]
    assert [step["with"]["path"] for step in uploads] == ["_build/html"]
    assert jobs["publish"]["needs"] == "check"


def test_every_module_of_the_package_is_described_on_one_page() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "book" / "api").glob("*.md")))
    described = re.findall(r"^\.\. automodule:: (\S+)$", text, flags=re.MULTILINE)
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    ]
    assert sorted(described) == sorted(modules)


def test_the_page_on_citing_says_what_the_citation_file_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    page = (ROOT / "book" / "cite.md").read_text(encoding="utf-8")
    paper = citation["references"][0]
    assert f"Version {citation['version']}" in page
    assert paper["title"] in page
    assert f"{paper['start']}--{paper['end']}" in page
    assert paper["identifiers"][0]["value"] in page
