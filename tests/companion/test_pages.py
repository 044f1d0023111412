"""Pages: their parameters, the values of a run, reading order, names, and what a run depends on."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import attention_limits
from attention_limits.companion.pages import Page, Parameter, all_pages, find_root, get_page

from .conftest import Project


def declared(project: Project, parameters: str) -> dict[str, Parameter]:
    """The parameters of a page whose cell reads like this."""
    project.add("page", parameters=parameters)
    return project.page("page").parameters


def test_parameters_carry_name_type_default_and_comment_in_order(project: Project) -> None:
    found = declared(
        project,
        "# what the page varies\n"
        "num_tokens: int = 64  # N, tokens\n"
        "accuracy: float = 1e-3  # ε\n"
        "exhaustive: bool = False\n"
        'mode: str = "exact"  # exact or sampled\n'
        "sizes: list[int] = [1, 2, 4]  # grid\n"
        "rates: list[float] = [0.5, 1]  # learning rates",
    )
    assert list(found.values()) == [
        Parameter("num_tokens", "int", 64, "N, tokens"),
        Parameter("accuracy", "float", 1e-3, "ε"),
        Parameter("exhaustive", "bool", False, ""),
        Parameter("mode", "str", "exact", "exact or sampled"),
        Parameter("sizes", "list[int]", [1, 2, 4], "grid"),
        Parameter("rates", "list[float]", [0.5, 1], "learning rates"),
    ]
    assert list(found) == ["num_tokens", "accuracy", "exhaustive", "mode", "sizes", "rates"]


def test_a_default_over_several_lines_keeps_the_comment_of_its_last_line(project: Project) -> None:
    found = declared(project, "sizes: list[int] = [\n    1,  # least\n    2,\n]  # grid")
    assert found["sizes"] == Parameter("sizes", "list[int]", [1, 2], "grid")


def test_a_hash_inside_a_string_is_no_comment(project: Project) -> None:
    found = declared(project, 'colour: str = "#ε0ff"  # of the line\nother: str = "#00f"')
    assert [found[name].comment for name in ("colour", "other")] == ["of the line", ""]


def test_negative_defaults_are_literals_too(project: Project) -> None:
    assert declared(project, "shift: float = -0.5  # to the left")["shift"].default == -0.5


@pytest.mark.parametrize(
    "line",
    [
        "num_tokens = 8",
        "num_tokens: int",
        "num_tokens: integer = 8",
        "num_tokens: int | None = 8",
        "sizes: list = [1]",
        "import math",
        "print('hello')",
        "a.b: int = 3",
        "num_tokens: int = 2**3",
        "num_tokens: int = N",
        "num_tokens += 1",
    ],
)
def test_a_parameter_line_of_another_form_is_refused_with_page_and_line(line: str, project: Project) -> None:
    with pytest.raises(ValueError, match="page page: ") as caught:
        declared(project, f"seed: int = 0\n{line}")
    assert line.split()[0] in str(caught.value)


def test_a_parameters_cell_that_is_not_python_is_refused_with_its_page(project: Project) -> None:
    with pytest.raises(ValueError, match="page page: "):
        declared(project, "seed: int = (")


def test_a_default_of_another_type_than_declared_is_refused(project: Project) -> None:
    with pytest.raises(ValueError, match=r"seed must be int, got 1\.5"):
        declared(project, "seed: int = 1.5")


def test_a_page_without_a_parameters_cell_is_refused_by_name(project: Project) -> None:
    project.add("bare")
    project.edit("notebooks/bare.py", ' tags=["parameters"]', "")
    with pytest.raises(ValueError, match="bare has no cell with the tag parameters"):
        project.page("bare").parameters  # noqa: B018 (reading it is the test)


def test_the_title_is_the_first_heading_or_else_the_name(project: Project) -> None:
    project.add("alpha")
    project.add("untitled")
    project.edit("notebooks/untitled.py", "# # Page untitled", "# plain text")
    project.edit("notebooks/alpha.py", "# # Page alpha", "# ## Not yet\n# # Theorem 2: $q$-sparse\n# # Second")
    assert project.page("alpha").title == "Theorem 2: $q$-sparse"
    assert project.page("untitled").title == "untitled"


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("int", 3, 3),
        ("float", 3, 3.0),
        ("float", 0.5, 0.5),
        ("bool", True, True),
        ("str", "word", "word"),
        ("list[int]", [1, 2], [1, 2]),
        ("list[int]", (1, 2), [1, 2]),
        ("list[float]", [1, 0.5], [1.0, 0.5]),
    ],
)
def test_values_of_the_declared_type_are_taken(type_name: str, value: Any, expected: Any) -> None:
    converted = Parameter("x", type_name, None, "").convert(value)
    assert converted == expected
    assert type(converted) is type(expected)
    if isinstance(expected, list):
        assert [type(item) for item in converted] == [type(item) for item in expected]


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("int", 3.0),
        ("int", True),
        ("int", "3"),
        ("int", [3]),
        ("float", "0.1"),
        ("float", True),
        ("float", None),
        ("float", 10**400),
        ("bool", 1),
        ("str", 3),
        ("list[int]", 3),
        ("list[int]", []),
        ("list[int]", [1, 2.0]),
        ("list[int]", [True]),
        ("list[int]", "12"),
        ("list[float]", [0.1, "0.2"]),
        ("list[float]", {0.1}),
    ],
)
def test_values_of_another_type_are_refused_with_name_type_and_value(type_name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="parameter size must be") as caught:
        Parameter("size", type_name, None, "").convert(value)
    assert type_name in str(caught.value)
    assert repr(value) in str(caught.value)


def test_overrides_win_over_the_quick_profile_and_that_over_the_page(project: Project) -> None:
    project.add("alpha", facts='quick = {"num_tokens": 4, "seed": 7}')
    page = project.page("alpha")
    usual = {"num_tokens": 8, "sparsity": 2, "value_dim": 1, "accuracy": 0.1, "seed": 0, "num_seeds": 2}
    assert page.resolve("book", {}) == usual
    assert page.resolve("quick", {}) == {**usual, "num_tokens": 4, "seed": 7}
    assert page.resolve("quick", {"seed": 9, "accuracy": 0.5}) == {
        **usual,
        "num_tokens": 4,
        "seed": 9,
        "accuracy": 0.5,
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sparsity": 9}, "sparsity q = 9 needs num_tokens N ≥ 9, got N = 8"),
        ({"num_tokens": 1}, "sparsity q = 2 needs num_tokens N ≥ 2, got N = 1"),
        ({"sparsity": 0}, "sparsity must be at least 1, got 0"),
        ({"num_tokens": 0, "sparsity": 0}, "num_tokens must be at least 1, got 0"),
        ({"value_dim": 0}, "value_dim must be at least 1, got 0"),
        ({"accuracy": 0}, "accuracy ε must lie strictly between 0 and 1, got 0.0"),
        ({"accuracy": 1.0}, "accuracy ε must lie strictly between 0 and 1, got 1.0"),
        ({"accuracy": float("nan")}, "accuracy ε must lie strictly between 0 and 1, got nan"),
        ({"accuracy": float("inf")}, "accuracy ε must lie strictly between 0 and 1, got inf"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"num_seeds": 0}, "num_seeds must be at least 1, got 0"),
        ({"width": 3}, "unknown parameter 'width': alpha has num_tokens, sparsity"),
    ],
)
def test_values_outside_the_hypotheses_are_refused_with_the_condition(
    overrides: dict[str, Any], message: str, project: Project
) -> None:
    project.add("alpha")
    with pytest.raises(ValueError, match=r"must|needs|unknown") as caught:
        project.page("alpha").resolve("book", overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize("overrides", [{"sparsity": 8}, {"num_tokens": 1, "sparsity": 1}, {"accuracy": 0.999}])
def test_values_at_the_edge_of_the_hypotheses_are_taken(overrides: dict[str, Any], project: Project) -> None:
    project.add("alpha")
    resolved = project.page("alpha").resolve("book", overrides)
    assert resolved.items() >= overrides.items()


def test_an_unknown_profile_is_refused_with_the_known_ones(project: Project) -> None:
    project.add("alpha")
    with pytest.raises(ValueError, match="unknown profile 'fast': use book or quick"):
        project.page("alpha").resolve("fast", {})


def test_pages_come_in_the_order_of_the_table_of_contents(project: Project) -> None:
    for name in ("beta", "alpha", "gamma", "delta"):
        project.add(name)
    (project.root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/intro\nparts:\n"
        "  - caption: One\n    chapters:\n"
        "      - file: book/definitions\n"
        "      - file: notebooks/gamma\n        sections:\n          - file: notebooks/beta.py\n"
        "      - file: notebooks/delta\n"
        "  - caption: Two\n    chapters:\n      - file: notebooks/alpha\n",
        encoding="utf-8",
    )
    assert [page.name for page in all_pages(project.root)] == ["gamma", "beta", "delta", "alpha"]


def test_a_page_that_is_not_listed_is_no_page_of_the_book(project: Project) -> None:
    project.add("alpha")
    project.add("draft")
    project.write_toc("alpha")
    assert [page.name for page in all_pages(project.root)] == ["alpha"]


def test_a_listed_page_without_a_source_is_refused_by_name(project: Project) -> None:
    project.add("alpha")
    project.write_toc("alpha", "ghost")
    with pytest.raises(ValueError, match=r"_toc\.yml lists the page 'ghost'"):
        all_pages(project.root)


@pytest.mark.parametrize("name", ["../outside", "a/b", "a b", "a;b", "-a"])
def test_a_page_whose_name_could_lead_elsewhere_is_refused(name: str, project: Project) -> None:
    project.add("alpha")
    project.write_toc("alpha", name)
    with pytest.raises(ValueError, match="a name has letters, digits, - and _ only"):
        all_pages(project.root)


def test_a_table_of_contents_that_is_not_yaml_is_refused_in_one_line(project: Project) -> None:
    (project.root / "_toc.yml").write_text("chapters: [\n- broken", encoding="utf-8")
    with pytest.raises(ValueError, match=r"_toc\.yml") as caught:
        all_pages(project.root)
    assert "\n" not in str(caught.value)


def test_a_page_is_found_by_its_name_or_its_path(project: Project) -> None:
    project.add("thm-2-fixed")
    for name in ("thm-2-fixed", "thm-2-fixed.py", "notebooks/thm-2-fixed.py", str(project.source("thm-2-fixed"))):
        assert get_page(project.root, name) == Page(project.root, "thm-2-fixed")


def test_a_mistyped_page_is_answered_with_the_nearest_name(project: Project) -> None:
    project.add("thm-2-fixed-precision")
    project.add("learned-attention")
    with pytest.raises(ValueError, match="no page 'thm-2-fixed': did you mean 'thm-2-fixed-precision'"):
        get_page(project.root, "thm-2-fixed")


def test_a_page_like_no_other_is_answered_with_all_names(project: Project) -> None:
    project.add("thm-2-fixed-precision")
    project.add("learned-attention")
    with pytest.raises(ValueError, match="no page 'zzz': the pages are thm-2-fixed-precision, learned-attention"):
        get_page(project.root, "zzz")


def test_the_book_is_found_from_any_folder_inside_it(project: Project) -> None:
    deep = project.root / "notebooks" / "a" / "b"
    deep.mkdir(parents=True)
    assert find_root(deep) == find_root(project.root) == project.root.resolve()


def test_outside_a_book_there_is_no_root(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no book here"):
        find_root(tmp_path)
    (tmp_path / "_toc.yml").touch()
    with pytest.raises(ValueError, match="no book here"):
        find_root(tmp_path)


# What a run depends on.

#: Code cells of a page: statements, a string that is shown, IPython's own syntax.
CELLS = ("import pathlib\n\nx = 1", "print(x)", "'a string'", "!ls")


@pytest.fixture
def dependent(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one page, alpha, over a copy of the package that may be edited."""
    project.add("alpha")
    copy = project.use_own_package()
    monkeypatch.setattr(attention_limits, "__file__", str(copy / "__init__.py"))
    return project


