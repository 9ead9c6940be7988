"""The site's pages that are made from declarations, gallery, study and benches."""

import warnings

import make_pages
import make_tables
import pytest
import yaml

import arraycon

NAMES = list(make_tables.own())


def test_every_constraint_has_its_names_in_other_codes_and_no_other_has():
    assert set(yaml.safe_load(make_pages.CODES.read_text(encoding="utf-8"))) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_parameters_study_and_picture(name):
    one = make_tables.own()[name]
    text = "\n".join(make_pages.page(one))
    assert text.startswith(f"# `{name}`\n\n{one.meaning}")
    assert f"autofunction:: arraycon.{name}\n" in text
    for field in make_tables.parameters(one.model):
        assert f"| `{field}` |" in text
    assert "| situation | settings |" in text
    assert f"(../../gallery/{name}.png)" in text


def test_the_yaml_of_a_page_is_read_as_it_stands():
    for name, one in make_tables.own().items():
        block = "\n".join(make_pages.declared(one)).partition("```yaml\n")[2].partition("\n```")[0]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", arraycon.ParameterWarning
            )  # of defaults that do nothing
            assert list(arraycon.Constraints(yaml.safe_load(block))) == [name]


def test_costs_are_those_of_the_results():
    text = "\n".join(make_pages.cost("kr_filter"))
    assert "| cpu-2-cores-medium" in text
    assert "of `object_amplitude`" in text
    assert list(make_pages.cost("no_such_constraint")) == []


@pytest.mark.parametrize(("used", "told"), [(0.0, False), (1.5, True)])
def test_a_disturbed_run_is_called_so(used, told):
    assert make_pages.is_disturbed({"cores_used_by_others": used}) is told


def test_pages_of_constraints_that_are_gone_go(tmp_path, monkeypatch):
    monkeypatch.setattr(make_pages, "MADE", tmp_path)
    (tmp_path / "constraints").mkdir()
    (tmp_path / "constraints" / "gone.md").write_text("x")
    make_pages.main()
    assert not (tmp_path / "constraints" / "gone.md").exists()
    assert {path.stem for path in (tmp_path / "constraints").glob("*.md")} == {*NAMES, "index"}
