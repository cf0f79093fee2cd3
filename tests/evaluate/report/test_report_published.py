from __future__ import annotations

import dataclasses as dc
from pathlib import Path

import pytest
from report_fakes import comparison

from secateur.core.errors import FormatError
from secateur.evaluate.report import Published, read_published, write_report
from secateur.evaluate.report.figures.axes import VIEWS
from secateur.evaluate.report.figures.curves import overlays

HEAD = "task,model,method,source,compression,speedup,top1,top5,top1_change,perplexity"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "published.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_rows_become_results_in_fractions(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD, 'digits,Digits-MLP,"magnitude, pruned",Han 2015,12,,96.5,,−0.3,', ",,,,,,,,,")
    got = read_published(path, [("digits", "digits_mlp")])
    assert got.rows == [
        Published(task="digits", model="digits_mlp", method="magnitude, pruned", source="Han 2015", compression=12.0,
                  top1=0.965, top1_change=pytest.approx(-0.003))
    ]  # fmt: skip
    assert got.complaints == ["published.csv, line 3: task is empty; the row is left out"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("digits,digits_mlp,m,,12,,0.965,,,", "top1 is in percent, above 1 and up to 100; got '0.965'"),
        ("digits,digits_mlp,m,,twelve,,96,,,", "compression must be a number; got 'twelve'"),
        ("digits,digits_mlp,m,,-2,,96,,,", "compression must be above 0; got '-2'"),
        ("digits,digits_mlp,m,,,,96,,,", "neither compression nor speedup"),
        ("digits,digits_mlp,m,,2,,,,,", "none of top1, top5, top1_change and perplexity"),
        ("digits,resnet_50,m,,2,,96,,,", "no run is of 'resnet_50' on 'digits'"),
        ("digits,digits_mlp,m,,2,,96,,,,7", "more cells than the header"),
        ("digits,digits_mlp,,,2,,96,,,", "method is empty"),
        ("digits,digits_mlp,m,,nan,,96,,,", "compression must be above 0; got 'nan'"),
    ],
)
def test_a_bad_row_is_left_out_with_its_line(row: str, says: str, tmp_path: Path) -> None:
    good = "digits,digits_mlp,m,,2,,96,,,"
    got = read_published(written(tmp_path, HEAD, good, row, good), [("digits", "digits_mlp")])
    assert len(got.rows) == 2
    (complaint,) = got.complaints
    assert complaint.startswith("published.csv, line 3: ")
    assert says in complaint


def test_a_bad_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no use for column 'accuracy'"):
        read_published(written(tmp_path, "task,model,method,accuracy"))
    with pytest.raises(FormatError, match="lack the column 'model', 'method'"):
        read_published(written(tmp_path, "task"))
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        read_published(tmp_path / "nowhere.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="give a CSV file in UTF-8"):
        read_published(tmp_path / "bytes.csv")


def test_the_overlay_is_on_the_chart_in_the_table_and_in_the_data(tmp_path: Path) -> None:
    rows = [
        Published(task="digits", model="digits_mlp", method="pruned <b>", source="Somebody 2020", compression=c, top1=a)
        for c, a in ((16.0, 0.93), (2.0, 0.96))
    ]
    (line,) = overlays(rows, VIEWS[False][0][0])
    assert (line.x, line.y) == ([2.0, 16.0], [pytest.approx(96), pytest.approx(93)])
    assert overlays(rows, VIEWS[False][1][0]) == []  # no speed-up was published
    c = dc.replace(comparison(seeds=1), published=tuple(rows), left_out=("row 7 is <bad>",))
    text = write_report(c, tmp_path).read_text(encoding="utf-8")
    assert 'id="published"' in text
    assert "Dotted, hollow: published results" in text
    assert "row 7 is &lt;bad&gt;" in text
    assert "<b>" not in text.split('id="published"')[1].split("</section>")[0]
    figure = (tmp_path / "figures" / "digits-digits_mlp-compression.svg").read_text()
    assert "Somebody" in figure
    assert "Somebody" not in (tmp_path / "figures" / "digits-digits_cnn-compression.svg").read_text()