def digests(project: Project) -> dict[str, str]:
    """Those of alpha's book run."""
    page = project.page("alpha")
    return page.digests(page.resolve("book", {}))


def changed_by(project: Project, edit: Any) -> set[str]:
    """The parts whose digest changes when ``edit`` is called."""
    before = digests(project)
    edit()
    after = digests(project)
    assert before.keys() == after.keys() == {"source", "package", "parameters", "constraints", "records"}
    return {part for part in before if before[part] != after[part]}


def rewrite(project: Project, old: str, new: str) -> set[str]:
    """What changes when a passage of alpha is replaced."""
    return changed_by(project, lambda: project.edit("notebooks/alpha.py", old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import pathlib", "import pathlib, os"),
        ("print(x)", "print(x);"),
        ("'a string'", "'another string'"),
        ("# %%\nprint(x)\n\n# %%\n'a string'", "# %%\n'a string'\n\n# %%\nprint(x)"),  # reordered
        ("# %%\nprint(x)\n", "# %%\nprint(x)\n\n# %%\nprint(x)\n"),  # added
        ("# %%\nprint(x)\n", ""),  # removed
        ("x = 1\n\n# %%\nprint(x)", "x = 1\nprint(x)"),  # joined
        ("# %%\nprint(x)", "# %% [markdown]\n# print(x)"),  # no code any more
        ("!ls", "!ls -l"),
    ],
)
def test_an_edit_of_code_cells_changes_the_source_digest_alone(old: str, new: str, dependent: Project) -> None:
    dependent.add("alpha", *CELLS)
    assert rewrite(dependent, old, new) == {"source"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Afterwards", "## Afterwards, in prose"),
        ("# %%\nprint(x)", "# %% [markdown]\n# Prose.\n\n# %%\nprint(x)"),
        ("# %%\nprint(x)", '# %% tags=["hide-input"] mystnb={"figure": {"caption": "Of x."}}\nprint(x)'),
        ("x = 1", "x = 1  # a comment"),
        ("x = 1", "x = (\n    1\n)"),
        ("print(x)", "print(x)\n# ;"),
    ],
)
def test_prose_captions_tags_comments_and_layout_change_no_digest(old: str, new: str, dependent: Project) -> None:
    dependent.add("alpha", *CELLS)
    assert rewrite(dependent, old, new) == set()


