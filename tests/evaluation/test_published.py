"""What is quoted agrees with itself, and with what Lin's thesis says of it in words."""

from __future__ import annotations

import pytest

from workbench.evaluation import published_generalisation, published_statistics


def test_figures_of_data_sets():
    table = published_statistics().set_index(["data", "quantity"])
    assert table.loc[("COCO", "categories per image"), ["relation", "value"]].tolist() == ["=", 3.5]
    assert table.loc[("COCO 2014", "images"), "value"] == 123_287
    assert set(table["relation"]) == {"=", "≈", "<", ">"}
    assert table.index.is_unique


def test_table_2_1_has_the_means_and_drops_that_the_text_names():
    table = published_generalisation()
    assert (table.iloc[:, :-1].mean(axis=1) - table["mean"]).abs().max() < 0.00075  # means are given to 0.1 %
    drops = table["mean"].xs("VOC 2012") - table["mean"].xs("COCO")
    assert drops.to_dict() == pytest.approx({"VOC 2012": 0.127, "COCO": 0.077})
    on_voc = table.xs("VOC 2012")
    better = (on_voc.loc["COCO"] > on_voc.loc["VOC 2012"])[:-1]
    assert better.sum() == 6  # "still outperforms DPMv5-P in 6 out of 20 categories"
