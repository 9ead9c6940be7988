"""Objects that show themselves: tables and pictures in notebooks, reports as data, completion."""

from __future__ import annotations

import base64
import copy
import io
import json
import math
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from libraries import ALL
from PIL import Image

import arraycon
from arraycon.pipeline.report import Metrics, Record, Report, Skipped
from arraycon.showing import pair, readable, table

EMPTY = ("img", "br")


class Tables(HTMLParser):
    """Cells of all tables by row, pictures, and all other text; what is not closed is an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.pictures, self.text, self.bold = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "style", "link", "iframe", "object")
        for name, value in attrs:
            assert name in ("style", "src", "alt")
            # neither black nor white text can be read on every page
            assert name != "style" or not re.search(r"(^|;)\s*(color|background)", value)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "b" in self.open and "tr" in self.open:
            self.bold.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def grey(source):
    """Pixels of an embedded picture, 0 to 255."""
    kind, _, content = source.partition(",")
    assert kind == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)), formats=["PNG"])
    assert image.mode == "L"
    return np.asarray(image)


def made(**fields):
    phase = np.array([[[[-0.4, 0.3], [0.0, 0.5]]]])
    given = {"object_phase": phase, "object_amplitude": np.full_like(phase, 0.5)}
    return arraycon.State(**(given | fields))


@pytest.fixture
def report():
    """Of three constraints, one of which changes both parts, and one has figures of each mode."""
    state = made(probe=np.ones((2, 2, 2), complex), dx=0.2)
    blocks = {"obja_thresh": {"start_iter": 1}, "objp_postiv": {"start_iter": 1},
              "ortho_pmode": {"start_iter": 1}}  # fmt: skip
    return arraycon.Constraints(blocks).apply(state, 1, measure=True)


def test_a_report_shows_every_figure(report):
    heading, *rows = Tables(report._repr_html_()).rows
    change = report[0].metrics["probe: relative change"]
    assert heading == ["constraint", "target", "figure", "value"]
    assert rows == [
        ["ortho_pmode", "probe", "relative change", f"{change:.3g}"],
        ["ortho_pmode", "probe", "power per mode", "8, 0"],
        ["obja_thresh", "object_amplitude", "relative change", "0.92"],
        ["objp_postiv", "object_phase", "relative change", "0.566"],
    ]  # fmt: skip
    assert math.isclose(report["objp_postiv"].metrics["object_phase: relative change"],
                        0.4 / math.sqrt(0.16 + 0.09 + 0.25))  # fmt: skip


def test_what_is_skipped_and_what_was_less_is_told():
    record = Record("one", 3, ("probe",), Metrics({}), note="phase only, which is all there is")
    shown = Tables(Report((record,), (Skipped("two", ("tilts", "dx")),))._repr_html_())
    assert shown.rows[1] == ["one", "probe", "", "", "phase only, which is all there is"]
    assert "skipped: two, no tilts, dx" in shown.text
    assert "nothing was due" in Tables(Report()._repr_html_()).text


def test_text_is_shown_literally():
    record = Record("<script>alert(1)</script>", 1, ("a&b",), Metrics({"<b>x": 1.0}), note='"<i>"')
    assert Tables(Report((record,))._repr_html_()).rows[1] == [
        "<script>alert(1)</script>", "a&b", "<b>x", "1", '"<i>"',
    ]  # fmt: skip
    shown = Tables(pair(np.ones((2, 2)), np.ones((2, 2)), title='"><script>', unit="<b>"))
    assert '"><script>: black 1, white 1 <b>' in shown.text
    assert Tables(table("<u>", ["<u>"], [["<u>"]], notes=["<u>"])).text == ["<u>"] * 4


def test_records_by_name(report):
    assert report.names == ("ortho_pmode", "obja_thresh", "objp_postiv")
    assert report["obja_thresh"] is report[1]
    assert "obja_thresh" in report
    assert report[1] in report
    assert "kz_filter" not in report
    with pytest.raises(KeyError, match="'kz_filter' did not run, ortho_pmode, obja_thresh, objp_p"):
        report["kz_filter"]
    with pytest.raises(KeyError, match="and nothing else did"):
        Report()["kz_filter"]


def test_as_data(report):
    found = report.to_dict()
    assert [record["name"] for record in found["records"]] == list(report.names)
    assert found["records"][0]["metrics"]["probe: power per mode"] == pytest.approx([8, 0])
    assert json.loads(report.to_json()) == found
    record = Record(
        "one", 1, (), Metrics({"a": math.inf, "b": math.nan, "c": np.array([1.0, math.inf])})
    )
    odd = Report((record,), (Skipped("two", ("dx",)),))
    assert odd.to_dict()["records"][0]["metrics"]["a"] == math.inf
    read = json.loads(odd.to_json())
    assert read["records"][0]["metrics"] == {"a": None, "b": None, "c": [1.0, None]}
    assert read["skipped"] == [{"name": "two", "missing": ["dx"]}]


def test_as_a_data_frame(report):
    pandas = pytest.importorskip("pandas")
    frame = report.to_dataframe()
    assert list(frame.columns) == ["iteration", "constraint", "target", "figure", "index", "value"]
    powers = frame[frame["figure"] == "power per mode"]
    assert list(powers["index"]) == [0, 1]
    assert list(powers["value"]) == pytest.approx([8, 0])
    unmeasured = arraycon.Constraints({"objp_postiv": {"start_iter": 1}}).apply(made(), 2)
    both = pandas.concat([frame, unmeasured.to_dataframe()])
    *words, index, value = both.iloc[-1]
    assert words == [2, "objp_postiv", "object_phase", ""]
    assert pandas.isna(index)
    assert pandas.isna(value)
    assert len(Report().to_dataframe()) == 0


def test_no_data_frame_without_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas"):
        report.to_dataframe()


@pytest.mark.parametrize("library", ALL, ids=str)
def test_pictures_before_and_after(library):
    if why := library.available():
        pytest.skip(why)
    phase = np.array([[[[0.0, 0.5], [1.0, 0.25]], [[0.0, -1.0], [0.0, 0.25]]]], np.float32)
    state = arraycon.State(object_phase=library.array(phase))
    report = arraycon.Constraints({"objp_postiv": {"start_iter": 1}}).apply(state, 1)
    shown = Tables(report.to_html(before={"object_phase": phase}, after=state))
    before, after, *sections = map(grey, shown.pictures)
    # from -0.5, black, to 1, white, in both
    assert before.tolist() == [[85, 0], [255, 170]]
    assert after.tolist() == [[85, 170], [255, 170]]
    assert len(sections) == 2
    assert "object's phase, summed over depth: black -0.5, white 1 rad" in shown.text


def test_pictures_of_a_complex_object_and_a_probe():
    obj = np.full((1, 1, 4, 6), 0.5 + 0j)
    probe = np.array([[[0, 2j], [1, 0]]], complex)
    state = arraycon.State(object=obj, probe=probe)
    shown = Tables(Report().to_html(before=copy.deepcopy(state), after=state))
    assert [grey(picture).shape for picture in shown.pictures] == [(4, 6)] * 4 + [(2, 2)] * 2
    assert grey(shown.pictures[-1]).tolist() == [[0, 255], [128, 0]]


@pytest.mark.parametrize(("shape", "size"), [((400, 1000), (66, 166)), ((6, 900), (6, 180))])
def test_large_pictures_are_averaged(shape, size):
    plane = np.zeros(shape)
    plane[:, shape[1] // 2 :] = 1
    plane[0, 0] = math.nan
    image = grey(Tables(pair(plane, plane, title="")).pictures[0])
    assert image.shape == size
    assert image[0, 0] == image[1, 1] == 0
    assert image[-1, -1] == 255


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"before": made()}, ValueError, "expected both before and after"),
        ({"before": 3, "after": made()}, TypeError, "before: expected a State or .* got int"),
        ({"before": made(), "after": {"dx": 0.2}}, ValueError, "after: expected one of object_amp"),
    ],
)
def test_bad_pictures(given, kind, message):
    with pytest.raises(kind, match=message):
        Report().to_html(**given)


def test_constraints_show_what_is_on_when_and_by_whom():
    blocks = {"kz_filter": {"start_iter": 5, "beta": 0.5, "boundary": "mirror"}, "kr_filter": None}
    with pytest.warns(arraycon.ParameterWarning, match="by default"):
        constraints = arraycon.Constraints(blocks, defaults="ptyrad")
    shown = Tables(constraints._repr_html_())
    rows = {name: rest for name, *rest in shown.rows[1:]}
    assert list(rows) == list(constraints)
    assert rows["kz_filter"] == [
        "every iteration from 5", "given", "beta = 0.5, boundary = mirror",
    ]  # fmt: skip
    assert rows["fix_probe_int"] == ["every iteration", "default", "all defaults"]
    assert "off: kr_filter" in shown.text
    assert Tables(constraints.params._repr_html_()).rows == shown.rows
    nothing = arraycon.ConstraintParams().only_given()
    assert "nothing is on" in Tables(nothing._repr_html_()).text


def test_a_block_shows_its_fields_and_marks_what_was_changed():
    params = arraycon.ConstraintParams(obja_thresh={"start_iter": 2, "thresh": [0.5, 1.5]})
    shown = Tables(params.obja_thresh._repr_html_())
    assert "ObjaThresh: every iteration from 2" in shown.text
    (thresh,) = (row for row in shown.rows if row[0] == "thresh")
    assert thresh[1:4] == ["[0.5, 1.5]", "[0.96, 1.04]", "an ascending pair of numbers"]
    assert shown.bold == ["2", "[0.5, 1.5]"]


def test_a_state_shows_shapes_units_extents_and_memory():
    state = made(
        probe=np.ones((3, 2, 2), np.complex64), dx=0.5, slice_thickness=8, scan_shape=(3, 4)
    )
    shown = Tables(state._repr_html_())
    rows = {name: rest for name, *rest in shown.rows[1:]}
    assert rows["object_phase"] == [
        "(1, 1, 2, 2)", "float64", "rad", "1 × 1 Å, 8 Å deep", "32 B",
    ]  # fmt: skip
    assert rows["probe"] == ["(3, 2, 2)", "complex64", "", "1 × 1 Å", "96 B"]
    assert rows["dx"] == ["0.5", "", "Å", "", ""]
    assert rows["scan_shape"][0] == "(3, 4)"
    assert "160 B of arrays, numpy" in shown.text
    assert Tables(arraycon.State()._repr_html_()).rows == []


def test_completion_offers_what_is_public():
    constraints = arraycon.Constraints({"kz_filter": {"start_iter": 1}})
    report = Report((Record("one", 1, (), Metrics({})),))
    assert constraints._ipython_key_completions_() == list(constraints.order)
    assert report._ipython_key_completions_() == ["one"]
    assert dir(arraycon) == sorted([*arraycon.__all__, "__version__"])
    params = constraints.params
    for one in (constraints, report, made(), params, params.kz_filter):
        assert dir(one)
        for name in dir(one):
            assert not name.startswith("_")
            getattr(one, name)
    assert {"beta", "start_iter", "is_due"} <= set(dir(params.kz_filter))
    assert {"kz_filter", "replace", "given"} <= set(dir(params))
    assert not {"parse_obj", "model_construct"} & {*dir(params), *dir(params.kz_filter)}


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (1234567, "1.23 MB")])
def test_readable(size, text):
    assert readable(size) == text