def test_a_parameters_default_changes_source_and_parameters(dependent: Project) -> None:
    def edit() -> None:
        dependent.edit("notebooks/alpha.py", "seed: int = 0", "seed: int = 1")

    assert changed_by(dependent, edit) == {"source", "parameters"}


def test_the_quick_values_change_the_parameters_digest_alone(dependent: Project) -> None:
    page = dependent.page("alpha")
    book, other = page.digests(page.resolve("book", {})), page.digests(page.resolve("book", {"seed": 3}))
    assert {part for part in book if book[part] != other[part]} == {"parameters"}


def test_the_constraints_digest_changes_with_the_pinned_versions_alone(dependent: Project) -> None:
    file = dependent.root / "constraints.txt"
    assert changed_by(dependent, lambda: file.write_text("numpy==1.0\n")) == {"constraints"}
    assert changed_by(dependent, file.unlink) == {"constraints"}


@pytest.mark.parametrize("name", ["companion/claims.py", "companion/__init__.py", "runtime.py", "companion/runner.py"])
def test_the_package_digest_changes_with_what_a_page_imports_or_what_runs_it(dependent: Project, name: str) -> None:
    module = dependent.root / "src" / "attention_limits" / name
    assert changed_by(dependent, lambda: module.write_text(module.read_text() + "\nx = 1\n")) == {"package"}


def test_nothing_else_changes_a_digest(dependent: Project) -> None:
    def edit() -> None:
        (dependent.root / "README.md").write_text("new")
        (dependent.root / "book" / "intro.md").write_text("# new\n")
        (dependent.root / "src" / "attention_limits" / "__pycache__").mkdir()
        (dependent.root / "src" / "attention_limits" / "__pycache__" / "x.pyc").write_text("new")
        dependent.add("beta")
        dependent.source("alpha").touch()
        module = dependent.root / "src" / "attention_limits" / "companion" / "claims.py"
        module.write_text(module.read_text() + "# a comment\n")
        for name in ("models/attention.py", "companion/cli.py"):  # which no page here imports
            (module.parents[1] / name).unlink()

    assert changed_by(dependent, edit) == set()


def test_records_change_the_records_digest_of_pages_that_can_read_them_alone(dependent: Project) -> None:
    def publish() -> None:
        (dependent.root / "records").mkdir(exist_ok=True)
        with (dependent.root / "records" / "alpha.jsonl").open("a") as file:
            file.write("{}\n")

    assert changed_by(dependent, publish) == set()
    dependent.add("alpha", "from attention_limits.experiments.sweeps import Sweep")
    assert changed_by(dependent, publish) == {"records"}


def test_digests_do_not_depend_on_where_the_checkout_lies(
    dependent: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = digests(dependent)
    moved = Project(Path(shutil.move(dependent.root, tmp_path / "elsewhere")))
    monkeypatch.setattr(attention_limits, "__file__", str(moved.root / "src" / "attention_limits" / "__init__.py"))
    assert digests(moved) == here
